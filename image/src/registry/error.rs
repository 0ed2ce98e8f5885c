//! What a registry, or the way to it, answers.

use crate::Digest;
use crate::manifest::DocumentError;
use std::path::PathBuf;
use thiserror::Error;

/// Why something could not be had from a registry or given to it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// No answer at all.
    #[error("{url}: {why}{hint}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// Why.
        why: String,
        /// What to do, or empty.
        hint: &'static str,
    },
    /// Nobody is let in without a name, or not with this one.
    #[error("{host} refuses {what}: {why}: log in by `tare login {host}`")]
    Unauthorized {
        /// The registry.
        host: String,
        /// What was wanted.
        what: String,
        /// The registry's words.
        why: String,
    },
    /// Whoever asks may not have it.
    #[error(
        "{host} denies {what}: {why}: the account may lack the right to it, or it does not exist"
    )]
    Denied {
        /// The registry.
        host: String,
        /// What was wanted.
        what: String,
        /// The registry's words.
        why: String,
    },
    /// It is not there.
    #[error("{what} not found at {host}: {why}")]
    NotFound {
        /// The registry.
        host: String,
        /// What was wanted.
        what: String,
        /// The registry's words.
        why: String,
    },
    /// Asked too often.
    #[error(
        "{host} allows no more requests for now: {why}: try later, or log in by `tare login {host}` for a higher limit"
    )]
    TooMany {
        /// The registry.
        host: String,
        /// The registry's words.
        why: String,
    },
    /// Any other answer.
    #[error("{host} answers {what} with status {status}: {why}")]
    Status {
        /// The registry.
        host: String,
        /// What was wanted.
        what: String,
        /// The HTTP status.
        status: u16,
        /// The registry's words.
        why: String,
    },
    /// An answer that makes no sense.
    #[error("{host} answers {what} with nonsense: {why}")]
    Answer {
        /// The registry.
        host: String,
        /// What was wanted.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Content that is not what was asked for.
    #[error(
        "{host} gives {found} for {expected}: it was damaged on its way, or somebody changed it"
    )]
    Digest {
        /// The registry.
        host: String,
        /// Of what came.
        found: Digest,
        /// What was asked for.
        expected: Digest,
    },
    /// More than such a document may have.
    #[error("{host} answers {what} with more than {limit} bytes")]
    TooLarge {
        /// The registry.
        host: String,
        /// What was wanted.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A document that describes no image.
    #[error("{what} at {host}")]
    Document {
        /// The registry.
        host: String,
        /// Which document.
        what: String,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
    /// A file that says how to reach registries.
    #[error("{path:?}: {why}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A program that keeps passwords.
    #[error("docker-credential-{helper}: {why}")]
    Helper {
        /// Its name.
        helper: String,
        /// What went wrong.
        why: String,
    },
    /// What is to be sent is not what it should be.
    #[error(
        "what is to be sent to {host} is {found}, not {expected}: where it comes from it was damaged or changed; pull the image again"
    )]
    Source {
        /// The registry.
        host: String,
        /// Of what was read.
        found: Digest,
        /// What it should be.
        expected: Digest,
    },
    /// Reading what is to be sent.
    #[error("reading what is to be sent to {host}")]
    Upload {
        /// The registry.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}
