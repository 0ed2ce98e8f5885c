//! What can go wrong: refusals (decided, before anything ran) and errors (met while running).
//!
//! A missing kernel file is worded `missing: PATH` and errnos are given by name (`EACCES`), never by the C library's sentence:
//! callers of a runtime match those sentences and would take a cgroup problem for one of the container's program.
use rustix::io::Errno;

/// A request that the driver won't carry out: found by [`crate::decide`], before anything was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{json}: {why}")]
pub struct Refusal {
    /// JSON path of the offending value, such as `linux.resources.memory.limit`.
    pub json: String,
    /// Why, with what to do about it where that is known.
    pub why: String,
}

impl Refusal {
    pub(crate) fn new(json: impl Into<String>, why: impl Into<String>) -> Refusal {
        Refusal {
            json: json.into(),
            why: why.into(),
        }
    }
}

/// Something that was asked for and is left out on purpose; shown in `trun plan`, never silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// JSON path of the value, or `cgroup` for the whole.
    pub what: String,
    /// Why it is left out.
    pub reason: String,
}

impl Skip {
    pub(crate) fn new(what: impl Into<String>, reason: impl Into<String>) -> Skip {
        Skip {
            what: what.into(),
            reason: reason.into(),
        }
    }
}

impl std::fmt::Display for Skip {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "skip {}: {}", self.what, self.reason)
    }
}

/// What the executor and the [`crate::Cgroup`] handle report.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request itself is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The kernel refused a value of the configuration.
    #[error("{json}: {value} written to {path}: {}{hint}", errno_text(*.errno, .path))]
    Write {
        /// JSON path of the value.
        json: String,
        /// What was written.
        value: String,
        /// The file.
        path: String,
        /// The kernel's answer.
        errno: Errno,
        /// `; ` and what to do, or nothing.
        hint: String,
    },
    /// An operation on a cgroup directory or file that no single configuration value stands for.
    #[error("{what} {path}: {}{hint}", errno_text(*.errno, .path))]
    Io {
        /// Such as `make cgroup`, `read`, `join`.
        what: &'static str,
        /// The file or directory.
        path: String,
        /// The kernel's answer.
        errno: Errno,
        /// `; ` and what to do, or nothing.
        hint: String,
    },
    /// A cgroup of that name exists and has processes: it belongs to something that runs.
    #[error(
        "container's cgroup is not empty: {count} process(es) found in {path}; stop them or choose another linux.cgroupsPath"
    )]
    NotEmpty {
        /// The directory.
        path: String,
        /// How many.
        count: usize,
    },
    /// The container has no cgroup of that controller.
    #[error("{what}: the container has no {controller} cgroup")]
    NoController {
        /// What was to be done.
        what: &'static str,
        /// Controller name.
        controller: &'static str,
    },
    /// The processes could not be frozen in time.
    #[error("unable to freeze {path}: {why}")]
    Freeze {
        /// The directory.
        path: String,
        /// What was seen.
        why: String,
    },
    /// A kernel file whose content is not what the kernel's documentation says.
    #[error("{path}: unexpected content {content:?}")]
    Content {
        /// The file.
        path: String,
        /// Its beginning.
        content: String,
    },
    /// The bus could not be reached, or broke the protocol.
    #[error("D-Bus at {address}: {why}")]
    Bus {
        /// Bus address as given by the caller.
        address: String,
        /// What failed.
        why: String,
    },
    /// systemd answered with an error, or its job failed.
    #[error("systemd: {call} {unit}: {why}")]
    Systemd {
        /// Method name, such as `StartTransientUnit`.
        call: &'static str,
        /// Unit name.
        unit: String,
        /// Error name and message, or the job's result.
        why: String,
    },
}

impl Error {
    pub(crate) fn io(what: &'static str, path: impl Into<String>, errno: Errno) -> Error {
        Error::Io {
            what,
            path: path.into(),
            errno,
            hint: String::new(),
        }
    }

    /// The errno behind it, where the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Write { errno, .. } | Error::Io { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

fn errno_text(errno: Errno, path: &str) -> String {
    match errno {
        Errno::NOENT => format!("missing: {path}"),
        other => errno_name(other),
    }
}

/// `EBUSY` and so on; a rare one is `errno N`.
pub(crate) fn errno_name(errno: Errno) -> String {
    tare_sys::Errno::new(errno.raw_os_error()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_refusal_names_the_value_the_file_and_the_errno() {
        let error = Error::Write {
            json: "linux.resources.memory.limit".into(),
            value: "4096".into(),
            path: "/sys/fs/cgroup/memory/x/memory.limit_in_bytes".into(),
            errno: Errno::BUSY,
            hint: "; more is in use".into(),
        };
        assert_eq!(
            error.to_string(),
            "linux.resources.memory.limit: 4096 written to /sys/fs/cgroup/memory/x/memory.limit_in_bytes: EBUSY; more is in use"
        );
    }

    #[test]
    fn no_wording_that_callers_take_for_the_programs_error() {
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::PERM, Errno::SRCH] {
            let text = Error::io("read", "/x", errno).to_string().to_lowercase();
            for word in [
                "no such file",
                "permission denied",
                "not permitted",
                "no such process",
                "not found",
            ] {
                assert!(!text.contains(word), "{text}");
            }
        }
        assert_eq!(
            Error::io("read", "/x", Errno::NOENT).to_string(),
            "read /x: missing: /x"
        );
    }
}
