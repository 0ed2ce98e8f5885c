//! The host's end of the control socket: frames in, barrier numbers out.
use crate::error::Error;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
use tare_stage::report::{FRAME, Frame};

/// What came.
#[derive(Debug)]
pub(crate) enum Received {
    /// A frame, perhaps with an fd, and the pid of its sender (0 if that can't be told).
    Frame(Frame, Option<OwnedFd>, i32),
    /// All of the child's ends are closed: it became the program, or is gone.
    End,
}

/// Waits for one frame.
pub(crate) fn receive(control: BorrowedFd<'_>) -> Result<Received, Error> {
    let mut bytes = [0u8; FRAME];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        match recvmsg(
            control,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        ) {
            Ok(message) => break message.bytes,
            // A child that ends with a word of ours unread resets the socket: told once, before what it has said itself.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(Error::system("read the control socket", errno)),
        }
    };
    let (mut fd, mut sender) = (None, 0);
    for message in ancillary.drain() {
        match message {
            RecvAncillaryMessage::ScmRights(mut fds) => fd = fds.next(),
            RecvAncillaryMessage::ScmCredentials(credentials) => {
                sender = credentials.pid.as_raw_nonzero().get();
            }
            _ => {}
        }
    }
    match bytes.get(..length).and_then(Frame::from_bytes) {
        Some(frame) => Ok(Received::Frame(frame, fd, sender)),
        None if length == 0 => Ok(Received::End),
        None => Err(Error::system(
            "read the control socket: not a frame",
            tare_sys::Errno::EPROTO,
        )),
    }
}

/// Whether a frame or the end is there, waiting no longer than `limit`.
pub(crate) fn is_ready(control: BorrowedFd<'_>, limit: Duration) -> Result<bool, Error> {
    crate::wait::wait_end(control, limit)
}

/// Lets the child go on, with `tasks` files to join cgroups by. A child that is gone is told by the next `receive`.
pub(crate) fn release(
    control: BorrowedFd<'_>,
    barrier: u32,
    tasks: &[OwnedFd],
) -> Result<(), Error> {
    let word = barrier.to_ne_bytes();
    let fds: Vec<BorrowedFd<'_>> = tasks.iter().map(OwnedFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(tare_sys::socket::FDS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(Error::system(
            "hand over the cgroups' files: too many",
            tare_sys::Errno::E2BIG,
        ));
    }
    loop {
        match sendmsg(
            control,
            &[IoSlice::new(&word)],
            &mut ancillary,
            SendFlags::NOSIGNAL,
        ) {
            // A socket that is being closed at this moment refuses: unix_dgram_sendmsg of the kernel finds it dead before shut.
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("write the control socket", errno)),
        }
    }
}
