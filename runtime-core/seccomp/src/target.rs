//! What a filter is compiled for: the machine and what its kernel implements.
use crate::{Actions, Arch};

/// Flags of seccomp(2), `SECCOMP_FILTER_FLAG_*`.
pub mod flag {
    /// All threads of the caller get the filter.
    pub const TSYNC: u32 = 1;
    /// Actions other than allow may be logged, Linux 4.14.
    pub const LOG: u32 = 2;
    /// No speculation barrier for the filter's sake, Linux 4.17.
    pub const SPEC_ALLOW: u32 = 4;
    /// The call returns the notify descriptor, Linux 5.0.
    pub const NEW_LISTENER: u32 = 8;
    /// A thread that cannot take the filter is ESRCH, so that TSYNC and NEW_LISTENER go together, Linux 5.7.
    pub const TSYNC_ESRCH: u32 = 16;
    /// A call that an agent has received can only be killed, Linux 5.19.
    pub const WAIT_KILLABLE_RECV: u32 = 32;
    /// All of the above.
    pub const ALL: u32 = 63;
}

/// The machine and kernel that will load the filter, as found out by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The kernel's own architecture; always covered by the filter.
    pub native: Arch,
    /// Actions the kernel implements (`/proc/sys/kernel/seccomp/actions_avail`).
    pub actions: Actions,
    /// Flags the kernel accepts, bits of [`flag`].
    pub flags: u32,
    /// Fail on a system call name that no table holds instead of recording it in `skipped`.
    pub refuse_unknown_syscalls: bool,
}

impl Target {
    /// A kernel that implements everything known here.
    pub const fn latest(native: Arch) -> Self {
        Self {
            native,
            actions: Actions::ALL,
            flags: flag::ALL,
            refuse_unknown_syscalls: false,
        }
    }
}
