//! The bytes of rtnetlink: requests are built, answers are taken apart. Pure; every length that an answer claims is checked.
//!
//! Layout by netlink(7) and rtnetlink(7): a 16-byte header (length, type, flags, sequence, port), a fixed part by type, then
//! attributes (length, type, value), all in the machine's byte order and padded to four bytes.

/// `NLMSG_ERROR`: the answer's end, with an errno or zero.
pub(super) const ERROR: u16 = 2;
/// `NLMSG_DONE`: a dump's end.
pub(super) const DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: what was dumped changed meanwhile.
pub(super) const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_ACK`.
pub(super) const ACK: u16 = 0x04;
/// `NLM_F_ROOT | NLM_F_MATCH`.
pub(super) const DUMP: u16 = 0x300;
/// `NLM_F_CREATE | NLM_F_EXCL`.
pub(super) const CREATE: u16 = 0x600;

const REQUEST: u16 = 0x01;
const HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;
/// `NLA_TYPE_MASK`: without the bits for nested and byte order.
const ATTRIBUTE_TYPE: u16 = 0x3fff;

/// A request being built.
#[derive(Debug, Clone)]
pub(super) struct Request(Vec<u8>);

impl Request {
    /// A request of this type with `NLM_F_REQUEST` and `flags`, followed by the type's fixed part.
    pub(super) fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        Request(bytes)
    }

    /// Adds an attribute.
    pub(super) fn with(mut self, kind: u16, value: &[u8]) -> Request {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let length = u16::try_from(ATTRIBUTE_HEADER + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0
            .extend(&value[..usize::from(length) - ATTRIBUTE_HEADER]);
        self
    }

    /// Adds a text attribute, with the zero byte that the kernel wants.
    pub(super) fn with_text(self, kind: u16, text: &str) -> Request {
        self.with(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// The finished bytes.
    pub(super) fn bytes(mut self, sequence: u32) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// One message of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Message<'a> {
    /// `RTM_*` or `NLMSG_*`.
    pub(super) kind: u16,
    /// `NLM_F_*`.
    pub(super) flags: u16,
    /// The request's number.
    pub(super) sequence: u32,
    /// All after the header.
    pub(super) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The attributes after a fixed part of this many bytes.
    pub(super) fn attributes(&self, fixed: usize) -> Attributes<'a> {
        Attributes(self.body.get(fixed..).unwrap_or_default())
    }

    /// Of an [`ERROR`] message: the errno, zero for success.
    pub(super) fn errno(&self) -> Option<i32> {
        self.body
            .first_chunk()
            .map(|code| -i32::from_ne_bytes(*code))
    }
}

/// Splits a datagram into its messages; `None` if a length doesn't fit.
pub(super) fn messages(mut bytes: &[u8]) -> Option<Vec<Message<'_>>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let header: &[u8; HEADER] = bytes.first_chunk()?;
        let length = word(header, 0)? as usize;
        found.push(Message {
            kind: half(header, 4)?,
            flags: half(header, 6)?,
            sequence: word(header, 8)?,
            body: bytes.get(HEADER..length)?,
        });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(found)
}

/// Attributes as (type, value), up to the first whose length doesn't fit.
#[derive(Debug, Clone)]
pub(super) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this type.
    pub(super) fn value(&self, kind: u16) -> Option<&'a [u8]> {
        self.clone()
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        let length = usize::from(half(self.0, 0)?);
        let kind = half(self.0, 2)? & ATTRIBUTE_TYPE;
        let value = self.0.get(ATTRIBUTE_HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// The 32-bit number at this offset.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn a_request_in_bytes() {
        let request = Request::new(16, ACK, &[9; 4])
            .with_text(3, "lo")
            .with(28, &[7, 0, 0, 0]);
        assert_eq!(
            request.bytes(5),
            [
                36, 0, 0, 0, 16, 0, 5, 0, 5, 0, 0, 0, 0, 0, 0, 0, // header
                9, 9, 9, 9, // fixed part
                7, 0, 3, 0, b'l', b'o', 0, 0, // text, one byte of padding
                8, 0, 28, 0, 7, 0, 0, 0
            ]
        );
    }

    #[test]
    fn what_is_built_can_be_taken_apart() {
        let request = Request::new(20, 0, &[1; 8])
            .with(2 | 0x8000, b"abcde")
            .with(4, b"");
        let two = [request.clone().bytes(1), request.bytes(2)].concat();
        let found = messages(&two).unwrap();
        assert_eq!(
            found
                .iter()
                .map(|m| (m.kind, m.sequence))
                .collect::<Vec<_>>(),
            [(20, 1), (20, 2)]
        );
        let attributes = found[1].attributes(8);
        assert_eq!(attributes.value(2), Some(&b"abcde"[..]));
        assert_eq!(attributes.value(4), Some(&b""[..]));
        assert_eq!(attributes.value(9), None);
    }

    #[test]
    fn a_length_that_does_not_fit_is_refused() {
        let whole = Request::new(20, 0, &[1; 8]).with(2, b"abcd").bytes(1);
        assert!(messages(&whole[..whole.len() - 1]).is_none());
        assert!(messages(&whole[..15]).is_none());
        let mut short = whole.clone();
        short[..4].copy_from_slice(&15u32.to_ne_bytes());
        assert!(messages(&short).is_none());
        let mut long = whole;
        long[24..26].copy_from_slice(&9u16.to_ne_bytes());
        assert_eq!(messages(&long).unwrap()[0].attributes(8).count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_apart_in_finite_time(bytes: Vec<u8>, fixed in 0usize..40) {
            let split = messages(&bytes).unwrap_or_default();
            prop_assert!(split.len() <= bytes.len() / HEADER);
            for message in split {
                prop_assert!(message.attributes(fixed).count() <= bytes.len() / ATTRIBUTE_HEADER);
                let _ = message.errno();
            }
        }
    }
}
