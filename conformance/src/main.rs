//! `conformance`: drives an OCI runtime through real containers and asserts what is seen inside them.
//!
//! This crate imports no product crate: it knows a runtime only by its command line, its files and the
//! processes it makes, so the same cases prove runc, crun and trun alike.
#![forbid(unsafe_code)]

mod args;
mod attacks;
mod case;
mod cloexec;
#[path = "../cve/mod.rs"]
mod cve;
mod expected;
mod faults;
mod inspect;
mod leaks;
mod limits;
mod process;
mod report;
mod rootfs;
mod runner;
mod runtime;
mod runtime_tools;
mod sandbox;
mod spec;
mod suites;
mod trace;
mod trace_paths;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.next_if(|word| word == "faults").is_some() {
        return faults::main(words);
    }
    match args::parse(words) {
        Ok(args::Command::Suite(options)) => runner::run(&options),
        Ok(args::Command::Attacks(options)) => attacks::run(&options),
        Ok(args::Command::OneCase(options)) => case::run_in_this_process(&options),
        Ok(args::Command::RuntimeTools(options)) => runtime_tools::run(&options),
        Ok(args::Command::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("conformance: {message}");
            ExitCode::from(2)
        }
    }
}
