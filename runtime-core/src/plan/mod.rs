//! Being built: the modules that decide.
pub mod mount_options;
