//! `tare`: images and containers without a daemon, by docker's commands.
//!
//! Here: what was typed, which command it is, and how an error ends the program.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod containers;
mod failure;
mod format;
mod interrupt;
mod namespace;
mod output;
mod place;
mod progress;
mod run;

use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() {
                failure::USAGE
            } else {
                0
            };
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return ExitCode::from(status);
        }
    };
    match commands::run(cli) {
        Ok(status) => ExitCode::from(status),
        Err(Failure { status, message }) => {
            if !message.is_empty() {
                eprintln!("tare: {message}");
            }
            ExitCode::from(status)
        }
    }
}
