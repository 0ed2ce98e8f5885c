//! Requests and responses: the server's and the client's side of a connection, as far as bytes go.
//!
//! Whoever owns the socket feeds what it read to [`Server::next`] or [`Client::next`] and sends what [`put_response`] or
//! [`Client::put_request`] wrote. What a frame may not be is answered as the Go server answers it.
use crate::codec::{Fields, Message, messages, put_bytes};
use crate::frame::{self, Decoder, Event, Kind, MOST, NO_DATA, REMOTE_CLOSED};
use crate::messages::google::Any;

messages! {
    /// What a client asks for.
    Request = "ttrpc.Request" {
        1 service: String,
        2 method: String,
        3 payload: Vec<u8>,
        4 timeout_nano: i64,
        5 metadata: Vec<KeyValue>,
    }

    /// One value of the metadata; a key may come more than once.
    KeyValue = "ttrpc.KeyValue" {
        1 key: String,
        2 value: String,
    }

    /// The answer: without a status, or with the status 0, it is the payload.
    Response = "ttrpc.Response" {
        1 status: Option<Status>,
        2 payload: Vec<u8>,
    }

    /// Why a request failed; `code` is a [`Code`].
    Status = "google.rpc.Status" {
        1 code: i32,
        2 message: String,
        3 details: Vec<Any>,
    }
}

/// The status codes of gRPC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names are gRPC's, and so is what they mean.
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Status {
    /// A status with a message.
    pub fn new(code: Code, message: impl Into<String>) -> Status {
        Status {
            code: code as i32,
            message: message.into(),
            details: Vec::new(),
        }
    }

    /// Whether it is this code.
    pub fn is(&self, code: Code) -> bool {
        self.code == code as i32
    }

    /// What a method that is not served gets, in the words of the Go server.
    pub fn no_method(method: &str) -> Status {
        Status::new(Code::Unimplemented, format!("method {method}"))
    }

    /// What a service that is not served gets, in the words of the Go server.
    pub fn no_service(service: &str) -> Status {
        Status::new(Code::Unimplemented, format!("service {service}"))
    }

    fn too_long(length: usize) -> Status {
        let message = format!("message length {length} exceed maximum message size of {MOST}");
        Status::new(Code::ResourceExhausted, message)
    }
}

/// What came to a server.
#[derive(Debug, PartialEq)]
pub enum Incoming {
    /// A request; it wants one response on its stream.
    Request(u32, Request),
    /// Something else than a request that can be served: answer with this status on this stream.
    Refused(u32, Status),
}

/// The server's side of one connection.
#[derive(Debug, Default)]
pub struct Server {
    decoder: Decoder,
    /// The newest stream: their numbers only grow.
    last: u32,
}

impl Server {
    /// Takes bytes from the front of `input` up to the end of the next thing to answer; `None` when `input` is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Incoming> {
        loop {
            let frame = match self.decoder.next(input)? {
                Event::Frame(frame) => frame,
                Event::TooLong { stream, length } => {
                    return Some(Incoming::Refused(stream, Status::too_long(length as usize)));
                }
            };
            let refused = |words: &str| {
                let status = Status::new(Code::InvalidArgument, words);
                Some(Incoming::Refused(frame.stream, status))
            };
            if frame.stream % 2 == 0 {
                return refused("StreamID must be odd for client initiated streams");
            }
            match frame.kind {
                Kind::Request if frame.stream <= self.last => {
                    return refused("StreamID cannot be re-used and must increment");
                }
                Kind::Request => {
                    self.last = frame.stream;
                    return match Request::decode(frame.payload) {
                        Ok(request) => Some(Incoming::Request(frame.stream, request)),
                        Err(error) => refused(&format!("unmarshal request error: {error}")),
                    };
                }
                // Every method here takes one message. That no second one follows may be said, and changes nothing.
                Kind::Data
                    if frame.flags == REMOTE_CLOSED | NO_DATA && frame.stream <= self.last => {}
                Kind::Data => return refused("StreamID is no longer active"),
                Kind::Response | Kind::Other(_) => {}
            }
        }
    }

    /// Whether a connection that closes now closes between two frames.
    pub fn between_frames(&self) -> bool {
        self.decoder.between_frames()
    }
}

/// Appends the frame of a response. An answer that is longer than a frame becomes a status that says so.
pub fn put_response(out: &mut Vec<u8>, stream: u32, answer: Result<&dyn Fields, &Status>) {
    let written = frame::put(out, stream, Kind::Response, 0, |out| match answer {
        // A payload of no bytes is the default, and left out.
        Ok(payload) => {
            let begin = out.len();
            put_bytes(out, 2, &mut |out| payload.put(out));
            if out.len() == begin + 2 {
                out.truncate(begin);
            }
        }
        Err(status) => put_bytes(out, 1, &mut |out| status.put(out)),
    });
    if let Err(length) = written {
        // It is short, so that this ends here.
        put_response(out, stream, Err(&Status::too_long(length)));
    }
}

/// What came to a client: the stream, and what became of its request.
pub type Answer = (u32, Result<Vec<u8>, Status>);

/// The client's side of one connection.
#[derive(Debug, Default)]
pub struct Client {
    decoder: Decoder,
    last: Option<u32>,
}

impl Client {
    /// Appends the frame of a request; gives its stream. Fails when it is longer than a frame, or the connection has used up
    /// all streams and a new one is needed.
    pub fn put_request(
        &mut self,
        out: &mut Vec<u8>,
        service: &str,
        method: &str,
        payload: &dyn Fields,
        timeout_nano: i64,
    ) -> Result<u32, Status> {
        let stream = match self.last {
            None => 1,
            Some(last) => last
                .checked_add(2)
                .ok_or_else(|| Status::new(Code::Unavailable, "no stream is left"))?,
        };
        let head = Request {
            service: service.to_owned(),
            method: method.to_owned(),
            timeout_nano,
            ..Request::default()
        };
        frame::put(out, stream, Kind::Request, 0, |out| {
            head.put(out);
            put_bytes(out, 3, &mut |out| payload.put(out));
        })
        .map_err(Status::too_long)?;
        self.last = Some(stream);
        Ok(stream)
    }

    /// Takes bytes from the front of `input` up to the end of the next response; `None` when `input` is used up.
    pub fn next(&mut self, input: &mut &[u8]) -> Option<Answer> {
        loop {
            match self.decoder.next(input)? {
                Event::TooLong { stream, length } => {
                    return Some((stream, Err(Status::too_long(length as usize))));
                }
                Event::Frame(frame) if frame.kind == Kind::Response => {
                    return Some((frame.stream, answer(frame.payload)));
                }
                Event::Frame(_) => {}
            }
        }
    }
}

fn answer(payload: &[u8]) -> Result<Vec<u8>, Status> {
    let response = Response::decode(payload)
        .map_err(|error| Status::new(Code::Internal, format!("a response: {error}")))?;
    match response.status {
        Some(status) if !status.is(Code::Ok) => Err(status),
        _ => Ok(response.payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::google::Timestamp;

    const TIME: Timestamp = Timestamp {
        seconds: 5,
        nanos: 6,
    };

    fn frame(stream: u32, kind: Kind, flags: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        frame::put(&mut out, stream, kind, flags, |out| {
            out.extend_from_slice(payload);
        })
        .expect("short");
        out
    }

    /// What a server finds: the streams, and the method or the refusal.
    fn serve(bytes: &[u8]) -> Vec<(u32, String)> {
        let (mut server, mut input) = (Server::default(), bytes);
        let mut found = Vec::new();
        while let Some(incoming) = server.next(&mut input) {
            found.push(match incoming {
                Incoming::Request(stream, request) => (stream, request.method),
                Incoming::Refused(stream, status) => {
                    (stream, format!("{} {}", status.code, status.message))
                }
            });
        }
        found
    }

    fn check(frames: &[Vec<u8>], expect: &[(u32, &str)]) {
        let found = serve(&frames.concat());
        let found: Vec<(u32, &str)> = found.iter().map(|(s, w)| (*s, w.as_str())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn a_server_refuses_as_the_go_server_does() {
        let request = |stream| frame(stream, Kind::Request, 0, b"\x12\x04Wait");
        check(&[request(1), request(3)], &[(1, "Wait"), (3, "Wait")]);
        check(
            &[request(3), request(3), request(1), request(5)],
            &[
                (3, "Wait"),
                (3, "3 StreamID cannot be re-used and must increment"),
                (1, "3 StreamID cannot be re-used and must increment"),
                (5, "Wait"),
            ],
        );
        check(
            &[request(2)],
            &[(2, "3 StreamID must be odd for client initiated streams")],
        );
        check(
            &[frame(1, Kind::Request, 0, b"\x12\x09"), request(3)],
            &[
                (
                    1,
                    "3 unmarshal request error: ttrpc.Request, field 2: the bytes end too early",
                ),
                (3, "Wait"),
            ],
        );
        check(
            &[
                [0, 0x40, 0, 1, 0, 0, 0, 1, 1, 0].to_vec(),
                vec![0; MOST + 1],
                request(3),
            ],
            &[
                (
                    1,
                    "8 message length 4194305 exceed maximum message size of 4194304",
                ),
                (3, "Wait"),
            ],
        );
        // Kinds that mean nothing here, and what may become of the protocol.
        check(
            &[
                frame(1, Kind::Response, 0, b"x"),
                frame(1, Kind::Other(4), 0, b"x"),
                request(1),
            ],
            &[(1, "Wait")],
        );
    }

    #[test]
    fn flags_of_streams_are_borne() {
        let open = frame(1, Kind::Request, frame::REMOTE_OPEN, b"\x12\x04Wait");
        let closed = frame(3, Kind::Request, REMOTE_CLOSED, b"\x12\x04Kill");
        let end = frame(1, Kind::Data, REMOTE_CLOSED | NO_DATA, b"");
        let more = frame(1, Kind::Data, 0, b"x");
        let unknown = frame(9, Kind::Data, REMOTE_CLOSED | NO_DATA, b"");
        check(
            &[open, closed, end, more, unknown],
            &[
                (1, "Wait"),
                (3, "Kill"),
                (1, "3 StreamID is no longer active"),
                (9, "3 StreamID is no longer active"),
            ],
        );
    }

    #[test]
    fn a_client_gets_what_a_server_answers() {
        let (mut client, mut server) = (Client::default(), Server::default());
        let mut out = Vec::new();
        for expect in [1, 3, 5] {
            let stream = client.put_request(&mut out, "s", "m", &TIME, 7);
            assert_eq!(stream, Ok(expect));
        }
        let mut back = Vec::new();
        let mut input = &out[..];
        while let Some(Incoming::Request(stream, request)) = server.next(&mut input) {
            assert_eq!((&request.service[..], &request.method[..]), ("s", "m"));
            assert_eq!(
                (request.timeout_nano, &request.payload),
                (7, &TIME.encode())
            );
            let status = Status::new(Code::NotFound, "no such process");
            match stream {
                1 => put_response(&mut back, stream, Ok(&TIME)),
                3 => put_response(&mut back, stream, Ok(&Timestamp::default())),
                _ => put_response(&mut back, stream, Err(&status)),
            }
        }
        let (mut input, mut found) = (&back[..], Vec::new());
        while let Some(answer) = client.next(&mut input) {
            found.push(answer);
        }
        let not_found = Status::new(Code::NotFound, "no such process");
        assert_eq!(
            found,
            [
                (1, Ok(TIME.encode())),
                (3, Ok(Vec::new())),
                (5, Err(not_found))
            ]
        );
    }

    #[test]
    fn an_answer_without_content_has_no_payload() {
        let mut out = Vec::new();
        put_response(&mut out, 1, Ok(&Timestamp::default()));
        assert_eq!(out.len(), frame::HEADER);
    }

    #[test]
    fn what_is_too_long_becomes_a_status() {
        let long = KeyValue {
            value: "x".repeat(MOST),
            ..KeyValue::default()
        };
        let mut out = Vec::new();
        put_response(&mut out, 1, Ok(&long));
        let answer = Client::default().next(&mut &out[..]);
        assert!(
            matches!(&answer, Some((1, Err(status))) if status.is(Code::ResourceExhausted)),
            "{answer:?}"
        );
        let mut client = Client::default();
        let mut out = Vec::new();
        let refused = client.put_request(&mut out, "s", "m", &long, 0);
        assert!(matches!(refused, Err(status) if status.is(Code::ResourceExhausted)));
        assert!(out.is_empty());
        assert_eq!(client.put_request(&mut out, "s", "m", &TIME, 0), Ok(1));
    }

    #[test]
    fn streams_end() {
        let mut client = Client {
            last: Some(u32::MAX - 2),
            ..Client::default()
        };
        let mut request = || client.put_request(&mut Vec::new(), "s", "m", &TIME, 0);
        assert_eq!(request(), Ok(u32::MAX));
        assert!(matches!(request(), Err(status) if status.is(Code::Unavailable)));
    }
}
