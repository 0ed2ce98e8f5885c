//! Being built.
pub mod config;
pub mod plan;
mod container;
mod error;
mod hint;
mod hook;
mod options;
mod procfs;
mod runtime;
mod signal;
mod signals;
mod state;
mod store;
mod time;
mod wait;

pub use container::{Container, RdtUpdate};
pub use error::{Errno, Error, ErrorKind, ProgramError};
pub use options::{Console, CreateOptions, ExecOptions, ListenFds, Stdio};
pub use runtime::{Listing, Runtime};
pub use signal::Signal;
pub use signals::SignalReceiver;
pub use state::{ContainerState, Record, RecordConfig, RecordTare, Status, TailStep};
pub use store::check_id;
pub use tare_cgroup::Manager as CgroupManager;
pub use time::rfc3339;
pub use wait::ExitStatus;
