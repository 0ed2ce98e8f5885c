//! The way of `sd_notify` messages out of the container: from a socket in its state directory to the service manager's.
use crate::error::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

/// A bound socket that the container's messages arrive at.
#[derive(Debug)]
pub struct NotifyProxy {
    socket: UnixDatagram,
    host: PathBuf,
}

impl NotifyProxy {
    /// Binds it where the container finds it.
    pub fn bind(inside: &Path, host: &Path) -> Result<NotifyProxy, Failure> {
        let fail = |error: &std::io::Error| {
            Failure::file(
                "bind the notify socket",
                &inside.display().to_string(),
                error,
            )
        };
        // Left over from a `start` that was killed.
        let _ = std::fs::remove_file(inside);
        let socket = UnixDatagram::bind(inside).map_err(|error| fail(&error))?;
        // Any user inside may report readiness.
        let anyone = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(inside, anyone).map_err(|error| fail(&error))?;
        socket.set_nonblocking(true).map_err(|error| fail(&error))?;
        Ok(NotifyProxy {
            socket,
            host: host.to_owned(),
        })
    }

    /// Reads what has come, all of it: the sender may be gone by now. On readiness tells the service manager which pid is the main
    /// one, and gives true.
    pub fn forward(&self, pid: i32) -> Result<bool, Failure> {
        let mut buffer = [0u8; 4096];
        loop {
            match self.socket.recv(&mut buffer) {
                Ok(length) if is_ready(&buffer[..length]) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(Failure::new(format!("read the notify socket: {error}"))),
            }
        }
        let sender = self.connect()?;
        sender
            .send(format!("MAINPID={pid}\nREADY=1\n").as_bytes())
            .map_err(|error| self.fail(&error))?;
        self.barrier(&sender)?;
        Ok(true)
    }

    fn connect(&self) -> Result<UnixDatagram, Failure> {
        let path = self.host.display().to_string();
        let sender = UnixDatagram::unbound().map_err(|error| self.fail(&error))?;
        let connected = match path.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)
                .and_then(|address| sender.connect_addr(&address)),
            None => sender.connect(&self.host),
        };
        connected.map_err(|error| self.fail(&error))?;
        Ok(sender)
    }

    /// `BARRIER=1` (sd_notify_barrier(3)): the service manager closes the pipe when it has seen all before it. Without it a `start`
    /// that ends at once could be gone before the manager has asked who sent READY. A manager that never answers holds nobody
    /// longer than [`PATIENCE`].
    fn barrier(&self, sender: &UnixDatagram) -> Result<(), Failure> {
        let fail = |errno: rustix::io::Errno| self.fail(&errno.into());
        let (ours, theirs) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(fail)?;
        let fds = [theirs.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        ancillary.push(SendAncillaryMessage::ScmRights(&fds));
        let text = [IoSlice::new(b"BARRIER=1")];
        sendmsg(sender, &text, &mut ancillary, SendFlags::NOSIGNAL).map_err(fail)?;
        drop(theirs);
        let mut polled = [PollFd::from_borrowed_fd(ours.as_fd(), PollFlags::empty())];
        match poll(&mut polled, Some(&PATIENCE)) {
            // Closed, late, or interrupted by a signal that the caller has to see to: it is told either way.
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(fail(errno)),
        }
    }

    fn fail(&self, error: &std::io::Error) -> Failure {
        Failure::file(
            "tell the service manager through",
            &self.host.display().to_string(),
            error,
        )
    }
}

/// How long the service manager may take to answer the barrier; runc waits as long.
const PATIENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

impl AsFd for NotifyProxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Only readiness leaves the container: it must not change the service's other properties.
pub fn is_ready(message: &[u8]) -> bool {
    message
        .split(|byte| *byte == b'\n')
        .any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_passes_with_our_pid_and_nothing_else_does() {
        let dir = std::env::temp_dir().join(format!("trun-notify-test-{}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let host = UnixDatagram::bind(dir.join("host")).unwrap();
        host.set_nonblocking(true).unwrap();
        let proxy = NotifyProxy::bind(&dir.join("inside"), &dir.join("host")).unwrap();
        let program = UnixDatagram::unbound().unwrap();
        program
            .send_to(b"STATUS=READY=1 soon\nMAINPID=1", dir.join("inside"))
            .unwrap();
        assert!(!proxy.forward(42).unwrap());
        let mut buffer = [0; 100];
        assert!(host.recv(&mut buffer).is_err());
        program
            .send_to(b"STATUS=up\nREADY=1\n", dir.join("inside"))
            .unwrap();
        host.set_nonblocking(false).unwrap();
        std::thread::scope(|scope| {
            let forwarded = scope.spawn(|| proxy.forward(42).unwrap());
            let length = host.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"MAINPID=42\nREADY=1\n");
            // Reading it without room for the fd closes the pipe, which is the answer.
            let length = host.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"BARRIER=1");
            assert!(forwarded.join().unwrap());
        });
        assert!(!proxy.forward(42).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
