//! A blocking D-Bus connection: enough to call systemd and to wait for the end of a job.
//!
//! An own client, since the usual crate brings an async executor into a runtime that should use about a megabyte.
use super::Value;
use super::message::{self, Kind, Message};
use crate::Error;
use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

/// How long a call or a job may take; runc waits as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// An authenticated connection.
#[derive(Debug)]
pub(crate) struct Bus {
    address: String,
    stream: UnixStream,
    serial: u32,
    /// Signals that came while a reply was awaited.
    signals: Vec<Message>,
}

/// What a call can end with besides a broken connection.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The connection failed.
    Bus(Error),
    /// The callee answered with an error: its name and its message.
    Answer { name: String, message: String },
}

impl Bus {
    /// Connects to the first usable entry of a bus address, authenticates as the caller and says hello.
    pub fn connect(address: &str) -> Result<Bus, Error> {
        let fail = |why: String| Error::Bus {
            address: address.to_string(),
            why,
        };
        Bus::over(open(address).map_err(fail)?, address)
    }

    /// The same over a connection that is there.
    pub fn over(mut stream: UnixStream, address: &str) -> Result<Bus, Error> {
        let fail = |why: String| Error::Bus {
            address: address.to_string(),
            why,
        };
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| fail(describe(&error)))?;
        stream
            .set_write_timeout(Some(PATIENCE))
            .map_err(|error| fail(describe(&error)))?;
        authenticate(&mut stream).map_err(|why| fail(format!("authentication: {why}")))?;
        let mut bus = Bus {
            address: address.to_string(),
            stream,
            serial: 0,
            signals: Vec::new(),
        };
        let hello = bus.call(
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "Hello",
            Vec::new(),
        );
        hello.map_err(|error| error.into_bus(address))?;
        Ok(bus)
    }

    /// Calls a method and waits for its answer.
    pub fn call(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
    ) -> Result<Vec<Value>, CallError> {
        let serial = self.send(destination, path, interface, member, body, false)?;
        let end = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(end)?;
            match message.kind {
                Kind::Return if message.reply_to == serial => return Ok(message.body),
                Kind::Error if message.reply_to == serial => {
                    let text = message.body.into_iter().next();
                    let text = if let Some(Value::Text(text)) = text {
                        text
                    } else {
                        String::new()
                    };
                    return Err(CallError::Answer {
                        name: message.error,
                        message: text,
                    });
                }
                Kind::Signal => self.signals.push(message),
                _ => {}
            }
        }
    }

    /// Calls a method whose answer doesn't matter.
    pub fn tell(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
    ) -> Result<(), CallError> {
        self.send(destination, path, interface, member, body, true)
            .map(drop)
    }

    /// Waits for a signal that `pick` takes something from.
    pub fn wait_signal<T>(&mut self, pick: impl Fn(&Message) -> Option<T>) -> Result<T, CallError> {
        if let Some(found) = self.signals.iter().find_map(&pick) {
            return Ok(found);
        }
        let end = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(end)?;
            if message.kind == Kind::Signal
                && let Some(found) = pick(&message)
            {
                return Ok(found);
            }
        }
    }

    fn send(
        &mut self,
        destination: &str,
        path: &str,
        interface: &str,
        member: &str,
        body: Vec<Value>,
        no_reply: bool,
    ) -> Result<u32, CallError> {
        self.serial += 1;
        let message = Message {
            serial: self.serial,
            no_reply,
            destination: destination.to_string(),
            path: path.to_string(),
            interface: interface.to_string(),
            member: member.to_string(),
            body,
            ..Message::default()
        };
        self.stream
            .write_all(&message::encode(&message))
            .map_err(|error| self.broken(describe(&error)))?;
        Ok(self.serial)
    }

    fn receive(&mut self, end: Instant) -> Result<Message, CallError> {
        let mut bytes = vec![0; 16];
        self.fill(&mut bytes, 0, end)?;
        let head: [u8; 16] = bytes[..16].try_into().unwrap_or([0; 16]);
        let length = message::length(&head).map_err(|why| self.broken(why.to_string()))?;
        bytes.resize(length.max(16), 0);
        self.fill(&mut bytes, 16, end)?;
        message::decode(&bytes).map_err(|why| self.broken(format!("{why} came")))
    }

    fn fill(&mut self, bytes: &mut [u8], from: usize, end: Instant) -> Result<(), CallError> {
        let mut at = from;
        while at < bytes.len() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.broken("no answer in 30 seconds".to_string()));
            }
            let _ = self.stream.set_read_timeout(Some(left));
            match self.stream.read(&mut bytes[at..]) {
                Ok(0) => return Err(self.broken("the connection was closed".to_string())),
                Ok(count) => at += count,
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::Interrupted
                            | std::io::ErrorKind::WouldBlock
                            | std::io::ErrorKind::TimedOut
                    ) => {}
                Err(error) => return Err(self.broken(describe(&error))),
            }
        }
        Ok(())
    }

    fn broken(&self, why: String) -> CallError {
        CallError::Bus(Error::Bus {
            address: self.address.clone(),
            why,
        })
    }
}

impl CallError {
    fn into_bus(self, address: &str) -> Error {
        match self {
            CallError::Bus(error) => error,
            CallError::Answer { name, message } => Error::Bus {
                address: address.to_string(),
                why: format!("{name}: {message}"),
            },
        }
    }

    /// As the error of a call about a unit.
    pub fn about(self, call: &'static str, unit: &str) -> Error {
        match self {
            CallError::Bus(error) => error,
            CallError::Answer { name, message } => Error::Systemd {
                call,
                unit: unit.to_string(),
                why: format!("{name}: {message}"),
            },
        }
    }

    /// Whether the callee answered with the error of that name.
    pub fn is(&self, wanted: &str) -> bool {
        matches!(self, CallError::Answer { name, .. } if name == wanted)
    }
}

/// The errno by its name: the C library's sentence may be taken for the program's error by a caller.
fn describe(error: &std::io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => crate::error::errno_name(rustix::io::Errno::from_raw_os_error(code)),
        None => error.kind().to_string(),
    }
}

fn open(address: &str) -> Result<UnixStream, String> {
    let mut why = "the address is empty".to_string();
    for entry in address.split(';').filter(|entry| !entry.is_empty()) {
        match open_entry(entry) {
            Ok(stream) => return Ok(stream),
            Err(error) => why = error,
        }
    }
    Err(why)
}

fn open_entry(entry: &str) -> Result<UnixStream, String> {
    let Some(pairs) = entry.strip_prefix("unix:") else {
        return Err(format!(
            "{entry:?} is no unix: address, the only kind that is understood"
        ));
    };
    for pair in pairs.split(',') {
        let connected = match pair.split_once('=') {
            Some(("path", path)) => {
                UnixStream::connect(String::from_utf8_lossy(&unescape(path)?).as_ref())
            }
            Some(("abstract", name)) => SocketAddr::from_abstract_name(unescape(name)?)
                .and_then(|address| UnixStream::connect_addr(&address)),
            _ => continue,
        };
        return connected.map_err(|error| match error.raw_os_error() {
            Some(code) if code == rustix::io::Errno::NOENT.raw_os_error() => {
                format!("missing: {pair}; is the bus running?")
            }
            _ => describe(&error),
        });
    }
    Err(format!("{entry:?} has neither path nor abstract"))
}

/// Undoes `%20` escapes.
fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next().unwrap_or(b'?'), bytes.next().unwrap_or(b'?')];
        let code = std::str::from_utf8(&digits)
            .ok()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(code.ok_or_else(|| format!("{text:?} has a broken escape"))?);
    }
    Ok(out)
}

/// SASL EXTERNAL without a claimed identity: the bus takes the socket's credentials, which is right in a user namespace too.
fn authenticate(stream: &mut UnixStream) -> Result<(), String> {
    stream
        .write_all(b"\0AUTH EXTERNAL\r\nDATA\r\n")
        .map_err(|error| describe(&error))?;
    loop {
        let line = read_line(stream)?;
        match line.split(' ').next().unwrap_or("") {
            "DATA" => {}
            "OK" => break,
            _ => return Err(format!("the bus answered {line:?}")),
        }
    }
    stream
        .write_all(b"BEGIN\r\n")
        .map_err(|error| describe(&error))
}

fn read_line(stream: &mut UnixStream) -> Result<String, String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if line.len() > 1024 || stream.read(&mut byte).map_err(|error| describe(&error))? == 0 {
            return Err("the bus closed the connection or talks nonsense".to_string());
        }
        line.push(byte[0]);
    }
    Ok(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expect: &str) {
        let why = match open(address) {
            Ok(_) => "connected".to_string(),
            Err(why) => why,
        };
        assert!(why.starts_with(expect), "{address}: {why}");
    }

    #[test]
    fn addresses() {
        check("", "the address is empty");
        check(
            "tcp:host=localhost,port=1",
            "\"tcp:host=localhost,port=1\" is no unix: address",
        );
        check("unix:guid=1", "\"unix:guid=1\" has neither");
        check(
            "unix:path=/nonexistent/tare%20bus",
            "missing: path=/nonexistent/tare%20bus",
        );
        check("unix:path=/a%zz", "\"/a%zz\" has a broken escape");
        check("unix:abstract=tare-no-such-bus", "ECONNREFUSED");
        check("tcp:x;unix:abstract=tare-no-such-bus;", "ECONNREFUSED");
    }
}
