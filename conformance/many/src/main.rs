//! `many`: many containers at once, many actors on one container, and processes that are unkind to the library inside them.
//!
//! Unlike the rest of the conformance suite it embeds `tare-runtime`, because that is what it tests; trun is driven beside it.
//! Each case runs in a process of its own, with its own mount namespace, state root and ids; a case that does not end in time
//! is killed by pid after each of its threads and processes has been told.
#![forbid(unsafe_code)]

mod actor;
mod args;
mod bundle;
mod case;
mod console;
mod hang;
mod host;
mod outcome;
#[path = "../../src/process.rs"]
#[allow(
    dead_code,
    reason = "shared with the conformance crate, which uses all of it"
)]
mod process;
mod processes;
mod races;
mod random;
mod threads;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(args::Command::Suite(options)) => case::run_all(&options),
        Ok(args::Command::Case(name, options)) => case::run_here(&name, &options),
        Ok(args::Command::Worker(share, options)) => processes::work(share, &options),
        Ok(args::Command::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("many: {message}");
            ExitCode::from(2)
        }
    }
}
