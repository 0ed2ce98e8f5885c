//! The state document (runtime.md, "State"): what `state` prints and what hooks read on stdin.
use crate::nullable;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The state of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct State {
    /// The spec's version.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// `creating`, `created`, `running`, `stopped`, and runc's `paused`.
    pub status: String,
    /// Host pid of init; 0 when stopped.
    pub pid: i32,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// The spec's annotations.
    #[serde(
        deserialize_with = "nullable",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub annotations: BTreeMap<String, String>,
}
