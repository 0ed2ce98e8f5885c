//! Why a layer can't be unpacked.

use tare_tar::TarError;
use thiserror::Error;

/// What is wrong with a layer, or with the place where it should go.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// The archive is malformed.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A name that no file of a layer may have.
    #[error("the layer has an entry named {path:?}: {why}")]
    Name {
        /// The name in the archive, cut where it is long.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An entry that can't be made as the archive says.
    #[error("the layer's entry {path:?}: {why}")]
    Entry {
        /// Its name.
        path: String,
        /// Why.
        why: String,
    },
    /// The kernel refused.
    #[error("{what} {path:?} of the layer: {source}{hint}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file in the layer.
        path: String,
        /// The kernel's answer.
        source: rustix::io::Errno,
        /// What to do, or empty.
        hint: &'static str,
    },
    /// More than a layer may have.
    #[error(
        "the layer has more than {limit} {what}: it looks like a bomb; a higher limit lets it through"
    )]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The compressed stream is malformed.
    #[error("the layer's {format} stream is malformed: {why}")]
    Compression {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What the decoder says.
        why: String,
    },
    /// The content is not what its name says.
    #[error(
        "the layer's {what} is {found}, it should be {expected}: it was damaged on its way, or somebody changed it"
    )]
    Digest {
        /// Of what: the compressed or the uncompressed bytes.
        what: &'static str,
        /// As it came.
        found: crate::Digest,
        /// As it was announced.
        expected: crate::Digest,
    },
    /// Less or more bytes than announced.
    #[error("the layer has {found} bytes, {expected} were announced")]
    Size {
        /// As it came; one more than announced stands for all that is more.
        found: u64,
        /// As announced.
        expected: u64,
    },
    /// Whoever gives the bytes failed.
    #[error("reading the layer")]
    Source(#[source] std::io::Error),
    /// Writing what is kept beside the files failed.
    #[error("writing the layer's record")]
    Record(#[source] std::io::Error),
    /// The process may have no more threads.
    #[error("starting a thread")]
    Thread(#[source] std::io::Error),
    /// Somebody asked for the end.
    #[error("interrupted")]
    Interrupted,
}

impl UnpackError {
    pub(crate) fn io(what: &'static str, path: &[u8], source: rustix::io::Errno) -> Self {
        use rustix::io::Errno;
        let hint = match source {
            Errno::NOSPC | Errno::DQUOT => {
                ": free some space there, for example by `tare image prune`"
            }
            Errno::ROFS => ": the store is read-only",
            Errno::NAMETOOLONG => ": no file system of this machine has names this long",
            Errno::OVERFLOW => {
                ": its owner has no number here, /etc/subuid and /etc/subgid give this user too few"
            }
            Errno::MLINK => ": the file system allows no more links to one file",
            _ => "",
        };
        Self::Io {
            what,
            path: super::path::shown(path),
            source,
            hint,
        }
    }
}
