//! The way of `sd_notify` messages out of the container: from a socket in its state directory to the service manager's.
use crate::error::Failure;
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

    /// Reads one datagram; on readiness tells the service manager which pid is the main one, and gives true.
    pub fn forward(&self, pid: i32) -> Result<bool, Failure> {
        let mut buffer = [0u8; 4096];
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(Failure::new(format!("read the notify socket: {error}"))),
        };
        if !is_ready(&buffer[..length]) {
            return Ok(false);
        }
        self.tell(&format!("MAINPID={pid}\nREADY=1\n"))?;
        Ok(true)
    }

    fn tell(&self, message: &str) -> Result<(), Failure> {
        let path = self.host.display().to_string();
        let fail = |error: std::io::Error| {
            Failure::file("tell the service manager through", &path, &error)
        };
        let sender = UnixDatagram::unbound().map_err(fail)?;
        match path.strip_prefix('@') {
            Some(name) => {
                let address = SocketAddr::from_abstract_name(name).map_err(fail)?;
                sender
                    .send_to_addr(message.as_bytes(), &address)
                    .map_err(fail)?
            }
            None => sender
                .send_to(message.as_bytes(), &self.host)
                .map_err(fail)?,
        };
        Ok(())
    }
}

impl AsFd for NotifyProxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Only readiness leaves the container: it must not change the service's other properties.
fn is_ready(message: &[u8]) -> bool {
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
        assert!(proxy.forward(42).unwrap());
        let length = host.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"MAINPID=42\nREADY=1\n");
        assert!(!proxy.forward(42).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
