//! Protobuf as records of numbers and values, without messages: a codec that shares nothing with the one that is tested.

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Value {
    Number(u64),
    Bytes(Vec<u8>),
    Other,
}

/// A message: its fields by their numbers, as the .proto files of containerd give them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message(Vec<(u32, Value)>);

impl Message {
    /// Without fields.
    pub fn new() -> Message {
        Message::default()
    }

    /// Adds a string, unless it is empty.
    pub fn text(self, field: u32, text: &str) -> Message {
        self.bytes(field, text.as_bytes())
    }

    /// Adds bytes, unless there are none.
    pub fn bytes(mut self, field: u32, bytes: &[u8]) -> Message {
        if !bytes.is_empty() {
            self.0.push((field, Value::Bytes(bytes.to_vec())));
        }
        self
    }

    /// Adds a number or a boolean, unless it is 0.
    pub fn number(mut self, field: u32, number: u64) -> Message {
        if number != 0 {
            self.0.push((field, Value::Number(number)));
        }
        self
    }

    /// Adds a message, an empty one too.
    pub fn message(mut self, field: u32, message: &Message) -> Message {
        self.0.push((field, Value::Bytes(message.encode())));
        self
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (field, value) in &self.0 {
            match value {
                Value::Number(number) => {
                    varint(&mut out, u64::from(*field) << 3);
                    varint(&mut out, *number);
                }
                Value::Bytes(bytes) => {
                    varint(&mut out, u64::from(*field) << 3 | 2);
                    varint(&mut out, bytes.len() as u64);
                    out.extend_from_slice(bytes);
                }
                Value::Other => {}
            }
        }
        out
    }

    /// Reads bytes; `None` when they are no message.
    pub fn decode(mut bytes: &[u8]) -> Option<Message> {
        let mut message = Message::default();
        while !bytes.is_empty() {
            let key = take_varint(&mut bytes)?;
            let field = u32::try_from(key >> 3).ok().filter(|field| *field > 0)?;
            let value = match key & 7 {
                0 => Value::Number(take_varint(&mut bytes)?),
                2 => {
                    let length = usize::try_from(take_varint(&mut bytes)?).ok()?;
                    let (value, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    Value::Bytes(value.to_vec())
                }
                wire @ (1 | 5) => {
                    bytes = bytes.get(if wire == 1 { 8 } else { 4 }..)?;
                    Value::Other
                }
                _ => return None,
            };
            message.0.push((field, value));
        }
        Some(message)
    }

    /// A number; 0 where it is absent.
    pub fn get(&self, field: u32) -> u64 {
        self.0
            .iter()
            .rev()
            .find_map(|(number, value)| match value {
                Value::Number(value) if *number == field => Some(*value),
                _ => None,
            })
            .unwrap_or(0)
    }

    /// Bytes; empty where they are absent.
    pub fn get_bytes(&self, field: u32) -> &[u8] {
        self.all_bytes(field).last().unwrap_or_default()
    }

    /// A string.
    pub fn get_text(&self, field: u32) -> String {
        String::from_utf8_lossy(self.get_bytes(field)).into_owned()
    }

    /// A message; an empty one where it is absent.
    pub fn get_message(&self, field: u32) -> Message {
        Message::decode(self.get_bytes(field)).unwrap_or_default()
    }

    /// All messages of a repeated field.
    pub fn all(&self, field: u32) -> Vec<Message> {
        self.all_bytes(field).filter_map(Message::decode).collect()
    }

    /// Whether the field is there.
    pub fn has(&self, field: u32) -> bool {
        self.0.iter().any(|(number, _)| *number == field)
    }

    fn all_bytes(&self, field: u32) -> impl Iterator<Item = &[u8]> {
        self.0
            .iter()
            .filter_map(move |(number, value)| match value {
                Value::Bytes(bytes) if *number == field => Some(bytes.as_slice()),
                _ => None,
            })
    }
}

/// google.protobuf.Any.
pub fn any(kind: &str, value: &[u8]) -> Message {
    Message::new().text(1, kind).bytes(2, value)
}

fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::new().number(3, 300);
        let message = Message::new()
            .text(1, "a")
            .number(2, u64::MAX)
            .message(15, &inner)
            .message(15, &Message::new());
        let read = Message::decode(&message.encode()).unwrap();
        assert_eq!(read, message);
        assert_eq!((read.get_text(1).as_str(), read.get(2)), ("a", u64::MAX));
        assert_eq!(read.all(15), [inner, Message::new()]);
        assert_eq!(Message::decode(b"\x0a\x05ab"), None);
    }
}
