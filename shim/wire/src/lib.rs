//! What containerd and a shim say to each other, as bytes: ttrpc frames, requests and responses, protobuf messages, options.
//!
//! No IO, no clock, no table that is built at run time: the caller owns sockets and buffers. Hostile bytes give an error, never a
//! panic, and take memory in proportion to what was sent, up to a limit.
#![forbid(unsafe_code)]

mod codec;
#[cfg(any(test, feature = "doors"))]
pub mod doors;
mod fields;
pub mod frame;
pub mod messages;
pub mod options;
pub mod rpc;

pub use codec::{Error, Fault, Fields, MOST_MEMORY, Message};
