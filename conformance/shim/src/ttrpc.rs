//! A ttrpc client that waits, and can also say what no client should.
use crate::proto::Message;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The service's names.
pub const V2: &str = "containerd.task.v2.Task";
/// The second one.
pub const V3: &str = "containerd.task.v3.Task";

/// gRPC codes that containerd's clients match.
pub mod code {
    pub const INVALID_ARGUMENT: u64 = 3;
    pub const NOT_FOUND: u64 = 5;
    pub const ALREADY_EXISTS: u64 = 6;
    pub const RESOURCE_EXHAUSTED: u64 = 8;
    pub const UNIMPLEMENTED: u64 = 12;
}

/// A failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// gRPC's.
    pub code: u64,
    /// For people.
    pub message: String,
}

/// A connection.
pub struct Client {
    socket: UnixStream,
    stream: u32,
    answers: BTreeMap<u32, Vec<u8>>,
}

impl Client {
    /// Connects.
    pub fn connect(path: &str) -> std::io::Result<Client> {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(Duration::from_secs(15)))?;
        Ok(Client {
            socket,
            stream: 1,
            answers: BTreeMap::new(),
        })
    }

    /// Calls a method of the task service and waits.
    pub fn call(&mut self, method: &str, request: &Message) -> Result<Message, Failure> {
        self.call_of(V2, method, request)
    }

    /// Calls a method of any service and waits.
    pub fn call_of(
        &mut self,
        service: &str,
        method: &str,
        request: &Message,
    ) -> Result<Message, Failure> {
        let stream = self.send(service, method, &request.encode());
        self.receive(stream)
    }

    /// Sends a call; its answer is [`Client::receive`]d by the number that is returned.
    pub fn send(&mut self, service: &str, method: &str, payload: &[u8]) -> u32 {
        let request = Message::new()
            .text(1, service)
            .text(2, method)
            .bytes(3, payload);
        let stream = self.stream;
        self.stream += 2;
        self.raw(stream, 1, &request.encode());
        stream
    }

    /// Sends a frame.
    pub fn raw(&mut self, stream: u32, kind: u8, payload: &[u8]) {
        let mut frame = (payload.len() as u32).to_be_bytes().to_vec();
        frame.extend_from_slice(&stream.to_be_bytes());
        frame.extend_from_slice(&[kind, 0]);
        frame.extend_from_slice(payload);
        self.bytes(&frame);
    }

    /// Sends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.socket
            .write_all(bytes)
            .expect("the shim closed the connection");
    }

    /// Waits for an answer.
    pub fn receive(&mut self, stream: u32) -> Result<Message, Failure> {
        loop {
            if let Some(payload) = self.answers.remove(&stream) {
                let response = Message::decode(&payload).expect("a response that is no message");
                let status = response.get_message(1);
                return match status.get(1) {
                    0 => Ok(response.get_message(2)),
                    code => Err(Failure {
                        code,
                        message: status.get_text(2),
                    }),
                };
            }
            let mut header = [0; 10];
            self.socket.read_exact(&mut header).expect("no answer");
            let word = |at: usize| {
                u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
            };
            let mut payload = vec![0; word(0) as usize];
            self.socket
                .read_exact(&mut payload)
                .expect("half an answer");
            assert_eq!(header[8], 2, "a frame that is no response");
            self.answers.insert(word(4), payload);
        }
    }

    /// Sends no more.
    pub fn half_close(&self) {
        self.socket
            .shutdown(std::net::Shutdown::Write)
            .expect("shut down");
    }
}
