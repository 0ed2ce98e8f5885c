//! Fds passed to the caller's sockets: pty master, pidfd, seccomp listener. One message, the fd as SCM_RIGHTS.
use crate::error::Error;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, sendmsg, socket_with,
};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Connects to a stream socket and sends `data` with the fd.
pub(crate) fn send_fd(
    what: &str,
    socket_path: &Path,
    data: &[u8],
    fd: BorrowedFd<'_>,
) -> Result<(), Error> {
    let fail = |errno| Error::path(what, socket_path, errno);
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )
    .map_err(fail)?;
    match SocketAddrUnix::new(socket_path) {
        Ok(address) => connect(&socket, &address).map_err(fail)?,
        // sun_path has 108 bytes: go by the directory's fd.
        Err(_) => {
            let (Some(directory), Some(name)) = (socket_path.parent(), socket_path.file_name())
            else {
                return Err(fail(rustix::io::Errno::INVAL));
            };
            let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
            let fd = rustix::fs::open(directory, flags, rustix::fs::Mode::empty()).map_err(fail)?;
            let near = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
            let address = SocketAddrUnix::new(Path::new(&near).join(name)).map_err(fail)?;
            connect(&socket, &address).map_err(fail)?;
        }
    }
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    sendmsg(
        &socket,
        &[IoSlice::new(data)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )
    .map_err(fail)?;
    Ok(())
}
