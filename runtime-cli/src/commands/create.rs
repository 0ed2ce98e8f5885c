//! `create`: makes a container that waits for `start`.
use super::{Context, id, number};
use crate::args::Matches;
use crate::error::Failure;
use crate::resolve;
use std::path::{Path, PathBuf};
use tare_runtime::{Console, CreateOptions, Error};

pub fn run(context: &Context<'_>, matches: &Matches) -> Result<u8, Failure> {
    context.resolved.keep_root();
    let options = options(matches)?;
    let container = context
        .runtime
        .create(id(matches), bundle(matches), options)
        .map_err(|error| failure(context.program, error))?;
    context.warn(container.warnings());
    Ok(0)
}

/// The bundle's directory.
pub fn bundle(matches: &Matches) -> PathBuf {
    matches
        .value("bundle")
        .filter(|path| !path.is_empty())
        .map_or_else(|| Path::new(".").to_owned(), PathBuf::from)
}

/// What `create`, `run` and `plan` have in common.
pub fn options(matches: &Matches) -> Result<CreateOptions, Failure> {
    let listen_fds = resolve::listen_fds();
    let preserve_fds = number(matches, "preserve-fds")?.unwrap_or(0);
    check_preserved(listen_fds.count, preserve_fds)?;
    let path = |name| {
        matches
            .value(name)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    Ok(CreateOptions {
        config: path("config"),
        console: path("console-socket").map_or(Console::None, Console::Socket),
        pidfd_socket: path("pidfd-socket"),
        pid_file: path("pid-file"),
        no_pivot: matches.has("no-pivot"),
        no_new_keyring: matches.has("no-new-keyring"),
        preserve_fds,
        listen_fds,
        notify_socket: resolve::notify_socket(),
        ..CreateOptions::default()
    })
}

/// What is to be passed on must be there; what is not to be passed on must not reach a hook either.
pub fn check_preserved(listen_fds: u32, preserve_fds: u32) -> Result<(), Failure> {
    let end = 3u32.saturating_add(listen_fds).saturating_add(preserve_fds);
    for fd in 3..end {
        if std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err() {
            let words = format!(
                "--preserve-fds: file descriptor {fd} (of 3 to {}) is not open",
                end - 1
            );
            return Err(Failure::new(words).hint("N counts from 3 + $LISTEN_FDS on"));
        }
    }
    tare_runtime::close_on_exec_from(end)?;
    Ok(())
}

/// A failed creation in the words that callers and users know.
pub fn failure(program: &str, error: Error) -> Failure {
    let by_the_kernel = matches!(
        error,
        Error::Program { .. }
            | Error::Step { .. }
            | Error::HostStep { .. }
            | Error::ChildDied { .. }
            | Error::Hook { .. }
            | Error::Cgroup(_)
    );
    let failure = Failure::from(error);
    if by_the_kernel {
        return failure.within(&format!(
            "{program} create failed: unable to start container process"
        ));
    }
    failure
}
