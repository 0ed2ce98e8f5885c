//! What a long-lived process that owns containers is made of: one wait for everything, output on its way without buffers, jobs
//! that block, and orphans to reap.
//!
//! ```
//! use rustix::event::EventfdFlags;
//! use tare_supervisor::{Interest, Poll};
//! # fn main() -> std::io::Result<()> {
//! let poll = Poll::new()?;
//! let bell = rustix::event::eventfd(1, EventfdFlags::CLOEXEC)?;
//! poll.add(&bell, 7, Interest::Read)?;
//! assert_eq!(poll.wait(None)?[0].token, 7);
//! # Ok(())
//! # }
//! ```
//!
//! The shim, and what stays with a container in the foreground, are built on it. It knows nothing of ttrpc, Docker or files of logs, and never prints.
//! While nothing happens it takes no CPU time: no timer ticks, no thread waits.
#![forbid(unsafe_code)]

mod fifo;
mod foreground;
mod jobs;
mod poll;
mod reap;
mod relay;
mod terminal;

pub use fifo::{Reader, Writer};
pub use foreground::{Foreground, Notify, SystemError};
pub use jobs::Jobs;
pub use poll::{Interest, Poll, Ready};
pub use reap::{adopt_orphans, await_reaped, reap_orphans};
pub use relay::{Progress, Relay};
