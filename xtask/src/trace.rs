//! Compares a strace of a real run with the plan that `trun plan` shows: the conformance suite's trace cases.

use crate::process;
use std::path::Path;

/// Builds trun and runs the trace cases against it.
pub fn run(root: &Path) -> Result<(), String> {
    process::run(root, ".ci/conformance.sh", &["trun", "trace"], &[])
}
