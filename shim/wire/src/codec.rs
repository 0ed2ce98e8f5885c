//! Protobuf's wire format: records of a field number and a value, read with a budget of memory, written into a vector.
//!
//! Messages are declared by the macro `messages!`; how a Rust type stands for a field is in `fields.rs`. The loop that reads is
//! one function for all messages, so that each of them costs a table of jumps and no more.
use std::fmt;

/// The memory that one decoded message may take: four times the longest frame.
///
/// Two bytes on the wire can ask for an element of a hundred in memory.
pub const MOST_MEMORY: usize = 16 << 20;

/// How deep unknown groups may nest: protobuf's own limit.
const MOST_DEPTH: u32 = 100;

/// A protobuf message.
pub trait Message: Fields + Default {
    /// Its full name, which is its type url too.
    const NAME: &'static str;

    /// Reads a message that is all of `bytes`. Fields that it doesn't have are skipped.
    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut message = Self::default();
        merge(&mut message, bytes, &mut Budget(MOST_MEMORY))?;
        Ok(message)
    }

    /// The message as bytes.
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }
}

/// The fields of a message whose type is not known: what one function for all messages needs.
pub trait Fields {
    /// The message's full name.
    fn name(&self) -> &'static str;

    /// Appends every field that is not at its default.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes in the value of a field; a number that no field has is skipped.
    fn take(&mut self, number: u32, value: Value<'_>, budget: &mut Budget) -> Result<(), Error>;
}

/// Bytes that are no such message: where, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// The full name of the innermost message that was being read.
    pub message: &'static str,
    /// The number of its field; 0 where none could be read.
    pub field: u32,
    /// What is wrong with it.
    pub fault: Fault,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}, field {}: {}",
            self.message, self.field, self.fault
        )
    }
}

impl std::error::Error for Error {}

impl From<Fault> for Error {
    /// An error whose place whoever knows it fills in.
    fn from(fault: Fault) -> Error {
        Error {
            message: "",
            field: 0,
            fault,
        }
    }
}

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end within a record.
    #[error("the bytes end too early")]
    Short,
    /// More than 64 bits.
    #[error("a number is longer than 64 bits")]
    LongNumber,
    /// 0, or more than protobuf has.
    #[error("there is no such field number")]
    Number,
    /// One that protobuf doesn't have, or a group that ends without a beginning.
    #[error("there is no such wire type")]
    WireType,
    /// One that this field can't have.
    #[error("the value is of another kind than the field")]
    Kind,
    /// Protobuf's texts are UTF-8.
    #[error("the text is not UTF-8")]
    Text,
    /// More than [`MOST_MEMORY`].
    #[error("the message takes more than 16 MiB of memory")]
    Memory,
    /// Groups in groups in groups.
    #[error("unknown groups are nested too deep")]
    Depth,
}

/// The value of one record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A number of variable length: integers, booleans, enumerations.
    Number(u64),
    /// Eight bytes.
    Eight(u64),
    /// Four bytes.
    Four(u32),
    /// Text, bytes, a message, or numbers one after the other.
    Bytes(&'a [u8]),
    /// A group: nothing that we know has one.
    Group,
}

/// The memory that is left for a message.
pub struct Budget(usize);

impl Budget {
    /// Takes so many bytes.
    pub fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        self.0 = self.0.checked_sub(bytes).ok_or(Fault::Memory)?;
        Ok(())
    }
}

/// Reads all records of `bytes` into a message.
pub fn merge(message: &mut dyn Fields, mut bytes: &[u8], budget: &mut Budget) -> Result<(), Error> {
    while !bytes.is_empty() {
        let mut field = 0;
        let step = record(&mut bytes, &mut field, MOST_DEPTH)
            .map_err(Error::from)
            .and_then(|value| message.take(field, value, budget));
        if let Err(mut error) = step {
            if error.message.is_empty() {
                (error.message, error.field) = (message.name(), field);
            }
            return Err(error);
        }
    }
    Ok(())
}

/// Reads a number of variable length.
pub fn number(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Fault::Short)?;
        *bytes = rest;
        if shift == 63 && byte > 1 {
            break;
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Fault::LongNumber)
}

/// Appends a number of variable length.
pub fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the head of a record with a number of variable length.
pub fn put_key(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    put_number(out, u64::from(field << 3 | wire_type));
}

/// Appends a record of bytes that `body` appends: their length, written last, goes before them.
pub fn put_bytes(out: &mut Vec<u8>, field: u32, body: &mut dyn FnMut(&mut Vec<u8>)) {
    put_key(out, field, BYTES);
    let begin = out.len();
    out.push(0);
    body(out);
    let mut length = out.len() - begin - 1;
    // Nearly always shorter than 128 bytes: one byte of length, and nothing moves.
    let mut at = begin;
    while length >= 0x80 {
        out[at] = length as u8 | 0x80;
        length >>= 7;
        at += 1;
        out.insert(at, 0);
    }
    out[at] = length as u8;
}

/// The wire type of numbers of variable length.
pub const NUMBER: u32 = 0;
/// The wire type of eight bytes.
pub const EIGHT: u32 = 1;
/// The wire type of what has a length.
pub const BYTES: u32 = 2;
const GROUP: u32 = 3;
const GROUP_END: u32 = 4;
const FOUR: u32 = 5;

fn record<'a>(bytes: &mut &'a [u8], field: &mut u32, depth: u32) -> Result<Value<'a>, Fault> {
    let wire_type = key(bytes, field)?;
    match wire_type {
        NUMBER => number(bytes).map(Value::Number),
        EIGHT => Ok(Value::Eight(u64::from_le_bytes(fixed(bytes)?))),
        FOUR => Ok(Value::Four(u32::from_le_bytes(fixed(bytes)?))),
        BYTES => {
            let length = usize::try_from(number(bytes)?).map_err(|_| Fault::Short)?;
            let (value, rest) = bytes.split_at_checked(length).ok_or(Fault::Short)?;
            *bytes = rest;
            Ok(Value::Bytes(value))
        }
        GROUP => group(bytes, *field, depth).map(|()| Value::Group),
        _ => Err(Fault::WireType),
    }
}

fn key(bytes: &mut &[u8], field: &mut u32) -> Result<u32, Fault> {
    let key = u32::try_from(number(bytes)?).map_err(|_| Fault::Number)?;
    *field = key >> 3;
    if *field == 0 {
        return Err(Fault::Number);
    }
    Ok(key & 7)
}

fn fixed<const LENGTH: usize>(bytes: &mut &[u8]) -> Result<[u8; LENGTH], Fault> {
    let (value, rest) = bytes.split_first_chunk().ok_or(Fault::Short)?;
    *bytes = rest;
    Ok(*value)
}

/// Skips a group whose beginning was read.
fn group(bytes: &mut &[u8], begun: u32, depth: u32) -> Result<(), Fault> {
    let depth = depth.checked_sub(1).ok_or(Fault::Depth)?;
    loop {
        let mut field = 0;
        let mut ahead = *bytes;
        if key(&mut ahead, &mut field)? == GROUP_END {
            *bytes = ahead;
            return if field == begun {
                Ok(())
            } else {
                Err(Fault::WireType)
            };
        }
        record(bytes, &mut field, depth)?;
    }
}

/// Declares messages: each a struct with public fields, the numbers that they have on the wire, and the full name.
macro_rules! messages {
    ($(
        $(#[$about:meta])*
        $name:ident = $full:literal { $($number:literal $field:ident: $type:ty,)* }
    )*) => {
    $(
        $(#[$about])*
        #[allow(missing_docs)] // The fields are those of the .proto files, which document them.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $(pub $field: $type,)*
        }

        impl $crate::codec::Fields for $name {
            fn name(&self) -> &'static str {
                $full
            }

            fn put(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $($crate::fields::Field::put(&self.$field, $number, out);)*
            }

            fn take(
                &mut self,
                number: u32,
                value: $crate::codec::Value<'_>,
                budget: &mut $crate::codec::Budget,
            ) -> Result<(), $crate::Error> {
                let _ = (&value, &budget);
                match number {
                    $($number => $crate::fields::Field::take(&mut self.$field, value, budget),)*
                    _ => Ok(()),
                }
            }
        }

        impl $crate::Message for $name {
            const NAME: &'static str = $full;
        }

        #[cfg(any(test, feature = "doors"))]
        impl $crate::doors::Sample for $name {
            fn sample(next: &mut dyn FnMut() -> u64) -> Self {
                let _ = &next;
                $name {
                    $($field: $crate::doors::Sample::sample(next),)*
                }
            }
        }
    )*

        /// Every message declared here.
        #[cfg(any(test, feature = "doors"))]
        pub(crate) const ALL: &[$crate::doors::Any] = &[$(
            $crate::doors::Any {
                name: $full,
                fields: &[$(($number, stringify!($field), stringify!($type)),)*],
                sample: $crate::doors::sample::<$name>,
                again: $crate::doors::again::<$name>,
            },
        )*];
    };
}
pub(crate) use messages;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::google::Timestamp;

    #[test]
    fn numbers() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_number(&mut out, value);
            let mut rest = &out[..];
            assert_eq!((number(&mut rest), rest.len()), (Ok(value), 0));
        }
        assert_eq!(number(&mut &[0x80][..]), Err(Fault::Short));
        let ten = [0xff; 9];
        assert_eq!(
            number(&mut &[&ten[..], &[2]].concat()[..]),
            Err(Fault::LongNumber)
        );
        assert_eq!(
            number(&mut &[&ten[..], &[0x81, 0]].concat()[..]),
            Err(Fault::LongNumber)
        );
    }

    fn check(bytes: &[u8], expect: Result<i64, Fault>) {
        let seen = Timestamp::decode(bytes);
        assert_eq!(
            seen.map(|time| time.seconds).map_err(|error| error.fault),
            expect,
            "{bytes:?}"
        );
    }

    #[test]
    fn what_is_unknown_is_skipped_and_what_is_wrong_is_refused() {
        check(&[], Ok(0));
        check(&[8, 5], Ok(5));
        check(&[0x18, 9, 8, 5], Ok(5)); // field 3: a number
        check(&[0x19, 1, 2, 3, 4, 5, 6, 7, 8, 8, 5], Ok(5)); // eight bytes
        check(&[0x1a, 2, 8, 9, 8, 5], Ok(5)); // bytes
        check(&[0x1d, 1, 2, 3, 4, 8, 5], Ok(5)); // four bytes
        check(&[0x1b, 8, 9, 0x23, 0x24, 0x1c, 8, 5], Ok(5)); // a group with a number and a group in it
        check(&[8], Err(Fault::Short));
        check(&[0x1a, 3, 8, 9], Err(Fault::Short));
        check(
            &[
                0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
            ],
            Err(Fault::Short),
        );
        check(&[0x1d, 1, 2, 3], Err(Fault::Short));
        check(&[0, 1], Err(Fault::Number));
        check(&[0x80, 0x80, 0x80, 0x80, 0x10, 1], Err(Fault::Number));
        check(&[0x1e, 1], Err(Fault::WireType));
        check(&[0x1c], Err(Fault::WireType));
        check(&[0x1b, 0x24], Err(Fault::WireType));
        check(&[0x1b, 8, 9], Err(Fault::Short));
        check(&[0x0a, 1, 5], Err(Fault::Kind));
        check(&[0x1b; 99], Err(Fault::Short));
        check(&[0x1b; 5000], Err(Fault::Depth));
    }

    #[test]
    fn an_error_says_where() {
        let error = Timestamp::decode(&[8, 5, 0x12, 0]).expect_err("nanos are a number");
        assert_eq!(
            error.to_string(),
            "google.protobuf.Timestamp, field 2: the value is of another kind than the field"
        );
    }

    #[test]
    fn lengths_of_every_size_go_before_their_bytes() {
        for length in [0, 1, 127, 128, 16383, 16384, 70_000] {
            let mut out = vec![9];
            put_bytes(&mut out, 1, &mut |out| out.resize(out.len() + length, 7));
            let mut rest = &out[1..];
            let value = record(&mut rest, &mut 0, 1);
            assert_eq!((value, rest), (Ok(Value::Bytes(&vec![7; length])), &[][..]));
        }
    }
}
