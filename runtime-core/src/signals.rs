//! Receiving signals as a file descriptor, for a foreground caller's event loop.
use crate::Signal;
use crate::error::Error;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// All signals of the calling thread, blocked and readable here; unblocked again when dropped.
///
/// Made before other threads start, which inherit the mask, it catches the whole process's signals. Containers start with
/// no signal blocked whatever the caller's mask is.
#[derive(Debug)]
pub struct SignalReceiver {
    fd: OwnedFd,
    old: u64,
}

impl SignalReceiver {
    /// Blocks all signals and opens the receiver.
    ///
    /// # Errors
    /// When the kernel gives no fd.
    pub fn new() -> Result<SignalReceiver, Error> {
        let old = tare_sys::process::block_signals();
        match open() {
            Ok(fd) => Ok(SignalReceiver { fd, old }),
            Err(errno) => {
                tare_sys::process::restore_signals(old);
                Err(Error::system("open a signalfd", errno))
            }
        }
    }

    /// The next signal that has arrived.
    ///
    /// # Errors
    /// When the fd can't be read.
    pub fn next(&self) -> Result<Option<Signal>, Error> {
        let fd = tare_sys::Fd::new(self.fd.as_raw_fd());
        let number =
            tare_sys::signal::next(fd).map_err(|errno| Error::system("read a signalfd", errno))?;
        Ok(number.and_then(|number| Signal::from_number(number.cast_signed())))
    }
}

/// pidfd_getfd(2) of ourselves is how safe code comes to own an fd that it has as a number only.
fn open() -> Result<OwnedFd, tare_sys::Errno> {
    let number = tare_sys::signal::receiver(u64::MAX)?;
    let owned = pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|me| pidfd_getfd(me, number.number(), PidfdGetfdFlags::empty()))
        .map_err(|errno| tare_sys::Errno::new(errno.raw_os_error()));
    tare_sys::fd::close(number);
    owned
}

impl Drop for SignalReceiver {
    fn drop(&mut self) {
        tare_sys::process::restore_signals(self.old);
    }
}

impl AsFd for SignalReceiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
