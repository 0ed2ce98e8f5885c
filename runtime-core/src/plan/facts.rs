//! What a plan depends on besides the spec: slow facts of the host, and the caller's options. Data only.
//!
//! Nothing here can be changed by a container or its image; whatever can is resolved at execution, by fd, beneath the root.
use super::ir::{Extent, Namespaces};
use std::path::PathBuf;

/// Slow facts of this host, gathered once a process by `probe`; goldens write them by hand.
#[derive(Debug, Clone, PartialEq)]
pub struct HostFacts {
    /// Kernel release, major and minor.
    pub kernel: (u32, u32),
    /// Effective ids of the caller.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// Effective capabilities of the caller, as a mask.
    pub capabilities: u64,
    /// Highest capability number that this kernel has.
    pub last_capability: u8,
    /// Whether the caller is in the initial user namespace.
    pub initial_userns: bool,
    /// Id maps of the caller's own user namespace; empty stands for all ids.
    pub own_uids: Vec<Extent>,
    /// As `own_uids`, for gids.
    pub own_gids: Vec<Extent>,
    /// setgroups(2) is denied in the caller's user namespace, and so in every one made below it.
    pub setgroups_denied: bool,
    /// The caller can't gain rights by execve(2): newuidmap(1) is of no use to it.
    pub no_new_privileges: bool,
    /// A seccomp filter is in force already, such as an outer container's; every container of ours inherits it.
    pub filtered: bool,
    /// Namespace types that this kernel has.
    pub namespaces: Namespaces,
    /// cgroup hierarchies.
    pub cgroup: tare_cgroup::Layout,
    /// Security modules in force.
    pub apparmor: bool,
    /// Security modules in force.
    pub selinux: bool,
    /// mount_setattr(2) works (Linux 5.12).
    pub mount_setattr: bool,
    /// Idmapped mounts work (Linux 5.12; filesystems differ).
    pub idmapped_mounts: bool,
    /// `SECCOMP_FILTER_FLAG_*` bits that this kernel takes.
    pub seccomp_flags: u32,
    /// newuidmap(1) by absolute path.
    pub newuidmap: Option<String>,
    /// newgidmap(1) by absolute path.
    pub newgidmap: Option<String>,
    /// Where resctrl is mounted.
    pub resctrl: Option<String>,
}

impl HostFacts {
    /// Whether the caller has this capability (by number) over the initial user namespace's objects.
    pub fn has_capability(&self, number: u8) -> bool {
        self.capabilities >> number & 1 == 1
    }
    /// Whether the kernel is at least this release.
    pub fn kernel_at_least(&self, major: u32, minor: u32) -> bool {
        self.kernel >= (major, minor)
    }
}

/// What the caller asked for besides the spec.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// The container's id, valid.
    pub id: String,
    /// Absolute path of the bundle.
    pub bundle: PathBuf,
    /// `create` waits for `start`; `run` goes on by itself.
    pub verb: Verb,
    /// Who makes cgroups.
    pub cgroup_manager: tare_cgroup::Manager,
    /// Treat the caller as unprivileged (errors that rootless users expect become skips).
    pub rootless: bool,
    /// MS_MOVE instead of pivot_root.
    pub no_pivot: bool,
    /// Keep the caller's session keyring.
    pub no_new_keyring: bool,
    /// Fds from 3 on that the program inherits (`--preserve-fds` plus LISTEN_FDS).
    pub preserve_fds: u32,
    /// LISTEN_FDS: 0 or the number of sockets passed; the program gets LISTEN_FDS, LISTEN_PID=1 and, if set, LISTEN_FDNAMES.
    pub listen_fds: u32,
    /// Where the pty master goes (only with `process.terminal`): to a console socket or to the caller; both are `Console`.
    pub console: bool,
    /// Whether the pidfd is to be sent.
    pub pidfd_socket: bool,
    /// Whether a pid file is to be written.
    pub pid_file: bool,
    /// The host's NOTIFY_SOCKET: a proxy is made in the state directory and bound in.
    pub notify_socket: Option<String>,
    /// The container's state directory, absolute (for the notify socket's bind).
    pub state_dir: PathBuf,
}

/// Which verb a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Stops before the program until `start`.
    Create,
    /// Does not stop.
    Run,
}
