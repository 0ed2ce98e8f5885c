//! Events on their way to containerd: in order, one at a time, kept while it is away.
use crate::clock::stamp;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};
use tare_shim_wire::messages::events::{Event, FORWARD, ForwardRequest, SERVICE};
use tare_shim_wire::rpc::{Answer, Client};

/// More are not kept; the oldest goes. As many as the Go shim keeps.
const MOST: usize = 2048;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two attempts, longer each time.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// The queue and the connection.
#[derive(Debug)]
pub struct Publisher {
    address: String,
    namespace: String,
    queue: VecDeque<ForwardRequest>,
    connection: Option<Connection>,
    /// How often the first of the queue has failed.
    failures: usize,
    /// When to try again, or to give up waiting.
    wake: Option<Instant>,
}

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    unsent: Vec<u8>,
    client: Client,
    /// The first of the queue has been sent as this stream.
    waits: Option<u32>,
}

/// What the loop is to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wants {
    /// To write to the socket, and not only to read from it.
    pub write: bool,
}

impl Publisher {
    /// To containerd's ttrpc socket; with an empty address events are dropped, for there is nobody to tell.
    pub fn new(address: &str, namespace: &str) -> Publisher {
        Publisher {
            address: address.trim_start_matches("unix://").to_owned(),
            namespace: namespace.to_owned(),
            queue: VecDeque::new(),
            connection: None,
            failures: 0,
            wake: None,
        }
    }

    /// Something has happened.
    pub fn publish<E: Event>(&mut self, event: &E) {
        if self.address.is_empty() {
            return;
        }
        if self.queue.len() == MOST {
            eprintln!("events: {MOST} wait for containerd; the oldest is dropped");
            let sent = self.connection.as_ref().is_some_and(|c| c.waits.is_some());
            self.queue.remove(usize::from(sent));
        }
        let now = stamp(SystemTime::now());
        self.queue
            .push_back(ForwardRequest::of(&self.namespace, now, event));
        self.advance();
    }

    /// The socket and what to wait for on it.
    pub fn wants(&self) -> Option<(BorrowedFd<'_>, Wants)> {
        let connection = self.connection.as_ref()?;
        let write = !connection.unsent.is_empty();
        Some((connection.socket.as_fd(), Wants { write }))
    }

    /// When [`Publisher::advance`] has to be called at the latest.
    pub fn wake(&self) -> Option<Instant> {
        self.wake
    }

    /// Whether nothing waits.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Does what can be done now. Returns whether the connection is another one than before.
    pub fn advance(&mut self) -> bool {
        let before = self.connection.is_some();
        if self.wake.is_some_and(|wake| wake <= Instant::now()) {
            self.wake = None;
            if self.connection.as_ref().is_some_and(|c| c.waits.is_some()) {
                self.fail(&io::ErrorKind::TimedOut.into());
            }
        }
        if self.connection.is_none() && self.wake.is_none() && !self.queue.is_empty() {
            match connect(&self.address) {
                Ok(socket) => {
                    self.connection = Some(Connection {
                        socket,
                        unsent: Vec::new(),
                        client: Client::default(),
                        waits: None,
                    });
                }
                Err(error) => self.fail(&error),
            }
        }
        if let Err(error) = self.exchange() {
            self.fail(&error);
        }
        before != self.connection.is_some()
    }

    fn exchange(&mut self) -> io::Result<()> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        loop {
            if connection.waits.is_none() {
                let Some(first) = self.queue.front() else {
                    if connection.receive(&mut |_| {})? {
                        self.connection = None;
                    }
                    return Ok(());
                };
                let limit = i64::try_from(PATIENCE.as_nanos()).unwrap_or(i64::MAX);
                let Connection { client, unsent, .. } = connection;
                match client.put_request(unsent, SERVICE, FORWARD, first, limit) {
                    Ok(stream) => connection.waits = Some(stream),
                    // The streams of this connection are used up.
                    Err(status) => return Err(io::Error::other(status.message)),
                }
                self.wake = Some(Instant::now() + PATIENCE);
            }
            connection.send()?;
            let mut answered = None;
            let waits = connection.waits;
            let ended = connection.receive(&mut |(stream, answer)| {
                if Some(stream) == waits {
                    answered = Some(answer);
                }
            })?;
            let Some(answer) = answered else {
                return if ended {
                    Err(io::ErrorKind::UnexpectedEof.into())
                } else {
                    Ok(())
                };
            };
            if let Err(status) = answer {
                // It was heard: to say it again would change nothing.
                eprintln!("events: containerd refuses one: {}", status.message);
            }
            connection.waits = None;
            self.queue.pop_front();
            self.failures = 0;
            self.wake = None;
            if ended {
                // What is left goes over the next connection, which the next call makes.
                self.connection = None;
                self.wake = (!self.queue.is_empty()).then(Instant::now);
                return Ok(());
            }
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.connection = None;
        if self.failures == 0 {
            eprintln!("events: {}: {error}; they are kept", self.address);
        }
        let pause = PAUSES[self.failures.min(PAUSES.len() - 1)];
        self.failures += 1;
        self.wake = (!self.queue.is_empty()).then(|| Instant::now() + pause);
    }
}

impl Connection {
    fn send(&mut self) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let flags = rustix::net::SendFlags::NOSIGNAL;
            match rustix::net::send(&self.socket, &self.unsent, flags) {
                Ok(count) => {
                    self.unsent.drain(..count);
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Takes what has come; tells whether nothing more will.
    fn receive(&mut self, take: &mut dyn FnMut(Answer)) -> io::Result<bool> {
        let mut bytes = [0; 4096];
        loop {
            match rustix::io::read(&self.socket, &mut bytes) {
                Ok(0) => return Ok(true),
                Ok(count) => {
                    let mut rest = &bytes[..count];
                    while let Some(answer) = self.client.next(&mut rest) {
                        take(answer);
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return Ok(false),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// A Unix socket answers connect(2) at once, or says EAGAIN.
fn connect(path: &str) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use tare_shim_wire::Message;
    use tare_shim_wire::messages::events::TaskOOM;
    use tare_shim_wire::messages::google::Empty;
    use tare_shim_wire::rpc::{Incoming, Server, put_response};

    fn event(id: &str) -> TaskOOM {
        TaskOOM {
            container_id: id.to_owned(),
        }
    }

    fn name(forward: &ForwardRequest) -> String {
        let event = forward.envelope.as_ref().unwrap().event.as_ref().unwrap();
        event.unpack::<TaskOOM>().unwrap().unwrap().container_id
    }

    /// Takes `count` requests and answers them.
    fn serve(listener: &UnixListener, count: usize) -> Vec<String> {
        let (mut socket, _) = listener.accept().unwrap();
        let mut server = Server::default();
        let mut names = Vec::new();
        let mut bytes = [0; 64];
        while names.len() < count {
            let got = socket.read(&mut bytes).unwrap();
            assert!(got > 0);
            let mut rest = &bytes[..got];
            while let Some(Incoming::Request(stream, request)) = server.next(&mut rest) {
                let forward = ForwardRequest::decode(&request.payload).unwrap();
                names.push(name(&forward));
                let mut answer = Vec::new();
                put_response(&mut answer, stream, Ok(&Empty {}));
                socket.write_all(&answer).unwrap();
            }
        }
        names
    }

    /// As the loop does it.
    fn drive(publisher: &mut Publisher) {
        let end = Instant::now() + Duration::from_secs(10);
        while !publisher.is_idle() && Instant::now() < end {
            publisher.advance();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(publisher.is_idle());
    }

    #[test]
    fn they_come_in_order_and_wait_for_whoever_is_away() {
        let path = std::env::temp_dir().join(format!("tare-events-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut publisher = Publisher::new(path.to_str().unwrap(), "n");
        publisher.publish(&event("a"));
        publisher.publish(&event("b"));
        assert!(publisher.wants().is_none() && publisher.wake().is_some());
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let mut names = serve(&listener, 2);
            names.extend(serve(&listener, 1));
            names
        });
        drive(&mut publisher);
        publisher.publish(&event("c"));
        drive(&mut publisher);
        assert_eq!(server.join().unwrap(), ["a", "b", "c"]);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let mut publisher = Publisher::new("/nonexistent/socket", "n");
        for number in 0..MOST + 3 {
            publisher.publish(&event(&number.to_string()));
        }
        assert_eq!(publisher.queue.len(), MOST);
        assert_eq!(name(&publisher.queue[0]), "3");
    }

    #[test]
    fn without_an_address_nothing_is_kept() {
        let mut publisher = Publisher::new("", "n");
        publisher.publish(&event("a"));
        assert!(publisher.is_idle());
    }
}
