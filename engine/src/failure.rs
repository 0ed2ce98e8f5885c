//! How a command fails: a message that has the whole chain of causes, and docker's exit status.

use std::error::Error;
use std::fmt;

/// What is typed is wrong, or the engine itself fails (docker run, "Exit status").
pub const USAGE: u8 = 125;

/// The end of a command that could not do what it should.
#[derive(Debug)]
pub struct Failure {
    /// The program's exit status.
    pub status: u8,
    /// One line for a person; empty: all is said.
    pub message: String,
}

impl Failure {
    /// With status 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            status: 1,
            message: message.to_string(),
        }
    }

    /// The same with another status.
    pub fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(chain(&error))
    }
}

/// An error with its causes, each once.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        source = error.source();
    }
    text
}
