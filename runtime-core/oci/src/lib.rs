//! The wire types of the OCI runtime-spec 1.3: `config.json`, the state document and the features document.
//!
//! Types only, worded as the spec words them; no validation, no IO, no decision. Values that the spec restricts to a list
//! (capability names, namespace types, seccomp actions) stay strings here, so that an unknown one reaches the code that can
//! say where it stood and what the choices are. A Go producer writes `null` for an empty list: every list and map takes it.
//! Unknown keys are ignored, as the spec demands.
#![forbid(unsafe_code)]

mod features;
mod linux;
mod process;
mod seccomp;
mod spec;
mod state;

pub use features::*;
pub use linux::*;
pub use process::*;
pub use seccomp::*;
pub use spec::*;
pub use state::*;

use serde::{Deserialize, Deserializer};

/// Reads `null` as the type's default: what Go's encoder writes for a nil slice or map.
pub(crate) fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

pub(crate) fn is_false(value: &bool) -> bool {
    !*value
}
