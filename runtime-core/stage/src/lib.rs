//! What may happen between clone and execve: decode a [`Program`] and run it, one function an operation.
//!
//! No std, no alloc, no unsafe code, no panic path, no decision: each operation is a kernel operation that the planner chose.
//! The only reader of these bytes is `stage-init`; the only writer is `lower` in `tare-runtime`, over the same definitions
//! ([`Op::encode`]), so the two can't drift apart.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod chroot;
mod copy_up;
mod cred;
#[cfg(feature = "doors")]
#[doc(hidden)]
pub mod doors;
mod exec;
#[cfg(feature = "proof")]
pub mod fault;
mod fs;
mod held;
mod home;
mod hook;
mod mount;
mod op;
mod parent;
mod process;
mod program;
pub mod report;
mod run;
mod secure;
mod text;
mod tty;
#[cfg(feature = "proof")]
pub mod weaken;

#[cfg(not(feature = "proof"))]
use tare_sys::path::open_beneath;
#[cfg(feature = "proof")]
use weaken::open_beneath;

pub use op::Attr;
pub use op::Op;
pub use program::{Flags, HEADER, List, MAGIC, Program, SLOTS, Sink, Table};
pub use run::run;
