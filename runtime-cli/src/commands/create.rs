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
        .create(id(matches), &bundle(matches), options)
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
        preserve_fds: number(matches, "preserve-fds")?.unwrap_or(0),
        listen_fds: resolve::listen_fds(),
        notify_socket: resolve::notify_socket(),
        ..CreateOptions::default()
    })
}

/// A failed creation in the words that callers and users know.
pub fn failure(program: &str, error: Error) -> Failure {
    let by_the_kernel = matches!(
        error,
        Error::Program { .. }
            | Error::Step { .. }
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
