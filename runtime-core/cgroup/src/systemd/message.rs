//! D-Bus messages as bytes: marshalling and unmarshalling (D-Bus Specification 0.43, "Message Protocol"). Pure.
use super::Value;
use super::gvariant::types;

/// The largest message that is read; the protocol allows 128 MiB, systemd's answers have a few hundred bytes.
pub(crate) const LARGEST: usize = 4 << 20;
const DEEPEST: usize = 64;

/// What a message is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Call,
    Return,
    Error,
    Signal,
}

/// One message, without what nobody here uses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Message {
    pub kind: Kind,
    pub serial: u32,
    pub reply_to: u32,
    pub no_reply: bool,
    pub path: String,
    pub interface: String,
    pub member: String,
    pub error: String,
    pub destination: String,
    pub body: Vec<Value>,
}

impl Value {
    /// D-Bus signature.
    pub fn signature(&self) -> String {
        match self {
            Value::Bool(_) => "b".into(),
            Value::Byte(_) => "y".into(),
            Value::I16(_) => "n".into(),
            Value::U16(_) => "q".into(),
            Value::I32(_) => "i".into(),
            Value::U32(_) => "u".into(),
            Value::I64(_) => "x".into(),
            Value::U64(_) => "t".into(),
            Value::Double(_) => "d".into(),
            Value::Text(_) => "s".into(),
            Value::Path(_) => "o".into(),
            Value::Signature(_) => "g".into(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(members) => format!(
                "({})",
                members.iter().map(Value::signature).collect::<String>()
            ),
            Value::Entry(entry) => format!("{{{}{}}}", entry.0.signature(), entry.1.signature()),
            Value::Variant(_) => "v".into(),
        }
    }
}

/// The bytes of a message, little-endian.
pub(crate) fn encode(message: &Message) -> Vec<u8> {
    let mut body = Vec::new();
    for value in &message.body {
        put(&mut body, value);
    }
    let signature: String = message.body.iter().map(Value::signature).collect();
    let text = |text: &str| Value::Text(text.to_string());
    let fields = [
        (
            1,
            !message.path.is_empty(),
            Value::Path(message.path.clone()),
        ),
        (2, !message.interface.is_empty(), text(&message.interface)),
        (3, !message.member.is_empty(), text(&message.member)),
        (4, !message.error.is_empty(), text(&message.error)),
        (5, message.reply_to != 0, Value::U32(message.reply_to)),
        (
            6,
            !message.destination.is_empty(),
            text(&message.destination),
        ),
        (
            8,
            !signature.is_empty(),
            Value::Signature(signature.clone()),
        ),
    ];
    let fields = fields.into_iter().filter(|(_, there, _)| *there);
    let fields = fields.map(|(code, _, value)| {
        Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))])
    });
    let kind = match message.kind {
        Kind::Call => 1,
        Kind::Return => 2,
        Kind::Error => 3,
        Kind::Signal => 4,
    };
    let mut out = vec![b'l', kind, u8::from(message.no_reply), 1];
    put(&mut out, &Value::U32(body.len() as u32));
    put(&mut out, &Value::U32(message.serial));
    put(
        &mut out,
        &Value::Array("(yv)".to_string(), fields.collect()),
    );
    align(&mut out, 8);
    out.extend_from_slice(&body);
    out
}

fn align(out: &mut Vec<u8>, to: usize) {
    out.resize(out.len().next_multiple_of(to), 0);
}

fn put(out: &mut Vec<u8>, value: &Value) {
    align(out, alignment(value.signature().as_bytes()[0]));
    match value {
        Value::Bool(value) => out.extend(u32::from(*value).to_le_bytes()),
        Value::Byte(value) => out.push(*value),
        Value::I16(value) => out.extend(value.to_le_bytes()),
        Value::U16(value) => out.extend(value.to_le_bytes()),
        Value::I32(value) => out.extend(value.to_le_bytes()),
        Value::U32(value) => out.extend(value.to_le_bytes()),
        Value::I64(value) => out.extend(value.to_le_bytes()),
        Value::U64(value) => out.extend(value.to_le_bytes()),
        Value::Double(value) => out.extend(value.to_le_bytes()),
        Value::Text(text) | Value::Path(text) => {
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.as_bytes());
            out.push(0);
        }
        Value::Signature(text) => put_signature(out, text),
        Value::Array(element, items) => {
            let at = out.len();
            out.extend([0; 4]);
            align(
                out,
                alignment(element.as_bytes().first().copied().unwrap_or(b'y')),
            );
            let start = out.len();
            items.iter().for_each(|item| put(out, item));
            let length = (out.len() - start) as u32;
            out[at..at + 4].copy_from_slice(&length.to_le_bytes());
        }
        Value::Struct(members) => members.iter().for_each(|member| put(out, member)),
        Value::Entry(entry) => {
            put(out, &entry.0);
            put(out, &entry.1);
        }
        Value::Variant(value) => {
            put_signature(out, &value.signature());
            put(out, value);
        }
    }
}

/// A signature has at most 255 bytes; those made here are far shorter, and annotations' are limited in depth when read.
fn put_signature(out: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(255)];
    out.push(text.len() as u8);
    out.extend(text);
    out.push(0);
}

fn alignment(code: u8) -> usize {
    match code {
        b'y' | b'g' | b'v' => 1,
        b'n' | b'q' => 2,
        b'x' | b't' | b'd' | b'(' | b'{' => 8,
        _ => 4,
    }
}

/// How many bytes the message has that begins with these 16, and checks that they begin one.
pub(crate) fn length(head: &[u8; 16]) -> Result<usize, &'static str> {
    let big = match head[0] {
        b'l' => false,
        b'B' => true,
        _ => return Err("no D-Bus message"),
    };
    let word = |at: usize| {
        let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
        (if big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }) as usize
    };
    let (body, fields) = (word(4), word(12));
    if body > LARGEST || fields > LARGEST {
        return Err("a message that is too long");
    }
    Ok((16 + fields).next_multiple_of(8) + body)
}

/// Reads a whole message; both byte orders.
pub(crate) fn decode(bytes: &[u8]) -> Result<Message, &'static str> {
    let mut reader = Reader {
        bytes,
        at: 0,
        big: bytes.first() == Some(&b'B'),
        depth: 0,
    };
    let head = reader.take(4)?;
    let kind = match head[1] {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => return Err("a message of unknown type"),
    };
    let mut message = Message {
        kind,
        no_reply: head[2] & 1 != 0,
        ..Message::default()
    };
    reader.word()?;
    message.serial = reader.word()?;
    let Value::Array(_, fields) = reader.value("a(yv)")? else {
        return Err("no header fields");
    };
    let mut signature = String::new();
    for field in fields {
        let Value::Struct(mut members) = field else {
            continue;
        };
        let (Some(Value::Variant(value)), Some(Value::Byte(code))) = (members.pop(), members.pop())
        else {
            continue;
        };
        match (code, *value) {
            (1, Value::Path(text)) => message.path = text,
            (2, Value::Text(text)) => message.interface = text,
            (3, Value::Text(text)) => message.member = text,
            (4, Value::Text(text)) => message.error = text,
            (5, Value::U32(serial)) => message.reply_to = serial,
            (6, Value::Text(text)) => message.destination = text,
            (8, Value::Signature(text)) => signature = text,
            _ => {}
        }
    }
    reader.align(8)?;
    for kind in types(&signature).ok_or("a malformed signature")? {
        message.body.push(reader.value(&kind)?);
    }
    Ok(message)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
    depth: usize,
}

macro_rules! fixed {
    ($name:ident, $kind:ty) => {
        fn $name(&mut self) -> Result<$kind, &'static str> {
            let big = self.big;
            self.align(size_of::<$kind>())?;
            let bytes = self
                .take(size_of::<$kind>())?
                .try_into()
                .map_err(|_| SHORT)?;
            Ok(if big {
                <$kind>::from_be_bytes(bytes)
            } else {
                <$kind>::from_le_bytes(bytes)
            })
        }
    };
}

const SHORT: &str = "a message that ends too early";

impl<'a> Reader<'a> {
    fixed!(half, u16);
    fixed!(word, u32);
    fixed!(long, u64);

    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let end = self.at.checked_add(count).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), &'static str> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn text(&mut self, length: usize) -> Result<String, &'static str> {
        let bytes = self.take(length)?;
        self.take(1)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "a string that isn't UTF-8")
    }

    fn value(&mut self, signature: &str) -> Result<Value, &'static str> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("a value nested too deeply");
        }
        let value = self.inner_value(signature);
        self.depth -= 1;
        value
    }

    fn inner_value(&mut self, signature: &str) -> Result<Value, &'static str> {
        Ok(match signature.as_bytes().first().copied() {
            Some(b'b') => Value::Bool(self.word()? != 0),
            Some(b'y') => Value::Byte(self.take(1)?[0]),
            Some(b'n') => Value::I16(self.half()? as i16),
            Some(b'q') => Value::U16(self.half()?),
            Some(b'i') => Value::I32(self.word()? as i32),
            Some(b'u') => Value::U32(self.word()?),
            Some(b'x') => Value::I64(self.long()? as i64),
            Some(b't') => Value::U64(self.long()?),
            Some(b'd') => Value::Double(f64::from_bits(self.long()?)),
            Some(b's') => {
                let length = self.word()? as usize;
                Value::Text(self.text(length)?)
            }
            Some(b'o') => {
                let length = self.word()? as usize;
                Value::Path(self.text(length)?)
            }
            Some(b'g') => {
                let length = usize::from(self.take(1)?[0]);
                Value::Signature(self.text(length)?)
            }
            Some(b'v') => {
                let length = usize::from(self.take(1)?[0]);
                let inner = self.text(length)?;
                match types(&inner).as_deref() {
                    Some([one]) => Value::Variant(Box::new(self.value(one)?)),
                    _ => return Err("a variant of more than one type"),
                }
            }
            Some(b'a') => self.array(&signature[1..])?,
            Some(b'(') => {
                self.align(8)?;
                let members =
                    types(&signature[1..signature.len() - 1]).ok_or("a malformed signature")?;
                Value::Struct(
                    members
                        .iter()
                        .map(|kind| self.value(kind))
                        .collect::<Result<_, _>>()?,
                )
            }
            Some(b'{') => {
                self.align(8)?;
                let members =
                    types(&signature[1..signature.len() - 1]).ok_or("a malformed signature")?;
                let [key, value] = members.as_slice() else {
                    return Err("a malformed signature");
                };
                Value::Entry(Box::new((self.value(key)?, self.value(value)?)))
            }
            _ => return Err("a value of a type that isn't known"),
        })
    }

    fn array(&mut self, element: &str) -> Result<Value, &'static str> {
        let length = self.word()? as usize;
        self.align(alignment(
            element.as_bytes().first().copied().unwrap_or(b'y'),
        ))?;
        let end = self
            .at
            .checked_add(length)
            .filter(|end| *end <= self.bytes.len())
            .ok_or(SHORT)?;
        let mut items = Vec::new();
        while self.at < end {
            items.push(self.value(element)?);
        }
        if self.at != end {
            return Err("an array whose length is wrong");
        }
        Ok(Value::Array(element.to_string(), items))
    }
}

#[cfg(test)]
mod tests {
    use super::super::gvariant::parse;
    use super::*;

    fn sample() -> Message {
        let values = [
            "true",
            "byte 7",
            "int16 -2",
            "uint16 3",
            "-4",
            "uint32 5",
            "int64 -6",
            "uint64 7",
            "1.5",
            "'é'",
            "objectpath '/a'",
            "signature 'a{sv}'",
        ];
        let more = [
            "[uint64 1, 2]",
            "@a(ss) []",
            "@a{sv} {'k': <[('a', byte 1)]>}",
            "(byte 1, uint64 2, 'x')",
            "<'v'>",
        ];
        Message {
            kind: Kind::Call,
            serial: 77,
            reply_to: 5,
            no_reply: true,
            path: "/org/x".into(),
            interface: "org.x.Y".into(),
            member: "Do".into(),
            error: "org.x.E".into(),
            destination: "org.x".into(),
            body: values
                .iter()
                .chain(&more)
                .map(|text| parse(text).unwrap())
                .collect(),
        }
    }

    #[test]
    fn messages_survive_the_wire() {
        let message = sample();
        let bytes = encode(&message);
        assert_eq!(
            length(bytes[..16].try_into().unwrap()).unwrap(),
            bytes.len()
        );
        assert_eq!(decode(&bytes).unwrap(), message);
    }

    #[test]
    fn the_hello_call_byte_by_byte() {
        let message = Message {
            serial: 1,
            member: "Hello".into(),
            path: "/a".into(),
            ..Message::default()
        };
        let expect = b"l\x01\x00\x01\0\0\0\0\x01\0\0\0\x1e\0\0\0\x01\x01o\0\x02\0\0\0/a\0\0\0\0\0\0\x03\x01s\0\x05\0\0\0Hello\0\0\0";
        assert_eq!(encode(&message), expect);
    }

    #[test]
    fn broken_bytes_never_panic() {
        let bytes = encode(&sample());
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err());
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff, b'a', b'('] {
                let mut broken = bytes.clone();
                broken[at] = value;
                let _ = decode(&broken);
                let _ = length(broken[..16].try_into().unwrap());
            }
        }
    }
}
