//! Bytes between containerd and a shim: protobuf by field numbers, and ttrpc's frames. Knows no message by name, and shares no
//! line with the shim's own codec.

use std::io::{self, Read};

/// ttrpc's frame kinds.
pub const REQUEST: u8 = 1;
pub const RESPONSE: u8 = 2;
pub const DATA: u8 = 3;

/// A message under construction. As proto3 has it, values that are zero or empty are left out.
#[derive(Default, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn text(self, number: u64, value: &str) -> Self {
        self.bytes(number, value.as_bytes())
    }

    pub fn bytes(self, number: u64, value: &[u8]) -> Self {
        if value.is_empty() {
            return self;
        }
        self.delimited(number, value)
    }

    pub fn number(mut self, number: u64, value: u64) -> Self {
        if value != 0 {
            varint(&mut self.0, number << 3);
            varint(&mut self.0, value);
        }
        self
    }

    pub fn flag(self, number: u64, value: bool) -> Self {
        self.number(number, u64::from(value))
    }

    /// A message within; one that is empty is written too.
    pub fn message(self, number: u64, value: Message) -> Self {
        self.delimited(number, &value.0)
    }

    pub fn done(self) -> Vec<u8> {
        self.0
    }

    fn delimited(mut self, number: u64, value: &[u8]) -> Self {
        varint(&mut self.0, number << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }
}

/// google.protobuf.Any.
pub fn any(type_url: &str, value: &[u8]) -> Message {
    Message::new().text(1, type_url).bytes(2, value)
}

/// A field's value as the wire has it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Number(u64),
    Bytes(Vec<u8>),
}

/// A message that was read; a field that is absent has its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields(Vec<(u64, Value)>);

impl Fields {
    /// # Errors
    /// Bytes that are no protobuf message.
    pub fn read(mut bytes: &[u8]) -> Result<Self, String> {
        let whole = bytes.len();
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let at = whole - bytes.len();
            let wrong = |what: &str| format!("{what} at byte {at} of {whole}");
            let key = take_varint(&mut bytes).ok_or_else(|| wrong("no field key"))?;
            let value = match key & 7 {
                0 => Value::Number(take_varint(&mut bytes).ok_or_else(|| wrong("no varint"))?),
                1 => Value::Number(fixed(&mut bytes, 8).ok_or_else(|| wrong("no 64 bits"))?),
                5 => Value::Number(fixed(&mut bytes, 4).ok_or_else(|| wrong("no 32 bits"))?),
                2 => {
                    let length = take_varint(&mut bytes).ok_or_else(|| wrong("no length"))?;
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    let (value, rest) = bytes
                        .split_at_checked(length)
                        .ok_or_else(|| wrong("a field longer than its message"))?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                kind => return Err(wrong(&format!("wire type {kind}"))),
            };
            fields.push((key >> 3, value));
        }
        Ok(Self(fields))
    }

    pub fn number(&self, number: u64) -> u64 {
        match self.last(number) {
            Some(Value::Number(value)) => *value,
            _ => 0,
        }
    }

    pub fn bytes(&self, number: u64) -> &[u8] {
        match self.last(number) {
            Some(Value::Bytes(value)) => value,
            _ => &[],
        }
    }

    pub fn text(&self, number: u64) -> String {
        String::from_utf8_lossy(self.bytes(number)).into_owned()
    }

    /// The message within; what is no message counts as an empty one.
    pub fn message(&self, number: u64) -> Fields {
        Fields::read(self.bytes(number)).unwrap_or_default()
    }

    pub fn messages(&self, number: u64) -> Vec<Fields> {
        let all = self.0.iter().filter(|(key, _)| *key == number);
        all.filter_map(|(_, value)| match value {
            Value::Bytes(bytes) => Fields::read(bytes).ok(),
            Value::Number(_) => None,
        })
        .collect()
    }

    fn last(&self, number: u64) -> Option<&Value> {
        let mut backwards = self.0.iter().rev();
        backwards
            .find(|(key, _)| *key == number)
            .map(|(_, value)| value)
    }
}

/// A frame with its header: length, stream, kind, flags.
pub fn frame(stream: u32, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = header(payload.len() as u32, stream, kind);
    bytes.extend_from_slice(payload);
    bytes
}

pub fn header(length: u32, stream: u32, kind: u8) -> Vec<u8> {
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(&[kind, 0]);
    bytes
}

/// One frame as it came.
pub struct Frame {
    pub stream: u32,
    pub kind: u8,
    pub payload: Vec<u8>,
}

/// # Errors
/// UNEXPECTED_EOF where the other side has closed; whatever the socket says.
pub fn read_frame(from: &mut impl Read) -> io::Result<Frame> {
    let mut head = [0; 10];
    from.read_exact(&mut head)?;
    let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().expect("four bytes"));
    let mut payload = vec![0; word(0) as usize];
    from.read_exact(&mut payload)?;
    Ok(Frame {
        stream: word(4),
        kind: head[8],
        payload,
    })
}

/// A request to a service's method.
pub fn request(service: &str, method: &str, payload: &[u8]) -> Vec<u8> {
    Message::new()
        .text(1, service)
        .text(2, method)
        .bytes(3, payload)
        .done()
}

fn varint(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift).unwrap_or(0);
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn fixed(bytes: &mut &[u8], size: usize) -> Option<u64> {
    let (value, rest) = bytes.split_at_checked(size)?;
    *bytes = rest;
    Some(
        value
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_protobufs() {
        let bytes = Message::new()
            .text(1, "c1")
            .number(2, 300)
            .message(10, any("t", b"v"))
            .done();
        // From the encoding's specification: 300 is ac 02.
        assert_eq!(
            bytes,
            b"\x0a\x02c1\x10\xac\x02\x52\x06\x0a\x01t\x12\x01v".to_vec()
        );
        let fields = Fields::read(&bytes).unwrap();
        assert_eq!((fields.text(1).as_str(), fields.number(2)), ("c1", 300));
        assert_eq!(fields.message(10).text(1), "t");
        assert_eq!(fields.number(3), 0);
    }

    #[test]
    fn what_is_cut_short_is_refused() {
        for bytes in [&b"\x0a\x05ab"[..], b"\x08", b"\x0f", b"\x80"] {
            assert!(Fields::read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_frame_is_ten_bytes_and_its_payload() {
        let bytes = frame(3, REQUEST, b"abc");
        assert_eq!(bytes, b"\0\0\0\x03\0\0\0\x03\x01\0abc".to_vec());
        let read = read_frame(&mut &bytes[..]).unwrap();
        assert_eq!(
            (read.stream, read.kind, &read.payload[..]),
            (3, 1, &b"abc"[..])
        );
    }
}
