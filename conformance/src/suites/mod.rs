//! The suites: one topic a file, each case a function.

use crate::case::Case;

mod bad_input;
mod basic;
mod cgroups;
mod chroot;
mod devices;
mod errors;
mod exec;
mod exec_process;
mod hooks;
mod killed;
mod labels;
mod lifecycle;
mod mount_options;
mod mount_trees;
mod mounts;
pub mod namespaces;
mod net_devices;
mod notify;
mod observe;
mod privilege;
mod process;
mod rootfs;
pub mod rootless;
mod scheduling;
mod seccomp;
mod seccomp_notify;
mod shared_host;
mod signals;
mod streams;
mod sysctl;
pub mod terminal;
pub mod trace;
mod update;

pub fn all() -> Vec<Case> {
    [
        basic::cases(),
        lifecycle::cases(),
        errors::cases(),
        exec::cases(),
        exec_process::cases(),
        signals::cases(),
        process::cases(),
        privilege::cases(),
        scheduling::cases(),
        mounts::cases(),
        mount_trees::cases(),
        mount_options::cases(),
        rootfs::cases(),
        chroot::cases(),
        shared_host::cases(),
        devices::cases(),
        terminal::cases(),
        streams::cases(),
        notify::cases(),
        trace::cases(),
        rootless::cases(),
        seccomp::cases(),
        seccomp_notify::cases(),
        hooks::cases(),
        bad_input::cases(),
        killed::cases(),
        namespaces::cases(),
        net_devices::cases(),
        sysctl::cases(),
        cgroups::cases(),
        update::cases(),
        observe::cases(),
        labels::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
