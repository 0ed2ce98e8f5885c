//! One client's connection: bytes in, frames out of them; answers queued until it takes them.
use crate::failure::Failure;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tare_shim_wire::Fields;
use tare_shim_wire::rpc::{Incoming, Server, put_response};

/// So much may wait to be taken before no further request is read.
const MOST_UNSENT: usize = 8 << 20;
/// What is read in one go, and a step's share: other clients come between.
const STEP: usize = 16 << 10;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    server: Server,
    unsent: Vec<u8>,
    /// The client will send no more; what it waits for it still gets.
    pub half_closed: bool,
}

impl Connection {
    /// On a socket that doesn't block.
    pub fn new(socket: OwnedFd) -> Connection {
        Connection {
            socket,
            server: Server::default(),
            unsent: Vec::new(),
            half_closed: false,
        }
    }

    /// To be polled.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether answers wait.
    pub fn wants_write(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Whether requests are taken.
    pub fn wants_read(&self) -> bool {
        !self.half_closed && self.unsent.len() < MOST_UNSENT
    }

    /// Reads a share.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn read(&mut self) -> io::Result<Vec<Incoming>> {
        let mut bytes = [0; STEP];
        let mut incoming = Vec::new();
        match rustix::io::read(&self.socket, &mut bytes) {
            Ok(0) => self.half_closed = true,
            Ok(count) => {
                let mut rest = &bytes[..count];
                while let Some(next) = self.server.next(&mut rest) {
                    incoming.push(next);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(incoming)
    }

    /// Queues an answer and sends what can be sent.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn answer(&mut self, stream: u32, result: Result<&dyn Fields, Failure>) -> io::Result<()> {
        match result {
            Ok(message) => put_response(&mut self.unsent, stream, Ok(message)),
            Err(failure) => put_response(&mut self.unsent, stream, Err(&failure.into())),
        }
        self.send()
    }

    /// Sends what can be sent.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let flags = rustix::net::SendFlags::NOSIGNAL | rustix::net::SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket, &self.unsent, flags) {
                Ok(count) => {
                    self.unsent.drain(..count);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }
}
