//! Decide, then do: [`plan`] turns a spec and slow facts of the host into a [`Plan`](ir::Plan), wholly and without IO.
//!
//! Pure, total and deterministic: no file, no clock, no environment is read here, and the same input gives the same plan. One file
//! for each area of the spec; each refuses by JSON path what the spec forbids or the host can't do.
mod builder;
pub mod capabilities;
mod cgroup_mount;
mod cgroups;
mod check;
mod create;
mod create_child;
mod devices;
mod exec;
pub mod facts;
mod hooks;
pub(crate) mod ids;
pub mod ir;
#[cfg(test)]
mod lowered_tests;
mod mount_fallbacks;
pub mod mount_options;
mod mount_sources;
mod mounts;
mod namespaces;
mod net_devices;
mod number_list;
mod process;
mod rdt;
mod render;
mod render_child;
mod render_host;
mod rlimits;
mod rootfs;
pub mod scheduling;
mod security;
mod slots;
pub mod sysctl;
#[cfg(test)]
mod testing;
mod text;
pub(crate) mod user_maps;

pub use check::{Flaw, check};
pub use create::plan;
pub use exec::{ExecTarget, plan_exec};
