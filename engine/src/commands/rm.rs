//! `tare rm`.

use super::print;
use crate::cli::Rm;
use crate::containers::{self, State};
use crate::failure::Failure;
use crate::place::Place;
use tare_runtime::Error;

pub fn run(place: &Place, words: &Rm) -> Result<u8, Failure> {
    let mut status = 0;
    for container in &words.containers {
        match remove(place, container, words.force) {
            Ok(()) => print(&format!("{container}\n"))?,
            // The others are removed all the same.
            Err(failure) => {
                eprintln!("tare: {}", failure.message);
                status = 1;
            }
        }
    }
    Ok(status)
}

fn remove(place: &Place, text: &str, force: bool) -> Result<(), Failure> {
    let found = containers::find(place, text)?;
    let runtime = place.runtime();
    let id = &found.record.id;
    let state = found.state(&runtime)?;
    if state != State::Exited && !force {
        return Err(Failure::new(format!(
            "container {id:.12} is {}: stop it first, or remove it by force (tare rm -f)",
            if state == State::Created {
                "being made"
            } else {
                "running"
            }
        )));
    }
    if state != State::Exited {
        // Killed, not deleted: its `tare run` sees its end and cleans up after it.
        end(place, id)?;
    }
    // One that is not kept takes itself away.
    let Some(_held) = found.hold()? else {
        return Ok(());
    };
    match runtime.delete(id, true) {
        Ok(_) | Err(Error::NotFound { .. }) => {}
        Err(error) => return Err(Failure::new(error.report())),
    }
    let bundle = place.run.join("containers").join(id);
    match std::fs::remove_dir_all(&bundle) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(containers::failed("remove", &bundle, &error));
        }
        _ => {}
    }
    found.remove(place)
}

fn end(place: &Place, id: &str) -> Result<(), Failure> {
    let container = match place.runtime().load(id) {
        // It has ended meanwhile.
        Err(Error::NotFound { .. }) => return Ok(()),
        other => other.map_err(|error| Failure::new(error.report()))?,
    };
    match container.kill(tare_runtime::Signal::KILL, true) {
        Ok(()) | Err(Error::NotRunning { .. }) => Ok(()),
        Err(error) => Err(Failure::new(error.report())),
    }
}
