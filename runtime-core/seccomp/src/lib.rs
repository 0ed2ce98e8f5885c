//! OCI seccomp profiles compiled to classic BPF, pure: no IO, no clock, no environment, no unsafe code.
//!
//! [`compile`] turns `linux.seccomp` into the program that seccomp(2) loads. Each architecture gets one balanced
//! search over ranges of call numbers that share an outcome, because the kernel runs the filter once for every
//! number when it is loaded, and once for every call that is not simply allowed.
//!
//! What a profile means is what runc and libseccomp make of it, seen from inside the container: the order of
//! conflicting rules, `socketcall` and `ipc`, x32 beside x86-64, ENOSYS for calls newer than the profile. Deliberate
//! differences are listed in `tests/oracle.rs`, which compares verdicts with libseccomp's.
#![forbid(unsafe_code)]
mod action;
mod arch;
mod arguments;
mod assemble;
mod condition;
mod disassemble;
mod error;
mod features;
mod graph;
mod layout;
mod names;
mod profile;
mod program;
mod syscalls;
mod target;
mod verdicts;

pub use action::Actions;
pub use arch::Arch;
pub use disassemble::disassemble;
pub use error::SeccompError;
pub use features::{Features, features, supported_flags};
pub use program::{Filter, Instruction, Skip, check};
pub use target::{Target, flag};

use action::Action;
use graph::Graph;
use layout::Section;
use profile::Profile;
use tare_oci::Seccomp;
use verdicts::Verdicts;

/// `BPF_MAXINSNS`.
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Compiles a profile for the machine that will load it.
///
/// The native architecture is always covered. A call by an architecture that is not listed kills the thread.
/// Names that no table holds are in [`Filter::skipped`].
///
/// # Errors
/// Words that are unknown or that the target does not support, values out of range, contradicting rules, and
/// profiles too large for the kernel; each with its path in config.json.
pub fn compile(seccomp: &Seccomp, target: &Target) -> Result<Filter, SeccompError> {
    let profile = Profile::read(seccomp, target)?;
    let mut graph = Graph::new();
    let unlisted = graph.ret(Action::KillThread.value());
    let default = graph.ret(profile.default_action.value());

    let mut sections: Vec<Section> = Vec::with_capacity(profile.archs.len());
    let mut x32 = None;
    for verdicts in Verdicts::gather(&profile)? {
        let coverage = verdicts.cover(&mut graph, profile.default_action);
        match verdicts.arch() {
            Arch::X32 => x32 = Some(coverage),
            arch => sections.push(Section {
                token: arch.traits().token,
                coverage,
            }),
        }
    }
    layout::join_x32(&mut sections, x32, default, unlisted);

    let root = layout::dispatch(&mut graph, &sections, unlisted);
    let program = layout::place(&graph, root)?;
    Ok(Filter {
        program,
        flags: profile.flags,
        uses_notify: profile.uses_notify,
        skipped: profile.skipped,
    })
}

/// The profile asks for nothing (no default action, no rule): runc loads no filter then.
pub fn is_empty(seccomp: &Seccomp) -> bool {
    seccomp.default_action.is_empty() && seccomp.syscalls.is_empty()
}
