//! cgroups of a container: drivers for cgroup v1, hybrid, v2 and systemd.
//!
//! Decide, then do: [`decide`] turns a [`Layout`] (plain data about the host) and a [`Request`] into [`Step`]s without any IO; an
//! [`Executor`] runs them. What runs later (pause, kill, update, statistics, removal) is direct code on a [`Cgroup`] handle.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use tare_cgroup::{Executor, Layout, Manager, Request, decide};
//! let layout = Layout::detect()?;
//! let decision = decide(&layout, &Request { id: "c1", path: "/demo/c1", ..Request::default() })?;
//! let mut executor = Executor::new();
//! for step in &decision.prepare {
//!     executor.run(step, None)?;
//! }
//! // Clone the child here, into `executor.directory()` where `decision.into_fd` says so.
//! let child = 4711;
//! for step in decision.place_after_clone_into() {
//!     executor.run(step, Some(child))?;
//! }
//! let cgroup = executor.commit(&decision, Manager::Cgroupfs);
//! println!("{:?}", cgroup.saved().paths);
//! cgroup.destroy()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What this crate does not do
//! No unsafe code, no reading of the environment, no printing, no threads, no configuration files. Only `detect`, `directory`,
//! `apply`, `execute`, `handle`, `freeze`, `stats`, `events`, `walk`, `remove`, `delegate` and `systemd::{bus, unit}` touch the system; all else is pure.
#![forbid(unsafe_code)]

mod apply;
mod decide;
mod delegate;
mod detect;
mod devices;
mod directory;
#[cfg(feature = "doors")]
#[doc(hidden)]
pub mod doors;
mod error;
mod events;
mod execute;
mod freeze;
mod handle;
mod layout;
mod limits;
mod path;
mod remove;
pub mod stats;
mod step;
mod systemd;
mod walk;

pub use decide::{Decision, Manager, Request, decide};
pub use devices::v1::Line as DeviceLine;
pub use devices::{Kind as DeviceKind, Rule as DeviceRule, Rules as DeviceRules};
pub use error::{Error, Refusal, Skip};
pub use events::{OomEvent, OomWatch};
pub use execute::Executor;
pub use handle::{Cgroup, Saved};
pub use layout::{Hierarchy, Layout, Mode};
pub use limits::Current;
pub use stats::Stats;
pub use step::{Make, Missing, Setting, Step};
pub use systemd::{Property, Scope, Value};
