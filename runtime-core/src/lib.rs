//! Being built.
pub mod config;
pub mod plan;
mod error;
mod hint;
mod options;
mod signal;
mod state;
mod store;

pub use error::{Errno, Error, ErrorKind, ProgramError};
pub use options::{CgroupManager, Console, CreateOptions, ExecOptions, ListenFds, Stdio};
pub use signal::Signal;
pub use state::{ContainerState, Record, RecordConfig, RecordTare, Status, TailStep};
pub use store::check_id;
