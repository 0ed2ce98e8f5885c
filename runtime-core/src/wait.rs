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
    /// From a status as wait(2) has it.
    pub(crate) fn of_wait(status: u32) -> ExitStatus {
        match status & 0x7f {
            0 => ExitStatus::Exited((status >> 8 & 0xff) as i32),
            signal => ExitStatus::Signaled(signal as i32),
        }
    }

    /// Waits until the process of this pidfd has ended, and reaps it.
    ///
    /// # Errors
    /// When it isn't a child of this process, or somebody else in it has waited for it, and the kernel (before Linux 6.15) keeps
    /// no status.
    pub fn of(pidfd: BorrowedFd<'_>) -> Result<ExitStatus, Error> {
        wait_child(pidfd)
    }

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
            // The embedding process ignores SIGCHLD, or another of its threads reaps whatever ends.
            Err(Errno::CHILD) => return reaped_elsewhere(pidfd),
            Err(errno) => return Err(Error::system("wait for the process", errno)),
        }
    }
}

fn reaped_elsewhere(pidfd: BorrowedFd<'_>) -> Result<ExitStatus, Error> {
    match tare_sys::process::ended(crate::spawn::number(pidfd)) {
        Some(status) => Ok(ExitStatus::of_wait(status.cast_unsigned())),
        None => Err(Error::Unsupported {
            what: "tell how the process ended".to_owned(),
            why: "it is no child of this process, or somebody else in it has waited for it (SIGCHLD ignored, or waitpid(-1)) and the kernel, before Linux 6.15, keeps no status".to_owned(),
        }),
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

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    use std::os::fd::AsFd;

    #[test]
    fn a_status_that_somebody_else_took_is_told_where_the_kernel_keeps_it() {
        for (script, ended) in [
            ("exit 7", ExitStatus::Exited(7)),
            ("kill -9 $$", ExitStatus::Signaled(9)),
        ] {
            let mut child = std::process::Command::new("/bin/sh")
                .args(["-c", script])
                .spawn()
                .unwrap();
            let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
            child.wait().unwrap();
            match wait_child(pidfd.as_fd()) {
                Ok(status) => assert_eq!(status, ended),
                Err(error) => assert!(
                    error.to_string().contains("somebody else in it has waited"),
                    "{error}"
                ),
            }
        }
    }
}
