//! The 512 bytes of a header, as fields.

use crate::{BLOCK, TarError, Time};

/// Which dialect a header speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// A header whose checksum is right.
pub(crate) struct Header<'a> {
    block: &'a [u8; BLOCK],
    pub(crate) format: Format,
    at: u64,
}

impl<'a> Header<'a> {
    /// `at` is where the block begins in the archive.
    pub(crate) fn read(block: &'a [u8; BLOCK], at: u64) -> Result<Self, TarError> {
        let header = Self {
            block,
            format: format(block),
            at,
        };
        let found = header.number(148, 8, "checksum")?;
        let (unsigned, signed) = sums(block);
        // Some old programs summed signed bytes.
        if found != unsigned as i64 && found != signed {
            return Err(TarError::Checksum { at });
        }
        Ok(header)
    }

    pub(crate) fn flag(&self) -> u8 {
        self.block[156]
    }

    pub(crate) fn name(&self) -> &'a [u8] {
        text(&self.block[..100])
    }

    /// What stands before the name and a slash; empty where the dialect has none.
    pub(crate) fn prefix(&self) -> &'a [u8] {
        match self.format {
            Format::V7 | Format::Gnu => b"",
            Format::Ustar => text(&self.block[345..500]),
            Format::Star => text(&self.block[345..476]),
        }
    }

    pub(crate) fn link(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }

    pub(crate) fn mode(&self) -> Result<u32, TarError> {
        // Some archives have the file's type in it too.
        Ok((self.number(100, 8, "mode")? & 0o7777) as u32)
    }

    pub(crate) fn uid(&self) -> Result<u64, TarError> {
        self.unsigned(108, 8, "uid")
    }

    pub(crate) fn gid(&self) -> Result<u64, TarError> {
        self.unsigned(116, 8, "gid")
    }

    pub(crate) fn size(&self) -> Result<u64, TarError> {
        self.unsigned(124, 12, "size")
    }

    pub(crate) fn mtime(&self) -> Result<Time, TarError> {
        let seconds = self.number(136, 12, "mtime")?;
        Ok(Time {
            seconds,
            nanoseconds: 0,
        })
    }

    pub(crate) fn device(&self) -> Result<(u32, u32), TarError> {
        if self.format == Format::V7 {
            return Ok((0, 0));
        }
        let part = |offset, field| {
            let number = self.unsigned(offset, 8, field)?;
            u32::try_from(number).map_err(|_| self.wrong(field, offset, 8))
        };
        Ok((part(329, "devmajor")?, part(337, "devminor")?))
    }

    /// A field at an offset that is a number and not negative.
    pub(crate) fn unsigned(
        &self,
        offset: usize,
        length: usize,
        field: &'static str,
    ) -> Result<u64, TarError> {
        let number = self.number(offset, length, field)?;
        u64::try_from(number).map_err(|_| self.wrong(field, offset, length))
    }

    /// Octal text, or base 256 where the first bit is set (GNU).
    fn number(&self, offset: usize, length: usize, field: &'static str) -> Result<i64, TarError> {
        parse_number(&self.block[offset..offset + length])
            .ok_or_else(|| self.wrong(field, offset, length))
    }

    fn wrong(&self, field: &'static str, offset: usize, length: usize) -> TarError {
        let value = text(&self.block[offset..offset + length]);
        TarError::Number {
            at: self.at,
            field,
            value: String::from_utf8_lossy(value).into_owned(),
        }
    }
}

/// A number of a header: None when it is none, or has no room in 63 bits.
pub(crate) fn parse_number(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

/// The bytes up to the first NUL.
pub(crate) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0);
    &field[..end.unwrap_or(field.len())]
}

fn format(block: &[u8; BLOCK]) -> Format {
    match &block[257..265] {
        b"ustar  \0" => Format::Gnu,
        magic if magic.starts_with(b"ustar\0") => match &block[508..512] {
            b"tar\0" => Format::Star,
            _ => Format::Ustar,
        },
        _ => Format::V7,
    }
}

/// Over all bytes, with the checksum's own as blanks.
fn sums(block: &[u8; BLOCK]) -> (u32, i64) {
    let bytes = block.iter().enumerate().map(|(index, byte)| match index {
        148..156 => b' ',
        _ => *byte,
    });
    bytes.fold((0, 0), |(unsigned, signed), byte| {
        (unsigned + u32::from(byte), signed + i64::from(byte as i8))
    })
}

fn octal(field: &[u8]) -> Option<i64> {
    let digits = field.trim_ascii_start();
    let digits = match digits.iter().position(|byte| matches!(byte, 0 | b' ')) {
        Some(end) if digits[end..].iter().all(|byte| matches!(byte, 0 | b' ')) => &digits[..end],
        Some(_) => return octal_after_nuls(field),
        None => digits,
    };
    digits.iter().try_fold(0i64, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 8)?;
        sum.checked_mul(8)?.checked_add(i64::from(digit))
    })
}

/// Blanks and NULs may also stand before the digits.
fn octal_after_nuls(field: &[u8]) -> Option<i64> {
    let begin = field.iter().position(|byte| !matches!(byte, 0 | b' '))?;
    (begin > 0 && field[0] == 0).then(|| octal(&field[begin..]))?
}

/// Two's complement, most significant byte first; the first bit marks the encoding and the next one is the sign.
fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let invert = if negative { 0xff } else { 0 };
    let mut magnitude: u64 = 0;
    for (index, byte) in field.iter().enumerate() {
        let mut byte = byte ^ invert;
        if index == 0 {
            byte &= 0x7f;
        }
        if magnitude >> 56 != 0 {
            return None;
        }
        magnitude = magnitude << 8 | u64::from(byte);
    }
    let magnitude = i64::try_from(magnitude).ok()?;
    Some(if negative { !magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let check = |field: &[u8], expect: Option<i64>| {
            assert_eq!(parse_number(field), expect, "{field:?}");
        };
        check(b"0000644\0", Some(0o644));
        check(b"644 \0\0\0\0", Some(0o644));
        check(b"   644\0 ", Some(0o644));
        check(b"\0\0\0\0\0\0\0\0", Some(0));
        check(b"        ", Some(0));
        check(b"\0\0 644\0\0", Some(0o644));
        check(b"77777777777\0", Some(0o77777777777));
        check(b"777777777777", Some(0o777777777777));
        check(b"648\0", None);
        check(b"-644\0", None);
        check(b"6 4\0", None);
        check(b"0x1\0", None);
        check(b"\x80\0\0\0\0\0\x01\0", Some(256));
        check(b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1));
        check(
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
            Some(-2),
        );
        check(
            b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff",
            Some(i64::MAX),
        );
        check(b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None);
        check(b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None);
        check(b"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", Some(i64::MIN));
    }
}
