//! How a process ended, and waiting for it by pidfd.
use crate::error::Error;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitStatus {
    /// With this status, 0 to 255.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

impl ExitStatus {
    /// As a shell tells it: the status, or 128 plus the signal.
    pub fn code(self) -> i32 {
        match self {
            ExitStatus::Exited(status) => status,
            ExitStatus::Signaled(signal) => 128 + signal,
        }
    }
}

/// Waits for a child and reaps it.
pub(crate) fn wait_child(pidfd: BorrowedFd<'_>) -> Result<ExitStatus, Error> {
    loop {
        // A child whose exit signal isn't SIGCHLD is waited for by its pidfd all the same.
        match waitid(WaitId::PidFd(pidfd), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => ExitStatus::Exited(code),
                    (None, Some(signal)) => ExitStatus::Signaled(signal),
                    (None, None) => ExitStatus::Exited(0),
                });
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("wait for the process", errno)),
        }
    }
}

/// Waits until the process of a pidfd has ended, no longer than `limit`; tells whether it has.
pub(crate) fn wait_end(pidfd: BorrowedFd<'_>, limit: Duration) -> Result<bool, Error> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        match poll(
            &mut [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)],
            Some(&timeout),
        ) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("poll a pidfd", errno)),
        }
    }
}
