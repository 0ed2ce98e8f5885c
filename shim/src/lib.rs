//! containerd's shim on the runtime library, without a runtime program: `io.containerd.tare.v2`, as a library for its program
//! and for tests.
//!
//! `start` binds a socket and leaves a [`server`] behind, which makes containers by [`work`] and answers ttrpc calls; the order of
//! what it tells is decided by [`life`]. Modules that say so are pure.
#![forbid(unsafe_code)]

pub mod arguments;
pub mod bootstrap;
pub mod clock;
pub mod connection;
pub mod delete;
pub mod failure;
pub mod furniture;
pub mod info;
pub mod life;
pub mod options;
pub mod pin;
pub mod pod;
pub mod publish;
pub mod record;
pub mod rootfs;
pub mod server;
pub mod start;
pub mod stats;
pub mod stdio;
pub mod task;
pub mod usage;
pub mod work;
