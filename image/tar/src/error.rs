//! What can be wrong with an archive.

use thiserror::Error;

/// Why an archive can't be read; `at` is the position of the header in the uncompressed archive, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TarError {
    /// The sum over the header is another than the one in it.
    #[error(
        "the tar header at byte {at} has a wrong checksum: the archive is damaged, or not a tar archive"
    )]
    Checksum {
        /// Where the header begins.
        at: u64,
    },
    /// A field is no number, or one out of range.
    #[error("the tar header at byte {at} has no valid {field}: {value:?}")]
    Number {
        /// Where the header begins.
        at: u64,
        /// The field's name in the standard.
        field: &'static str,
        /// What stands there.
        value: String,
    },
    /// A kind of member that is no part of a file system.
    #[error(
        "the tar entry at byte {at} ({path:?}) has the type {flag:?}, which is no file, directory, link or device"
    )]
    Type {
        /// Where the header begins.
        at: u64,
        /// Its type flag.
        flag: char,
        /// Its name.
        path: String,
    },
    /// An extension says something that makes no sense.
    #[error("the extended header before byte {at} is malformed: {why}")]
    Extension {
        /// Where the header of the entry that it describes begins, or its own.
        at: u64,
        /// What is wrong.
        why: String,
    },
    /// A sparse file's map is malformed.
    #[error("the sparse file at byte {at} ({path:?}) has a malformed map: {why}")]
    Sparse {
        /// Where the header begins.
        at: u64,
        /// Its name.
        path: String,
        /// What is wrong.
        why: &'static str,
    },
    /// More than the reader was told to take.
    #[error("the tar entry at byte {at} is too large: {what} of {value}, the limit is {limit}")]
    Limit {
        /// Where the header begins.
        at: u64,
        /// What is too large.
        what: &'static str,
        /// How large it is, or the least that it is known to be.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// An entry that says nothing of its name.
    #[error("the tar entry at byte {at} has no name")]
    NoName {
        /// Where the header begins.
        at: u64,
    },
    /// A block of zeros, then no second one.
    #[error("the archive has one block of zeros at byte {at} where its end has two")]
    LoneZeroBlock {
        /// Where the block begins.
        at: u64,
    },
    /// The bytes end inside a member.
    #[error("the archive ends at byte {at}, in the middle of {within}")]
    Truncated {
        /// How many bytes there were.
        at: u64,
        /// What was being read.
        within: &'static str,
    },
}
