//! Being built.
pub mod config;
pub mod plan;
