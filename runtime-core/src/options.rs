//! What `create`, `run` and `exec` are told besides the bundle: stdio, sockets, files to write, and switches.
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Standard input, output and error of a container's process; `None` is the caller's own.
///
/// With a terminal all three are the terminal and these are not used.
#[derive(Debug, Default)]
pub struct Stdio {
    /// fd 0.
    pub stdin: Option<OwnedFd>,
    /// fd 1.
    pub stdout: Option<OwnedFd>,
    /// fd 2.
    pub stderr: Option<OwnedFd>,
}

/// Where the pseudo-terminal's master goes when `process.terminal` is set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Console {
    /// There is nowhere to put it: a process with a terminal is refused, one without is not.
    #[default]
    None,
    /// Sent over this Unix socket: one message, the master as `SCM_RIGHTS`, the pty's name as data.
    Socket(PathBuf),
    /// Kept, to be taken by `Container::console` or `Process::console`.
    Keep,
}

/// Sockets that the service manager passed to the caller (`sd_listen_fds(3)`), handed on to the container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenFds {
    /// How many: fds 3 to 3 + count.
    pub count: u32,
    /// `LISTEN_FDNAMES`.
    pub names: Option<String>,
}

/// Options of `Runtime::create`, `Runtime::run` and `Runtime::plan`.
#[derive(Debug, Default)]
pub struct CreateOptions {
    /// Configuration to use instead of `config.json` in the bundle.
    pub config: Option<PathBuf>,
    /// Stdio of init.
    pub stdio: Stdio,
    /// Where the terminal's master goes.
    pub console: Console,
    /// Unix socket that gets a pidfd of init.
    pub pidfd_socket: Option<PathBuf>,
    /// File that gets the pid: decimal, without newline, put in place by rename before `create` returns.
    pub pid_file: Option<PathBuf>,
    /// Switch the root by `MS_MOVE` and chroot instead of `pivot_root` (for a rootfs on initramfs). Weaker.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub no_new_keyring: bool,
    /// Leave this many of the caller's fds, counted from 3 + `listen_fds.count`, open in the container.
    pub preserve_fds: u32,
    /// Sockets of the service manager.
    pub listen_fds: ListenFds,
    /// The service manager's `NOTIFY_SOCKET` on the host. A socket of the container's own is put in its place; whoever calls
    /// `start` forwards from it.
    pub notify_socket: Option<PathBuf>,
}

/// Options of `Container::exec`.
#[derive(Debug, Default)]
pub struct ExecOptions {
    /// The process, complete: nothing is taken from the container's own `process`.
    pub process: tare_oci::Process,
    /// Stdio of the process.
    pub stdio: Stdio,
    /// Where the terminal's master goes.
    pub console: Console,
    /// Unix socket that gets a pidfd of the process.
    pub pidfd_socket: Option<PathBuf>,
    /// File that gets the pid, as for `create`.
    pub pid_file: Option<PathBuf>,
    /// Leave this many of the caller's fds, counted from 3 + `listen_fds.count`, open in the process.
    pub preserve_fds: u32,
    /// Sockets of the service manager.
    pub listen_fds: ListenFds,
    /// Go into a paused container all the same; the process stands still until `resume`.
    pub ignore_paused: bool,
    /// Sub-cgroup of the container's to put the process in: `PATH` for all controllers or, on v1, `CONTROLLER[,CONTROLLER]:PATH`.
    pub cgroups: Vec<String>,
}
