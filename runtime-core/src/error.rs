//! The crate's error: what failed, where, why, and what to do next.
//!
//! Display is one link of a chain and never repeats its source; [`Error::report`] joins the chain into one line.
//! Where a caller of an OCI runtime matches on words (`container does not exist`, `executable file not found in $PATH`)
//! those words come first and our own detail follows.
use crate::Status;
use std::path::{Path, PathBuf};
pub use tare_sys::Errno;

/// A failed operation on a container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The id has a character that ids may not have, or is too long.
    #[error("invalid container ID format: {id:?} {why}")]
    InvalidId {
        /// As given, cut to 64 characters.
        id: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Another container has this id under the same root.
    #[error("container with given ID already exists: {id}")]
    Exists {
        /// The id.
        id: String,
    },
    /// There is no container of this id under this root.
    #[error("container does not exist: {id}")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The state directory is there but what it holds can't be used.
    #[error("state of container {id} is unusable: {}: {why}", path.display())]
    Corrupt {
        /// The id.
        id: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another process is creating, starting or deleting the container.
    #[error("container {id} is busy: another process holds its lock")]
    Busy {
        /// The id.
        id: String,
    },
    /// The operation needs a live container.
    #[error("container not running{}", was(*.status))]
    NotRunning {
        /// What it is instead.
        status: Status,
    },
    /// `resume` of a container that isn't paused.
    #[error("container not paused{}", was(*.status))]
    NotPaused {
        /// What it is instead.
        status: Status,
    },
    /// `delete` of a live container without force.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    DeleteLive {
        /// The id.
        id: String,
        /// What it is.
        status: Status,
    },
    /// `start` of a container that isn't `created`.
    #[error("{}", start_words(*.status))]
    CannotStart {
        /// What it is instead.
        status: Status,
    },
    /// `exec` into a container that can't take a process.
    #[error("{}", exec_words(*.status))]
    CannotExec {
        /// What it is.
        status: Status,
    },
    /// No signal of this name or number.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
    /// The bundle or its configuration file can't be read.
    #[error("bundle: {why}: {}", path.display())]
    Bundle {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A value in the configuration that the spec or this host forbids.
    #[error("{path}: {why}")]
    Config {
        /// JSON path, such as `linux.resources.memory.limit`.
        path: String,
        /// Why it can't be honoured.
        why: String,
    },
    /// The container's own program can't be executed.
    #[error("exec: {program:?}: {why}")]
    Program {
        /// `process.args[0]`.
        program: String,
        /// Why.
        why: ProgramError,
    },
    /// A step of the plan failed in the kernel.
    #[error("step {step}/{of}: {what}")]
    Step {
        /// Number of the step, from 1.
        step: usize,
        /// Number of steps.
        of: usize,
        /// The step as the plan renders it, such as `mount proc on /proc`.
        what: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
        /// What to do about it, where we know.
        hint: Option<String>,
    },
    /// A step of the host's lane failed for a reason that has words of its own.
    #[error("step {step}/{of}: host: {what}")]
    HostStep {
        /// Number of the step, from 1.
        step: usize,
        /// Number of steps.
        of: usize,
        /// The step as the plan renders it.
        what: String,
        /// The reason.
        #[source]
        source: Box<Error>,
    },
    /// The container's first process died before it became the program.
    #[error("step {step}/{of}: {what}: the container's first process {how}")]
    ChildDied {
        /// Number of the step it stood at, from 1.
        step: usize,
        /// Number of steps.
        of: usize,
        /// The step as the plan renders it.
        what: String,
        /// `was killed by signal 9`, `exited with status 1`.
        how: String,
        /// What to do about it, where we know.
        hint: Option<String>,
    },
    /// A hook failed.
    #[error("hooks.{kind}[{index}]: {}: {why}", path.display())]
    Hook {
        /// `createRuntime`, `poststop`, ...
        kind: &'static str,
        /// Position in its list.
        index: usize,
        /// The program.
        path: PathBuf,
        /// Exit status, signal, timeout, or why it could not be run, with its output's end.
        why: String,
    },
    /// This host can't do it.
    #[error("{what}: not possible here: {why}")]
    Unsupported {
        /// What was asked.
        what: String,
        /// What is absent.
        why: String,
    },
    /// The container still has processes after it was killed.
    #[error("container {id}: init {pid} is still there {waited} after SIGKILL")]
    Unkillable {
        /// The id.
        id: String,
        /// Host pid of init.
        pid: i32,
        /// How long it was waited for, such as `10 s`.
        waited: String,
    },
    /// Something that has to be there isn't.
    #[error("{what}: missing: {}", path.display())]
    Missing {
        /// What was being done.
        what: String,
        /// The absent file or directory.
        path: PathBuf,
    },
    /// The cgroup crate's failure.
    #[error(transparent)]
    Cgroup(#[from] tare_cgroup::Error),
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was being done and to what.
        what: String,
        /// The kernel's answer.
        #[source]
        errno: Errno,
    },
}

/// Why the container's program can't be executed; words that callers turn into exit statuses 126 and 127.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProgramError {
    /// A bare name that no directory of PATH has.
    #[error("executable file not found in $PATH")]
    NotInPath,
    /// A path that isn't there.
    #[error("stat {0}: no such file or directory")]
    Absent(String),
    /// No execute permission.
    #[error("permission denied")]
    NotExecutable,
    /// A directory.
    #[error("is a directory")]
    Directory,
    /// A path through something that isn't a directory.
    #[error("stat {0}: not a directory")]
    NotADirectory(String),
    /// There, but its `#!` or ELF interpreter isn't.
    #[error("interpreter {0}: no such file or directory")]
    InterpreterAbsent(String),
    /// Neither ELF of this machine nor `#!`.
    #[error("exec format error")]
    WrongFormat,
    /// Anything else, by errno.
    #[error("{0}")]
    Other(Errno),
}

/// What kind of failure it is, for a caller that acts on it. Few and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such container.
    NotFound,
    /// The id is taken.
    Exists,
    /// An argument that can't be right: id, signal.
    InvalidArgument,
    /// The bundle or its configuration.
    InvalidConfig,
    /// The container isn't in the status that the operation needs.
    WrongStatus,
    /// Another process works on the container; a later try may succeed.
    Busy,
    /// The container's program can't be executed.
    Program,
    /// A hook failed.
    Hook,
    /// This host can't do it.
    Unsupported,
    /// The state directory is damaged.
    Corrupt,
    /// The kernel refused a step.
    System,
}

impl Error {
    /// The kind of failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::InvalidId { .. } | Error::UnknownSignal(_) => ErrorKind::InvalidArgument,
            Error::Exists { .. } => ErrorKind::Exists,
            Error::NotFound { .. } => ErrorKind::NotFound,
            Error::Corrupt { .. } => ErrorKind::Corrupt,
            Error::Busy { .. } => ErrorKind::Busy,
            Error::NotRunning { .. }
            | Error::NotPaused { .. }
            | Error::DeleteLive { .. }
            | Error::CannotStart { .. }
            | Error::CannotExec { .. } => ErrorKind::WrongStatus,
            Error::Bundle { .. } | Error::Config { .. } => ErrorKind::InvalidConfig,
            Error::Program { .. } => ErrorKind::Program,
            Error::Hook { .. } => ErrorKind::Hook,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::Cgroup(tare_cgroup::Error::Refused(_)) => ErrorKind::InvalidConfig,
            Error::Cgroup(_)
            | Error::Step { .. }
            | Error::HostStep { .. }
            | Error::ChildDied { .. }
            | Error::Unkillable { .. }
            | Error::Missing { .. }
            | Error::System { .. } => ErrorKind::System,
        }
    }

    /// What whoever reads the error may do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        crate::hint::hint(self)
    }

    /// The whole chain in one line: this error and its sources, joined by `: `.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            line.push_str(": ");
            line.push_str(&error.to_string());
            source = error.source();
        }
        line
    }

    /// A failed system call on a path; ENOENT is worded as [`Error::Missing`].
    pub(crate) fn path(what: &str, path: &Path, errno: impl IntoErrno) -> Error {
        match errno.into_errno() {
            Errno::ENOENT => Error::Missing {
                what: what.to_owned(),
                path: path.to_owned(),
            },
            errno => Error::System {
                what: format!("{what} {}", path.display()),
                errno,
            },
        }
    }

    /// A failed system call that isn't about a path.
    pub(crate) fn system(what: impl Into<String>, errno: impl IntoErrno) -> Error {
        Error::System {
            what: what.into(),
            errno: errno.into_errno(),
        }
    }
}

impl From<crate::config::ConfigError> for Error {
    fn from(error: crate::config::ConfigError) -> Error {
        let path = if error.path.is_empty() {
            "config".to_owned()
        } else {
            error.path
        };
        Error::Config {
            path,
            why: error.reason,
        }
    }
}

/// Whatever carries an errno.
pub(crate) trait IntoErrno {
    /// The errno.
    fn into_errno(self) -> Errno;
}

impl IntoErrno for Errno {
    fn into_errno(self) -> Errno {
        self
    }
}

impl IntoErrno for rustix::io::Errno {
    fn into_errno(self) -> Errno {
        Errno::new(self.raw_os_error())
    }
}

impl IntoErrno for &std::io::Error {
    fn into_errno(self) -> Errno {
        // An io::Error without a number comes from std itself (short read, invalid data): EIO is the nearest name.
        self.raw_os_error().map_or(Errno::EIO, Errno::new)
    }
}

fn was(status: Status) -> String {
    match status {
        Status::Stopped => String::new(),
        status => format!(": it is {status}"),
    }
}

fn start_words(status: Status) -> &'static str {
    match status {
        Status::Stopped => "cannot start a container that has stopped",
        Status::Creating => "cannot start a container that is still being created",
        Status::Paused => "cannot start a paused container",
        Status::Created | Status::Running => "cannot start an already running container",
    }
}

fn exec_words(status: Status) -> &'static str {
    match status {
        Status::Paused => "cannot exec in a paused container (use --ignore-paused to override)",
        Status::Creating => "cannot exec in a container that is still being created",
        _ => "cannot exec in a stopped container",
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
