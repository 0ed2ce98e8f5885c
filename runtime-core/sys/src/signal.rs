//! Signals as fds: sent to a pidfd, received from a signalfd.
use crate::arch::call;
use crate::{Fd, Result};
use linux_raw_sys::general as raw;

/// pidfd_send_signal(2), real-time signals included.
pub fn send(process: Fd, signal: u32) -> Result<()> {
    call!(
        __NR_pidfd_send_signal,
        process.number() as isize as usize,
        signal,
        0,
        0
    )
    .map(drop)
}

/// signalfd4(2) for every signal in the mask (bit n is signal n + 1), non-blocking and close-on-exec.
///
/// A signal arrives here only while it is blocked ([`crate::process::block_signals`]).
pub fn receiver(mask: u64) -> Result<Fd> {
    // SFD_CLOEXEC and SFD_NONBLOCK are defined as these.
    let flags = raw::O_CLOEXEC | raw::O_NONBLOCK;
    call!(
        __NR_signalfd4,
        -1isize as usize,
        &mask as *const u64,
        8,
        flags
    )
    .map(Fd::of)
}

/// The next signal that waits in a [`receiver`], or `None`.
pub fn next(receiver: Fd) -> Result<Option<u32>> {
    // struct signalfd_siginfo: 128 bytes, the number first.
    let mut info = [0u8; 128];
    match crate::fd::read(receiver, &mut info) {
        Ok(128) => Ok(Some(u32::from_ne_bytes([
            info[0], info[1], info[2], info[3],
        ]))),
        Ok(_) | Err(crate::Errno::EAGAIN) => Ok(None),
        Err(errno) => Err(errno),
    }
}
