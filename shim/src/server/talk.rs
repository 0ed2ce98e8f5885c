//! Clients: who may connect, what they send, and what they are answered.
use super::{Kind, Server};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::task::{Caller, Process};
use rustix::net::SocketFlags;
use std::io;
use std::os::fd::OwnedFd;
use tare_shim_wire::Fields;
use tare_shim_wire::messages::sandbox;
use tare_shim_wire::messages::task::{Answer, Call};
use tare_shim_wire::rpc::Incoming;
use tare_supervisor::{Interest, Ready};

impl Server {
    pub(super) fn accept(&mut self) -> io::Result<()> {
        use rustix::io::Errno;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match rustix::net::accept_with(&self.listener, flags) {
            Ok(socket) => socket,
            Err(Errno::MFILE | Errno::NFILE) => {
                // Turned away, or the listener would be ready for ever.
                self.spare = None;
                drop(rustix::net::accept_with(&self.listener, flags));
                self.spare = std::fs::File::open("/dev/null").ok().map(OwnedFd::from);
                return Ok(());
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        };
        let own = rustix::process::geteuid();
        match rustix::net::sockopt::socket_peercred(&socket) {
            Ok(peer) if peer.uid == own || peer.uid.is_root() => {}
            _ => return Ok(()),
        }
        let id = self.number();
        self.poll
            .add(&socket, Kind::Connection.token(id), Interest::Read)?;
        self.connections.insert(id, Connection::new(socket));
        Ok(())
    }

    pub(super) fn talk(&mut self, id: u64, ready: Ready) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        // Half closed it may still wait for answers; closed there is nobody to answer.
        if ready.gone {
            return self.hang_up(id);
        }
        let read = if ready.read && connection.wants_read() {
            connection.read()
        } else {
            Ok(Vec::new())
        };
        match read.and_then(|frames| connection.send().map(|()| frames)) {
            Ok(frames) => {
                for incoming in frames {
                    self.incoming(id, incoming);
                }
                self.watch(id);
            }
            Err(_) => self.hang_up(id),
        }
    }

    fn incoming(&mut self, connection: u64, incoming: Incoming) {
        match incoming {
            Incoming::Request(stream, request) => {
                let caller = Caller { connection, stream };
                if sandbox::SERVICES.contains(&request.service.as_str()) {
                    match sandbox::Call::of(&request) {
                        Ok(call) => self.sandbox_call(caller, call),
                        Err(status) => self.answer(caller, Err(status.into())),
                    }
                    return;
                }
                match Call::of(&request) {
                    Ok(call) => self.call(caller, call),
                    Err(status) => self.answer(caller, Err(status.into())),
                }
            }
            Incoming::Refused(stream, status) => {
                let caller = Caller { connection, stream };
                self.answer(caller, Err(status.into()));
            }
        }
    }

    pub(crate) fn answer(&mut self, caller: Caller, result: Result<Answer, Failure>) {
        self.reply(
            caller,
            result.as_ref().map(Answer::message).map_err(Clone::clone),
        );
    }

    pub(super) fn reply(&mut self, caller: Caller, result: Result<&dyn Fields, Failure>) {
        let Some(connection) = self.connections.get_mut(&caller.connection) else {
            return;
        };
        match connection.answer(caller.stream, result) {
            Ok(()) => self.watch(caller.connection),
            Err(_) => self.hang_up(caller.connection),
        }
    }

    /// Waits for what the connection needs next.
    pub(super) fn watch(&mut self, id: u64) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        // A client that waits for answers may have closed its own side.
        if connection.half_closed && !connection.wants_write() && !self.owes(id) {
            self.hang_up(id);
            return;
        }
        let interest = match (connection.wants_read(), connection.wants_write()) {
            (true, false) => Interest::Read,
            (true, true) => Interest::Both,
            (false, true) => Interest::Write,
            (false, false) => Interest::End,
        };
        let token = Kind::Connection.token(id);
        if self
            .poll
            .change(connection.socket(), token, interest)
            .is_err()
        {
            self.hang_up(id);
        }
    }

    /// Whether an answer for this connection is still to come.
    pub(super) fn owes(&self, id: u64) -> bool {
        let waits =
            |process: &Process| process.waiters.iter().any(|caller| caller.connection == id);
        self.jobs.running() > 0
            || self.sandboxes_owe(id)
            || self.draining.iter().any(|it| it.caller.connection == id)
            || self.tasks.values().any(|task| {
                waits(&task.init)
                    || task.execs.values().any(waits)
                    || task
                        .waiting
                        .iter()
                        .any(|(caller, ..)| caller.connection == id)
            })
    }

    pub(super) fn hang_up(&mut self, id: u64) {
        // Closing it ends its poll.
        self.connections.remove(&id);
        self.sandboxes_forget(id);
        for task in self.tasks.values_mut() {
            let execs = task.execs.values_mut();
            for process in execs.chain([&mut task.init]) {
                process.waiters.retain(|caller| caller.connection != id);
            }
        }
    }
}
