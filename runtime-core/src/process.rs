//! A process that was put into a running container.
use crate::Signal;
use crate::error::Error;
use crate::wait::{ExitStatus, wait_child};
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};

/// A process started by `Container::exec`, a child of the calling process. Dropping it neither kills nor reaps it.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    console: Option<OwnedFd>,
    warnings: Vec<String>,
}

impl Process {
    /// From what `exec` made.
    pub(crate) fn new(
        pid: Pid,
        pidfd: OwnedFd,
        console: Option<OwnedFd>,
        warnings: Vec<String>,
    ) -> Process {
        Process {
            pid,
            pidfd,
            console,
            warnings,
        }
    }

    /// Host pid.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// A handle on the process: becomes readable when it ends.
    ///
    /// # Errors
    /// When no fd is left.
    pub fn pidfd(&self) -> Result<OwnedFd, Error> {
        self.pidfd
            .try_clone()
            .map_err(|error| Error::system("duplicate a pidfd", &error))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has ended.
    pub fn kill(&self, signal: Signal) -> Result<(), Error> {
        signal.send(&self.pidfd)
    }

    /// Waits until it ends and reaps it.
    ///
    /// # Errors
    /// When it isn't a child of the calling process (any more).
    pub fn wait(&self) -> Result<ExitStatus, Error> {
        wait_child(self.pidfd.as_fd())
    }

    /// Takes the pseudo-terminal's master that `exec` kept (`Console::Keep`).
    pub fn console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// What `exec` left out or noticed.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}
