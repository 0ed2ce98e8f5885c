//! How a command fails: a message, advice, and an exit status.
use tare_runtime::Error;

/// A failed command.
#[derive(Debug)]
pub struct Failure {
    /// One line, in runc's wording where callers match it.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
    /// Exit status of the program.
    pub status: u8,
}

impl Failure {
    /// A failure of the command line or of the program's own files.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure {
            message: message.into(),
            hint: None,
            status: 1,
        }
    }

    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }

    /// Words before the message.
    #[must_use]
    pub fn within(mut self, words: &str) -> Failure {
        self.message = format!("{words}: {}", self.message);
        self
    }

    /// With another exit status.
    #[must_use]
    pub fn status(mut self, status: u8) -> Failure {
        self.status = status;
        self
    }

    /// A system call that failed, by the errno's name.
    pub fn system(what: &str, errno: rustix::io::Errno) -> Failure {
        let errno = tare_runtime::Errno::new(errno.raw_os_error());
        Failure::new(format!("{what}: {errno}"))
    }

    /// A file that can't be used; ENOENT is never worded like a missing program.
    pub fn file(what: &str, path: &str, error: &std::io::Error) -> Failure {
        Failure::new(match error.kind() {
            std::io::ErrorKind::NotFound => format!("{what}: missing: {path}"),
            _ => match error.raw_os_error() {
                Some(errno) => format!("{what} {path}: {}", tare_runtime::Errno::new(errno)),
                None => format!("{what} {path}: {error}"),
            },
        })
    }
}

impl From<tare_supervisor::SystemError> for Failure {
    fn from(error: tare_supervisor::SystemError) -> Failure {
        Failure::system(error.what, error.errno)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure {
            message: error.report(),
            hint: error.hint(),
            status: 1,
        }
    }
}
