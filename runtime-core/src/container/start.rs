//! `start`: the byte that the child waits for, and what becomes of it.
use super::Container;
use crate::error::Error;
use crate::store::{EXEC_FIFO, RESULT_FIFO};
use crate::{Errno, Signal, Status, failure, hook};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use tare_stage::report::{FRAME, Frame};

impl Container {
    /// Lets a created container's program run. Returns when the program has been executed, and poststart hooks have run.
    ///
    /// # Errors
    /// [`Error::CannotStart`] when it isn't `created`; [`Error::Program`], [`Error::Hook`] or [`Error::Step`] when a last step
    /// failed: the container is stopped then.
    pub fn start(&mut self) -> Result<(), Error> {
        let lock = self.dir.lock()?;
        if let Some(record) = self.dir.read()? {
            self.record = record;
        }
        match self.status()? {
            Status::Created => {}
            status => return Err(Error::CannotStart { status }),
        }
        // Reader first: the child's end keeps the fifo open, so its close is seen as the end.
        let result = self.fifo(RESULT_FIFO, OFlags::RDONLY)?;
        let exec = self.fifo(EXEC_FIFO, OFlags::WRONLY)?;
        rustix::io::write(&exec, b"s").map_err(|errno| match errno {
            // It ended after the open.
            rustix::io::Errno::PIPE => Error::CannotStart {
                status: Status::Stopped,
            },
            errno => self.fail("write", EXEC_FIFO, errno),
        })?;
        let told = self.await_result(&result)?;
        for name in [EXEC_FIFO, RESULT_FIFO] {
            // `created` ends with the fifo, whether the program runs or not.
            match rustix::fs::unlinkat(self.dir.fd(), name, AtFlags::empty()) {
                Ok(()) | Err(rustix::io::Errno::NOENT) => {}
                Err(errno) => return Err(self.fail("remove", name, errno)),
            }
        }
        drop(lock);
        match told {
            Some(Frame::Failure {
                step,
                errno,
                detail,
            }) => Err(failure::in_tail(
                &self.record,
                step,
                Errno::new(errno as i32),
                detail,
            )),
            Some(_) => Err(Error::system("read the result of start", Errno::EPROTO)),
            None => self.poststart(),
        }
    }

    /// Runs the poststart hooks; one that fails stops the container (runtime.md, "Lifecycle").
    pub(crate) fn poststart(&self) -> Result<(), Error> {
        let state = self.record.oci_state(Status::Running);
        for (index, hook) in self.record.tare.poststart.iter().enumerate() {
            if let Err(error) = hook::run("poststart", index, hook, &state) {
                match self.kill(Signal::KILL, false) {
                    Ok(()) | Err(Error::NotRunning { .. }) => return Err(error),
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(())
    }

    /// One frame, or `None` at the end: the program has been executed.
    fn await_result(&self, result: &OwnedFd) -> Result<Option<Frame>, Error> {
        let mut bytes = [0u8; FRAME];
        loop {
            match rustix::io::read(result, &mut bytes) {
                Ok(0) => return Ok(None),
                Ok(length) => return Ok(bytes.get(..length).and_then(Frame::from_bytes)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => {
                    let mut poll = [rustix::event::PollFd::from_borrowed_fd(
                        result.as_fd(),
                        rustix::event::PollFlags::IN,
                    )];
                    match rustix::event::poll(&mut poll, None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(errno) => return Err(self.fail("wait for", RESULT_FIFO, errno)),
                    }
                }
                Err(errno) => return Err(self.fail("read", RESULT_FIFO, errno)),
            }
        }
    }

    /// Non-blocking: with the child gone a plain open would wait for ever.
    fn fifo(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Error> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        rustix::fs::openat(self.dir.fd(), name, flags, Mode::empty()).map_err(|errno| match errno {
            rustix::io::Errno::NXIO => Error::CannotStart {
                status: Status::Stopped,
            },
            errno => self.fail("open", name, errno),
        })
    }

    fn fail(&self, what: &str, name: &str, errno: rustix::io::Errno) -> Error {
        Error::path(what, &self.dir.path().join(name), errno)
    }
}
