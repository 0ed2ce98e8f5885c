//! What a call answers when it can't: a gRPC code that clients match, and words.
use std::fmt;
pub use tare_shim_wire::rpc::Code;
use tare_shim_wire::rpc::Status;

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For clients.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Failure {
    /// With these words.
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
        }
    }

    /// The runtime's error, with the code that clients expect of it.
    pub fn of(error: &tare_runtime::Error) -> Failure {
        use tare_runtime::Error;
        let code = match error {
            Error::NotFound { .. } => Code::NotFound,
            Error::NotRunning { .. } => {
                return Failure::new(Code::NotFound, "process already finished: not found");
            }
            Error::Exists { .. } => Code::AlreadyExists,
            Error::InvalidId { .. } | Error::Config { .. } | Error::UnknownSignal(_) => {
                Code::InvalidArgument
            }
            Error::CannotStart { .. }
            | Error::CannotExec { .. }
            | Error::NotPaused { .. }
            | Error::DeleteLive { .. } => Code::FailedPrecondition,
            _ => Code::Unknown,
        };
        Failure::new(code, error.report())
    }

    /// A failed system call, and what was being done.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Failure {
        Failure::new(Code::Unknown, format!("{what}: {error}"))
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Status {
        Status::new(failure.code, failure.message)
    }
}

impl From<Status> for Failure {
    /// A status that is refused with before anything was looked at.
    fn from(status: Status) -> Failure {
        const CODES: [Code; 5] = [
            Code::InvalidArgument,
            Code::ResourceExhausted,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
        ];
        let code = CODES.into_iter().find(|code| status.is(*code));
        Failure::new(code.unwrap_or(Code::Unknown), status.message)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
