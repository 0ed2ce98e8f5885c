//! How a Rust type stands for a field of a protobuf message.
use crate::codec::{self, BYTES, Budget, EIGHT, Error, Fault, Fields, Message, NUMBER, Value};
use std::collections::BTreeMap;

/// A type that a field can have.
pub trait Field {
    /// Appends the field, unless it is at its default.
    fn put(&self, number: u32, out: &mut Vec<u8>);

    /// Takes a value in: of what is single the last one stands, messages are merged, lists grow.
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error>;
}

/// A number of variable length, from 64 bits of which a type may use a part: as protobuf demands, the rest is cut off.
trait Varying: Copy + PartialEq + Default {
    fn from_wire(number: u64) -> Self;
    fn to_wire(self) -> u64;
}

macro_rules! varying {
    ($($type:ty: $number:ident => $from:expr, $value:ident => $to:expr;)*) => {$(
        impl Varying for $type {
            fn from_wire($number: u64) -> Self {
                $from
            }

            fn to_wire(self) -> u64 {
                let $value = self;
                $to
            }
        }

        impl Field for $type {
            #[inline(never)]
            fn put(&self, number: u32, out: &mut Vec<u8>) {
                if *self != Self::default() {
                    put_varying(number, self.to_wire(), out);
                }
            }

            #[inline(never)]
            fn take(&mut self, value: Value<'_>, _: &mut Budget) -> Result<(), Error> {
                let Value::Number(number) = value else {
                    return Err(Fault::Kind.into());
                };
                *self = Self::from_wire(number);
                Ok(())
            }
        }
    )*};
}

varying! {
    bool: number => number != 0, value => u64::from(value);
    u32: number => number as u32, value => u64::from(value);
    u64: number => number, value => value;
    i32: number => number as i32, value => i64::from(value) as u64;
    i64: number => number as i64, value => value as u64;
}

fn put_varying(number: u32, value: u64, out: &mut Vec<u8>) {
    codec::put_key(out, number, NUMBER);
    codec::put_number(out, value);
}

impl Field for f64 {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        // By its bits: a negative zero is no default.
        if self.to_bits() != 0 {
            codec::put_key(out, number, EIGHT);
            out.extend_from_slice(&self.to_le_bytes());
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, _: &mut Budget) -> Result<(), Error> {
        let Value::Eight(bits) = value else {
            return Err(Fault::Kind.into());
        };
        *self = f64::from_bits(bits);
        Ok(())
    }
}

impl Field for String {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_slice(number, self.as_bytes(), out);
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        let text = std::str::from_utf8(bytes(value)?).map_err(|_| Fault::Text)?;
        budget.spend(text.len())?;
        text.clone_into(self);
        Ok(())
    }
}

impl Field for Vec<u8> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_slice(number, self, out);
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        let bytes = bytes(value)?;
        budget.spend(bytes.len())?;
        bytes.clone_into(self);
        Ok(())
    }
}

/// A text that may be absent, which is more than being empty.
impl Field for Option<String> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(text) = self {
            put_slice(number, text.as_bytes(), out);
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        self.get_or_insert_default().take(value, budget)
    }
}

impl<M: Message> Field for Option<M> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        if let Some(message) = self {
            put_message(number, message, out);
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        codec::merge(self.get_or_insert_default(), bytes(value)?, budget)
    }
}

impl<M: Message> Field for Vec<M> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for message in self {
            put_message(number, message, out);
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        budget.spend(size_of::<M>())?;
        let mut message = M::default();
        codec::merge(&mut message, bytes(value)?, budget)?;
        self.push(message);
        Ok(())
    }
}

impl Field for Vec<String> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for text in self {
            put_slice(number, text.as_bytes(), out);
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        budget.spend(size_of::<String>())?;
        let mut text = String::new();
        text.take(value, budget)?;
        self.push(text);
        Ok(())
    }
}

/// Written packed, read packed or not.
impl Field for Vec<u64> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_packed(number, &mut self.iter().copied(), out);
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        take_packed(value, budget, &mut |number| self.push(number))
    }
}

/// Enumerations keep values that are unknown.
impl Field for Vec<i32> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        put_packed(
            number,
            &mut self.iter().map(|value| i64::from(*value) as u64),
            out,
        );
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        take_packed(value, budget, &mut |number| self.push(number as i32))
    }
}

/// An entry is a message of two fields.
impl Field for BTreeMap<String, String> {
    #[inline(never)]
    fn put(&self, number: u32, out: &mut Vec<u8>) {
        for (key, value) in self {
            codec::put_bytes(out, number, &mut |out| {
                key.put(1, out);
                value.put(2, out);
            });
        }
    }

    #[inline(never)]
    fn take(&mut self, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        // A tree's nodes are half empty at worst.
        budget.spend(4 * size_of::<String>())?;
        let mut entry = Entry::default();
        codec::merge(&mut entry, bytes(value)?, budget)?;
        self.insert(entry.key, entry.value);
        Ok(())
    }
}

#[derive(Default)]
struct Entry {
    key: String,
    value: String,
}

impl Fields for Entry {
    fn name(&self) -> &'static str {
        "entry of a map"
    }

    #[inline(never)]
    fn put(&self, out: &mut Vec<u8>) {
        self.key.put(1, out);
        self.value.put(2, out);
    }

    #[inline(never)]
    fn take(&mut self, number: u32, value: Value<'_>, budget: &mut Budget) -> Result<(), Error> {
        match number {
            1 => self.key.take(value, budget),
            2 => self.value.take(value, budget),
            _ => Ok(()),
        }
    }
}

fn bytes(value: Value<'_>) -> Result<&[u8], Error> {
    match value {
        Value::Bytes(bytes) => Ok(bytes),
        _ => Err(Fault::Kind.into()),
    }
}

fn put_slice(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    codec::put_key(out, number, BYTES);
    codec::put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_message(number: u32, message: &dyn Fields, out: &mut Vec<u8>) {
    codec::put_bytes(out, number, &mut |out| message.put(out));
}

fn put_packed(number: u32, values: &mut dyn ExactSizeIterator<Item = u64>, out: &mut Vec<u8>) {
    if values.len() != 0 {
        codec::put_bytes(out, number, &mut |out| {
            for value in &mut *values {
                codec::put_number(out, value);
            }
        });
    }
}

fn take_packed(
    value: Value<'_>,
    budget: &mut Budget,
    push: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let mut push = |number| budget.spend(8).map(|()| push(number));
    match value {
        Value::Number(number) => push(number),
        Value::Bytes(mut bytes) => {
            while !bytes.is_empty() {
                push(codec::number(&mut bytes)?)?;
            }
            Ok(())
        }
        _ => Err(Fault::Kind.into()),
    }
}
