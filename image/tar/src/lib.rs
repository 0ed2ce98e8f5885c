//! Tar archives as container images use them: a [`Reader`] that is pushed bytes as they come, and a [`Writer`] that writes
//! one output for one input.
//!
//! Formats read: v7, ustar, star, GNU (long names, base-256 numbers, old sparse files) and pax (paths, sizes, times, ids,
//! `SCHILY.xattr.`, GNU sparse 0.0, 0.1 and 1.0).
//! Formats written: ustar, with a pax header where ustar has no room.
//!
//! Where readers disagree about an odd archive this one decides as Go's `archive/tar` does, because the images of the world were
//! unpacked by it: global pax headers are skipped, a size on an entry without content is ignored.
//!
//! This crate does no IO, follows no path and allocates nothing that its [`Limits`] do not bound.
#![forbid(unsafe_code)]

mod entry;
mod error;
mod header;
mod limits;
mod member;
mod pax;
mod reader;
mod sparse;
mod writer;

pub use entry::{Entry, Kind, Segment, Time};
pub use error::TarError;
pub use limits::Limits;
pub use reader::{Reader, Sink};
pub use writer::Writer;

/// Headers and contents are padded to this many bytes (POSIX.1 pax, "ustar Interchange Format").
pub const BLOCK: usize = 512;
