//! `shim-conformance`: plays containerd to any shim binary and asserts what containerd relies on.
//!
//! This crate imports no product crate: it knows a shim only by its command line, its sockets and the processes it makes, so
//! the same cases prove containerd's own shim and ours. Three helper files are the conformance suite's.
#![forbid(unsafe_code)]

mod args;
mod bench;
mod case;
mod cases;
mod client;
mod container;
mod events;
mod expected;
mod fifo;
mod idle;
mod lab;
#[path = "../../src/leaks.rs"]
mod leaks;
#[allow(
    dead_code,
    reason = "shared with the conformance suite, which uses all of it"
)]
#[path = "../../src/process.rs"]
mod process;
mod reaper;
mod rootfs;
mod runner;
mod sandbox;
#[allow(
    dead_code,
    reason = "shared with the conformance suite, which uses all of it"
)]
#[path = "../../src/spec.rs"]
mod spec;
mod task;
mod wire;

use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)) {
        Ok(args::Command::Help) => {
            print!("{}", args::HELP);
            ExitCode::SUCCESS
        }
        Ok(args::Command::List) => {
            for case in cases::all() {
                println!("{}", case.name);
            }
            ExitCode::SUCCESS
        }
        Ok(args::Command::Suite(options)) => runner::run(&options),
        Ok(args::Command::Bench(options)) => bench::run(&options),
        Ok(args::Command::Idle(options)) => idle::run(&options),
        Ok(args::Command::OneCase(options)) => case::run_in_this_process(options),
        Err(message) => {
            eprintln!("shim-conformance: {message}");
            ExitCode::from(2)
        }
    }
}
