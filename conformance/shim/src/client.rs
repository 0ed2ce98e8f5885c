//! A connection to a shim: many calls at a time, each answered on its stream.

use crate::wire::{self, Fields};
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long an answer may take, unless the case says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// gRPC's codes, and two of our own for what the wire does.
pub mod code {
    pub const INVALID_ARGUMENT: u64 = 3;
    pub const NOT_FOUND: u64 = 5;
    pub const ALREADY_EXISTS: u64 = 6;
    pub const RESOURCE_EXHAUSTED: u64 = 8;
    pub const FAILED_PRECONDITION: u64 = 9;
    pub const UNIMPLEMENTED: u64 = 12;
    pub const CLOSED: u64 = 1000;
    pub const TIMEOUT: u64 = 1001;
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    pub code: u64,
    pub message: String,
}

impl fmt::Display for Status {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        write!(to, "code {}: {}", self.code, self.message)
    }
}

pub type Answer = Result<Fields, Status>;

type Waiting = Arc<Mutex<Option<HashMap<u32, Sender<Answer>>>>>;

/// Cloned, it is the same connection.
#[derive(Clone)]
pub struct Connection {
    socket: Arc<Mutex<(UnixStream, u32)>>,
    waiting: Waiting,
}

/// A call that is under way.
pub struct Pending(Receiver<Answer>);

impl Pending {
    /// # Errors
    /// What the shim said; CLOSED or TIMEOUT.
    pub fn within(self, limit: Duration) -> Answer {
        match self.0.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => Err(Status {
                code: code::TIMEOUT,
                message: format!("no answer within {limit:?}"),
            }),
            Err(RecvTimeoutError::Disconnected) => Err(closed()),
        }
    }

    /// Whether the answer is still out.
    pub fn is_out(&self) -> bool {
        matches!(
            self.0.recv_timeout(Duration::from_millis(100)),
            Err(RecvTimeoutError::Timeout)
        )
    }
}

impl Connection {
    /// # Errors
    /// What connect(2) says.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let socket = UnixStream::connect(path)?;
        let from = socket.try_clone()?;
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let answers = Arc::clone(&waiting);
        std::thread::spawn(move || deliver(from, &answers));
        Ok(Self {
            socket: Arc::new(Mutex::new((socket, 1))),
            waiting,
        })
    }

    pub fn begin(&self, service: &str, method: &str, payload: &[u8]) -> Pending {
        let (sender, receiver) = channel();
        let mut socket = self
            .socket
            .lock()
            .expect("no thread panics while it writes");
        let stream = socket.1;
        socket.1 += 2;
        match lock(&self.waiting).as_mut() {
            Some(waiting) => {
                waiting.insert(stream, sender);
            }
            // Dropping the sender says CLOSED.
            None => return Pending(receiver),
        }
        let request = wire::request(service, method, payload);
        if socket
            .0
            .write_all(&wire::frame(stream, wire::REQUEST, &request))
            .is_err()
        {
            lock(&self.waiting)
                .as_mut()
                .map(|waiting| waiting.remove(&stream));
        }
        Pending(receiver)
    }

    /// # Errors
    /// What the shim said; CLOSED or TIMEOUT.
    pub fn call(&self, service: &str, method: &str, payload: &[u8]) -> Answer {
        self.begin(service, method, payload).within(PATIENCE)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if Arc::strong_count(&self.socket) == 1 {
            let socket = self
                .socket
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            // Else the reading thread would hold the connection open.
            let _ = socket.0.shutdown(Shutdown::Both);
        }
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, Option<HashMap<u32, Sender<Answer>>>> {
    waiting.lock().expect("no thread panics while it holds it")
}

fn deliver(mut from: UnixStream, waiting: &Waiting) {
    while let Ok(frame) = wire::read_frame(&mut from) {
        let sender = lock(waiting)
            .as_mut()
            .and_then(|waiting| waiting.remove(&frame.stream));
        if let Some(sender) = sender {
            // The case may have given up on it.
            let _ = sender.send(answer(frame.kind, &frame.payload));
        }
    }
    // Dropping all senders says CLOSED.
    *lock(waiting) = None;
}

/// A response's payload as an answer.
pub fn answer(kind: u8, payload: &[u8]) -> Answer {
    let broken = |what: String| Status {
        code: code::CLOSED,
        message: what,
    };
    if kind != wire::RESPONSE {
        return Err(broken(format!("a frame of kind {kind} as answer")));
    }
    let response = Fields::read(payload).map_err(|error| broken(format!("response: {error}")))?;
    let status = response.message(1);
    if status.number(1) != 0 {
        return Err(Status {
            code: status.number(1),
            message: status.text(2),
        });
    }
    Fields::read(response.bytes(2)).map_err(|error| broken(format!("answer: {error}")))
}

fn closed() -> Status {
    Status {
        code: code::CLOSED,
        message: "the connection was closed".to_owned(),
    }
}
