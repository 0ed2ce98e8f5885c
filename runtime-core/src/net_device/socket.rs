//! A rtnetlink socket: it serves the network namespace in which it was made, from whatever thread it is used.
use super::message::{ACK, DONE, DUMP, DUMP_INTERRUPTED, ERROR, Message, Request, messages};
use crate::error::Error;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::{BorrowedFd, OwnedFd};

/// The kernel fills a dump's datagrams up to what the reader offers, and never beyond 32 KiB.
const BUFFER: usize = 64 << 10;
/// A dump that something changed under is asked for again this often.
const DUMPS: u32 = 16;

/// A socket and the number of its last request.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    /// In the calling thread's network namespace.
    pub(super) fn here() -> Result<Socket, Error> {
        rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            // NETLINK_ROUTE is protocol 0.
            None,
        )
        .map(|fd| Socket { fd, sequence: 0 })
        .map_err(|errno| Error::system("open a rtnetlink socket", errno))
    }

    /// In another network namespace: made by a thread that joins it and ends.
    pub(super) fn inside(netns: BorrowedFd<'_>) -> Result<Socket, Error> {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, || {
                move_into_link_name_space(netns, Some(LinkNameSpaceType::Network)).map_err(
                    |errno| Error::system("join the container's network namespace", errno),
                )?;
                Socket::here()
            });
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(socket)) => socket,
                Ok(Err(_)) => Err(Error::system("open a rtnetlink socket", Errno::IO)),
                Err(error) => Err(Error::system("start a thread", &error)),
            }
        })
    }

    /// One request that is acknowledged; what it answers before that goes to `each`.
    pub(super) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        fixed: &[u8],
        attributes: impl FnOnce(Request) -> Request,
        each: impl FnMut(&Message<'_>),
    ) -> Result<(), Errno> {
        let request = attributes(Request::new(kind, flags | ACK, fixed));
        self.exchange(request, each).map(drop)
    }

    /// A dump, whole and of one moment: `read` picks from each message.
    pub(super) fn dump<T>(
        &mut self,
        kind: u16,
        fixed: &[u8],
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Errno> {
        for _ in 0..DUMPS {
            let mut found = Vec::new();
            let request = Request::new(kind, DUMP, fixed);
            if self.exchange(request, |message| found.extend(read(message)))? {
                return Ok(found);
            }
        }
        Err(Errno::AGAIN)
    }

    /// Sends and reads to the end of the answer; false if it is a dump of more than one moment.
    fn exchange(
        &mut self,
        request: Request,
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request.bytes(self.sequence);
        retry_on_intr(|| rustix::net::send(&self.fd, &bytes, SendFlags::empty()))?;
        let mut whole = true;
        let mut buffer = vec![0; BUFFER];
        loop {
            let (_, length) =
                retry_on_intr(|| rustix::net::recv(&self.fd, &mut buffer[..], RecvFlags::TRUNC))?;
            let datagram = buffer.get(..length).ok_or(Errno::MSGSIZE)?;
            for message in messages(datagram).ok_or(Errno::PROTO)? {
                if message.sequence != self.sequence {
                    continue;
                }
                whole &= message.flags & DUMP_INTERRUPTED == 0;
                match message.kind {
                    DONE => return Ok(whole),
                    ERROR => {
                        return match message.errno().ok_or(Errno::PROTO)? {
                            0 => Ok(whole),
                            errno => Err(Errno::from_raw_os_error(errno)),
                        };
                    }
                    _ => each(&message),
                }
            }
        }
    }
}
