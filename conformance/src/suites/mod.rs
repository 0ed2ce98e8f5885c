//! The suites: one topic a file, each case a function.

use crate::case::Case;

mod bad_input;
mod basic;
mod cgroups;
mod errors;
mod exec;
mod hooks;
mod lifecycle;
mod mounts;
mod namespaces;
mod process;
mod rootfs;
mod rootless;
mod seccomp;
mod signals;
mod streams;
mod terminal;
mod trace;

pub fn all() -> Vec<Case> {
    [
        basic::cases(),
        lifecycle::cases(),
        errors::cases(),
        exec::cases(),
        signals::cases(),
        process::cases(),
        mounts::cases(),
        rootfs::cases(),
        terminal::cases(),
        streams::cases(),
        trace::cases(),
        rootless::cases(),
        seccomp::cases(),
        hooks::cases(),
        bad_input::cases(),
        namespaces::cases(),
        cgroups::cases(),
        cgroups::update::cases(),
        cgroups::observe::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
