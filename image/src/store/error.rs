//! What can go wrong with a store.

use crate::Digest;
use crate::manifest::DocumentError;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the store could not do something; nothing is half done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused.
    #[error("{what} {path:?}{hint}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What to do, or empty.
        hint: &'static str,
        /// The answer.
        #[source]
        source: std::io::Error,
    },
    /// Another layout than this program's.
    #[error(
        "the store {path:?} has version {found:?}, this program knows version 1: use a newer program, or another directory"
    )]
    Version {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: String,
    },
    /// Content that should be there.
    #[error("{digest} is not in the store: pull or load the image again")]
    Missing {
        /// Its digest.
        digest: Digest,
    },
    /// Content that is not what its name says.
    #[error("{path:?} is damaged: its content is {found}; pull the image again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The digest that its content has.
        found: Digest,
    },
    /// A layer that can't be put together again.
    #[error("the layer {diff_id} can't be put together again: {why}")]
    Layer {
        /// Which layer.
        diff_id: Digest,
        /// Why.
        why: String,
    },
    /// A document in the store that is none.
    #[error("of the image {digest}")]
    Document {
        /// Of the document.
        digest: Digest,
        /// What is wrong.
        #[source]
        source: DocumentError,
    },
}

impl StoreError {
    pub(crate) fn io(what: &'static str, path: &Path, source: std::io::Error) -> Self {
        let hint = match source.raw_os_error() {
            Some(28 | 122) => " (free some space there, for example by `tare image prune`)",
            Some(30) => " (the file system is read-only)",
            Some(13) if !rustix::process::geteuid().is_root() => {
                " (it belongs to another user: use a directory of your own)"
            }
            _ => "",
        };
        Self::Io {
            what,
            path: path.to_owned(),
            hint,
            source,
        }
    }
}
