//! The section `embed`: tare-runtime within a program that has memory and threads of its own.
#![forbid(unsafe_code)]

#[path = "../embedded.rs"]
mod embedded;

use std::process::ExitCode;
use tare_runtime::{CreateOptions, Error, Runtime};

fn main() -> ExitCode {
    embedded::serve(|place, id, done| {
        make(place, id, done).map_err(|error| {
            let source = std::error::Error::source(&error);
            format!("{error}: {source:?}")
        })
    })
}

fn make(place: &embedded::Place, id: &str, done: &mut dyn FnMut()) -> Result<(), Error> {
    let runtime = Runtime::new(&place.root);
    let mut container = runtime.create(id, &place.bundle, CreateOptions::default())?;
    done();
    container.start()?;
    done();
    container.wait()?;
    done();
    runtime.delete(id, false)?;
    done();
    Ok(())
}
