//! One file a command.

mod archive;
mod change;
mod commit;
mod history;
pub mod images;
mod inspect;
mod login;
mod prune;
mod ps;
pub mod pull;
mod push;
mod referrers;
mod rm;
mod rmi;
mod tag;

use crate::cli::{Cli, Command, Image};
use crate::failure::Failure;
use crate::place::Place;
use clap::CommandFactory;
use std::io::Write;

/// Runs what was typed; the program's exit status.
pub fn run(cli: Cli) -> Result<u8, Failure> {
    let place = Place::find(cli.root.as_deref(), cli.run_root.as_deref())?;
    own_root(&cli.command)?;
    let done = |outcome: Result<(), Failure>| outcome.map(|()| 0);
    match cli.command {
        Command::Run(words) => crate::run::run(&place, &words),
        Command::Pull(words) | Command::Image(Image::Pull(words)) => {
            done(pull::run(&place, &words))
        }
        Command::Push(words) | Command::Image(Image::Push(words)) => {
            done(push::run(&place, &words))
        }
        Command::Save(words) | Command::Image(Image::Save(words)) => {
            done(archive::save(&place, &words))
        }
        Command::Load(words) | Command::Image(Image::Load(words)) => {
            done(archive::load(&place, &words))
        }
        Command::Import(words) | Command::Image(Image::Import(words)) => {
            done(archive::import(&place, &words))
        }
        Command::Images(words) | Command::Image(Image::Ls(words)) => {
            done(images::run(&place, &words))
        }
        Command::Rmi(words) | Command::Image(Image::Rm(words)) => rmi::run(&place, &words),
        Command::Tag(words) | Command::Image(Image::Tag(words)) => done(tag::run(&place, &words)),
        Command::Inspect(words) | Command::Image(Image::Inspect(words)) => {
            inspect::run(&place, &words)
        }
        Command::History(words) | Command::Image(Image::History(words)) => {
            done(history::run(&place, &words))
        }
        Command::Login(words) => done(login::login(&words)),
        Command::Logout(words) => done(login::logout(&words)),
        Command::Image(Image::Prune(words)) => done(prune::run(&place, &words)),
        Command::Image(Image::Referrers(words)) => done(referrers::run(&words)),
        Command::Image(Image::Df) => done(prune::df(&place)),
        Command::Ps(words) => done(ps::run(&place, &words)),
        Command::Rm(words) => rm::run(&place, &words),
        Command::Commit(words) => done(commit::commit(&place, &words)),
        Command::Export(words) => done(commit::export(&place, &words)),
        Command::Diff(words) => done(commit::diff(&place, &words.container)),
        Command::KeepPaused { id } => done(commit::keep_paused(&place, &id)),
        Command::Completion { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tare", &mut text);
            done(print(&String::from_utf8_lossy(&text)))
        }
        Command::Man { directory } => {
            let written = clap_mangen::generate_to(Cli::command(), &directory);
            done(written.map_err(|error| Failure::new(format!("{}: {error}", directory.display()))))
        }
    }
}

/// Whoever is not root becomes the root of a namespace of its own, wherever files have owners.
fn own_root(command: &Command) -> Result<(), Failure> {
    let mounts = match command {
        Command::Login(_)
        | Command::Logout(_)
        | Command::Completion { .. }
        | Command::Man { .. } => return Ok(()),
        Command::Run(_) | Command::Export(_) => true,
        _ => false,
    };
    match crate::namespace::enter() {
        // Without one images can still be had.
        Err(failure) if !mounts => {
            eprintln!(
                "tare: {}; all files will belong to the caller",
                failure.message
            );
            Ok(())
        }
        other => other,
    }
}

/// Writes data to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // Whoever reads has enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::new(format!("standard output: {error}"))),
    }
}
