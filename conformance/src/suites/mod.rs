//! The suites: one topic a file, each case a function.

use crate::case::Case;

mod basic;

pub fn all() -> Vec<Case> {
    [basic::cases()].into_iter().flatten().collect()
}
