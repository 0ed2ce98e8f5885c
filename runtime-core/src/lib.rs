//! Containers from OCI bundles, as a library: namespaces, cgroups, capabilities, seccomp and pivot_root for any program.
//!
//! ```no_run
//! use std::path::Path;
//! use tare_runtime::{CreateOptions, Runtime};
//! # fn main() -> Result<(), tare_runtime::Error> {
//! let runtime = Runtime::new("/run/demo");
//! println!("{}", runtime.plan("c1", Path::new("/bundles/hello"), &CreateOptions::default())?);
//! let mut container = runtime.create("c1", Path::new("/bundles/hello"), CreateOptions::default())?;
//! container.start()?;
//! let status = container.wait()?;
//! runtime.delete("c1", false)?;
//! println!("exited with {}", status.code());
//! # Ok(())
//! # }
//! ```
//!
//! A bundle's `config.json` becomes a [`plan::ir::Plan`] (pure, readable), which is proved by [`plan::check`] and then run: its host
//! lane here, its child lane in `stage-init`, a small static program that becomes the container's.
//!
//! Calls block; whoever has an event loop polls the pidfds. Any thread of any process may call: no signal handler, no fork of the
//! caller's memory, no global state but the sealed memfd of `stage-init`.
//!
//! # What this crate does not do
//! It never prints and reads neither the environment nor argv nor HOME. It trusts no path that a container's owner can change:
//! those are resolved in the container's root, by file descriptor, when they are used.
#![deny(unsafe_code)]

// The unit tests share files with the test programs, which know this crate by its name.
#[cfg(test)]
extern crate self as tare_runtime;

pub mod config;
mod container;
mod control;
mod create;
#[cfg(feature = "doors")]
#[doc(hidden)]
pub mod doors;
mod error;
mod failure;
#[cfg(feature = "proof")]
pub mod fault;
mod features;
mod foreign;
mod helper;
mod hint;
mod hook;
mod id_maps;
mod idmap;
mod image;
mod inherit;
mod intel_rdt;
mod lane;
mod lower;
mod net_device;
mod options;
mod outside;
mod pass;
pub mod plan;
mod probe;
mod process;
mod procfs;
mod runtime;
mod signal;
mod signals;
#[allow(unsafe_code)] // the launch of a child that borrows our memory: see its doc
mod spawn;
#[cfg(test)]
mod stage_tests;
mod state;
mod store;
mod time;
#[cfg(feature = "proof")]
mod times;
mod wait;
#[cfg(feature = "proof")]
mod weaken;

pub use container::{Container, RdtUpdate};
pub use error::{Errno, Error, ErrorKind, ProgramError};
pub use features::features;
pub use foreign::ForeignCgroup;
pub use idmap::user_namespace;
pub use inherit::close_on_exec_from;
pub use options::{Console, CreateOptions, ExecOptions, ListenFds, Stdio};
pub use process::Process;
pub use runtime::{Listing, Runtime};
pub use signal::Signal;
pub use signals::SignalReceiver;
pub use state::{ContainerState, Record, RecordConfig, RecordTare, Status, TailStep};
pub use store::check_id;
/// What [`Stats`] is made of.
pub use tare_cgroup::stats;
pub use tare_cgroup::{Manager as CgroupManager, OomEvent, OomWatch, Stats};
pub use time::rfc3339;
#[cfg(feature = "proof")]
pub use times::keep_times;
pub use wait::ExitStatus;
#[cfg(feature = "proof")]
pub use weaken::{lacks, weaken};
