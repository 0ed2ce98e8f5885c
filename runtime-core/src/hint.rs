//! What to do about an error: pure, one place for every advice.
use crate::error::{Error, ProgramError};

/// Advice for whoever reads the error, or `None` where we have none.
pub(crate) fn hint(error: &Error) -> Option<String> {
    let text = match error {
        Error::InvalidId { .. } => {
            "an id has letters, digits and any of _ + - . only, and at most 1024 of them"
        }
        Error::Exists { id } => {
            return Some(format!(
                "choose another id, or remove the old container with `delete {id}`"
            ));
        }
        Error::NotFound { .. } => "see `list` for the containers under this --root",
        Error::Corrupt { id, .. } | Error::Unkillable { id, .. } => {
            return Some(format!("`delete --force {id}` removes what is left of it"));
        }
        Error::Busy { .. } => "try again once the other command has ended",
        Error::DeleteLive { id, .. } => {
            return Some(format!(
                "`kill {id} KILL` first, or use `delete --force {id}`"
            ));
        }
        Error::NotPaused { .. } | Error::NotRunning { .. } | Error::CannotStart { .. } => {
            return None;
        }
        Error::CannotExec { .. } => return None,
        Error::UnknownSignal(_) => "give a number, or a name such as TERM, SIGKILL or SIGRTMIN+3",
        Error::Bundle { .. } => {
            "a bundle is a directory with a config.json; `spec` writes one to start from"
        }
        Error::Config { .. } => return None,
        Error::Program { program, why } => return program_hint(program, why),
        Error::Step { hint, .. } | Error::ChildDied { hint, .. } => return hint.clone(),
        Error::HostStep { source, .. } => return hint(source),
        Error::Hook { .. } => "run the hook by hand with the container's state JSON on its stdin",
        Error::Unsupported { .. } => return None,
        Error::Cgroup(tare_cgroup::Error::Io { errno, hint, .. }) if hint.is_empty() => {
            return errno_hint(errno.raw_os_error()).map(str::to_owned);
        }
        Error::Missing { .. } | Error::Cgroup(_) => return None,
        Error::System { what, errno }
            if what.contains(crate::store::STATE_ROOT) && matches!(errno.get(), 1 | 13 | 30) =>
        {
            "the caller may not use that directory: name another one by --root, or for a user's own set XDG_RUNTIME_DIR (usually /run/user/UID)"
        }
        Error::System { errno, .. } => return errno_hint(errno.get()).map(str::to_owned),
    };
    Some(text.to_owned())
}

/// Advice by errno alone, for steps that have none of their own.
pub(crate) fn errno_hint(errno: i32) -> Option<&'static str> {
    Some(match errno {
        1 | 13 => "this needs root, or a user namespace with these rights",
        11 | 116 => "something outside keeps changing the files that the container is made of",
        12 => "the host is out of memory",
        23 | 24 => "raise the limit of open files (ulimit -n, fs.file-max)",
        28 => "the filesystem is full",
        30 => "the filesystem is mounted read-only",
        38 => "this kernel does not have the system call; Linux 5.10 or newer is needed",
        122 => "the disk quota is used up",
        _ => return None,
    })
}

fn program_hint(program: &str, why: &ProgramError) -> Option<String> {
    Some(match why {
        ProgramError::NotInPath => {
            format!("is {program} in the image, and in a directory of the PATH of process.env?")
        }
        ProgramError::Absent(path) => {
            format!("is {path} in the image? The path is seen from inside the container")
        }
        ProgramError::NotExecutable => {
            format!("chmod +x {program} in the image; is its mount noexec?")
        }
        ProgramError::Directory | ProgramError::NotADirectory(_) => {
            "process.args[0] must name a program".to_owned()
        }
        ProgramError::InterpreterAbsent(_) => {
            format!(
                "{program} is in the image, but not the program that its #! line names, or the loader of the libc it was linked for"
            )
        }
        ProgramError::WrongFormat => {
            format!(
                "{program} is built for another processor (see `file`), or is a script without a #! line"
            )
        }
        ProgramError::Other(errno) => return errno_hint(errno.get()).map(str::to_owned),
    })
}
