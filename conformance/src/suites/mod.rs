//! The suites: one topic a file, each case a function.

use crate::case::Case;

mod basic;
mod errors;
mod lifecycle;

pub fn all() -> Vec<Case> {
    [basic::cases(), lifecycle::cases(), errors::cases()]
        .into_iter()
        .flatten()
        .collect()
}
