//! The README's example, compiled by `cargo test`, so that what a newcomer copies builds.
#![forbid(unsafe_code)]

/// README.md.
#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct Readme;
