//! `trun`, an OCI runtime in place of runc or crun: parse, dispatch, exit status.
//!
//! The work is done by the `tare-runtime` library; here is what only a program may do: read the environment, print, log, hold a
//! terminal.
#![forbid(unsafe_code)]

mod args;
mod commands;
mod completion;
mod error;
mod help;
mod log;
mod man;
mod notify;
mod owner;
#[cfg(feature = "proof")]
mod proof;
mod resolve;
mod table;

use args::{Invocation, Matches, UsageError};
use commands::Context;
use error::Failure;
use log::{Format, Level, Log};
use std::io::Write;
use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: tare_sys::heap::Heap = tare_sys::heap::Heap::new();

fn main() -> ExitCode {
    #[cfg(feature = "proof")]
    if let Ok(names) = std::env::var("TARE_WEAKEN")
        && let Err(unknown) = tare_runtime::weaken(&names)
    {
        eprintln!("TARE_WEAKEN: {unknown}");
        return ExitCode::from(2);
    }
    let mut words = std::env::args_os();
    let program = program_name(words.next());
    // A name that isn't UTF-8 can't be an id, and a path that isn't is not worth a second kind of string everywhere.
    let words: Vec<String> = words
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (global, parsed) = args::parse(&words);
    let log = match open_log(&global) {
        Ok(log) => log,
        Err(failure) => {
            Log::to_stderr(Format::Text, Level::Error)
                .error(&failure.message, failure.hint.as_deref());
            return ExitCode::from(failure.status);
        }
    };
    #[cfg(feature = "proof")]
    let before = proof::Descriptors::at_begin();
    let result = match parsed {
        Ok(Invocation::Help(None)) => print(&help::whole(&program)),
        Ok(Invocation::Help(Some(command))) => print(&help::command(&program, command)),
        Ok(Invocation::Version) => print(&commands::version::text()),
        Ok(Invocation::Run {
            global,
            command,
            matches,
        }) => {
            log.debug(&format!("{program} {}", words.join(" ")));
            #[cfg(feature = "proof")]
            if let Err(failure) = proof::arm() {
                log.error(&failure.message, None);
                return ExitCode::from(failure.status);
            }
            Context::new(&program, &log, &global)
                .and_then(|context| commands::run(command.name, &context, &matches))
        }
        Err(wrong) => Err(explain(&program, wrong)),
    };
    let status = match result {
        Ok(status) => status,
        Err(failure) => {
            log.error(&failure.message, failure.hint.as_deref());
            failure.status
        }
    };
    #[cfg(feature = "proof")]
    let status = before.map_or(status, |before| before.judge(status));
    ExitCode::from(status)
}

/// Writes data to stdout.
fn print(text: &str) -> Result<u8, Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(0),
        // The reader has had enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err(Failure::file("write", "stdout", &error)),
    }
}

/// The name we were called by: `runc` and `crun` by a symbolic link.
fn program_name(word: Option<std::ffi::OsString>) -> String {
    let path = word.map(std::path::PathBuf::from).unwrap_or_default();
    path.file_name().map_or_else(
        || "trun".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn open_log(global: &Matches) -> Result<Log, Failure> {
    let format = match global.value("log-format") {
        None | Some("text" | "") => Format::Text,
        Some("json") => Format::Json,
        Some(other) => {
            return Err(Failure::new(format!(
                "invalid log-format {other:?}: must be text or json"
            )));
        }
    };
    let level = match (global.value("log-level"), global.has("debug")) {
        (Some("debug"), _) | (None, true) => Level::Debug,
        (Some("warning" | "warn"), _) => Level::Warning,
        (Some("error") | None, _) => Level::Error,
        (Some(other), _) => {
            return Err(Failure::new(format!(
                "invalid log-level {other:?}: must be error, warning or debug"
            )));
        }
    };
    match global.value("log") {
        None | Some("") => Ok(Log::to_stderr(format, level)),
        Some(path) => Log::to_file(path, format, level)
            .map_err(|error| Failure::file("open the log", path, &error)),
    }
}

fn explain(program: &str, wrong: UsageError) -> Failure {
    let usage = match wrong.command.and_then(table::command) {
        Some(command) => help::usage(program, command),
        None => format!("Usage: {program} [GLOBAL FLAGS] COMMAND [FLAGS] [ARGS...]"),
    };
    let whole = wrong.command.map_or_else(
        || format!("{program} --help"),
        |name| format!("{program} {name} --help"),
    );
    Failure::new(wrong.message)
        .status(wrong.status)
        .hint(format!("{usage}; `{whole}` tells more"))
}
