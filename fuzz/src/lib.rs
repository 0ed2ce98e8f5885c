//! Hostile input for every parser of the project: the targets, and a mutator that knows JSON.
//!
//! A target takes bytes and returns, or panics where a promise is broken. The corpora in `fuzz/corpus` are run through the targets
//! by plain `cargo test` (feature `targets`); `make fuzz TARGET=... SECONDS=...` runs the engine, libFuzzer, on the pinned stable
//! compiler.
#![forbid(unsafe_code)]
// Both programs' sources know these modules by their place at the crate's root; the targets call a part of them.
#![cfg_attr(feature = "targets", allow(dead_code))]

#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/args.rs"]
mod args;
#[cfg(feature = "targets")]
mod commands;
#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/error.rs"]
mod error;
#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/help.rs"]
mod help;
#[cfg(feature = "targets")]
#[path = "../../runtime-core/tests/support/mod.rs"]
mod hosts;
#[cfg(feature = "targets")]
pub mod mutate;
#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/notify.rs"]
mod notify;
#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/owner.rs"]
mod owner;
#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/resolve.rs"]
mod resolve;
#[cfg(feature = "targets")]
#[path = "../../runtime-cli/src/table.rs"]
mod table;
#[cfg(feature = "targets")]
pub mod targets;
