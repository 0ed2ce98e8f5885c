//! The records of a pax extended header: `LENGTH KEY=VALUE\n` (POSIX.1 pax, "pax Extended Header").

use crate::{Segment, TarError, Time};

/// What a pax header says of the entry that follows it.
#[derive(Default)]
pub(crate) struct Extension {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Time>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: Sparse,
}

/// The `GNU.sparse.` records.
#[derive(Default)]
pub(crate) struct Sparse {
    pub(crate) name: Option<Vec<u8>>,
    /// Version 0: the whole file's length.
    pub(crate) size: Option<u64>,
    /// Version 1: the same.
    pub(crate) real_size: Option<u64>,
    pub(crate) major: Option<u64>,
    pub(crate) minor: Option<u64>,
    /// Version 0, from `map`, or from pairs of `offset` and `numbytes`.
    pub(crate) map: Option<Vec<Segment>>,
    pending: Option<u64>,
}

const XATTR: &[u8] = b"SCHILY.xattr.";
const SPARSE: &[u8] = b"GNU.sparse.";

/// Reads all records; later ones replace earlier ones of the same key. `segments` bounds a sparse file's map.
pub(crate) fn read(data: &[u8], at: u64, segments: usize) -> Result<Extension, TarError> {
    let mut extension = Extension::default();
    let mut rest = data;
    while !rest.is_empty() {
        let (key, value, after) = record(rest).map_err(|why| malformed(at, why))?;
        rest = after;
        extension.take(key, value, at, segments)?;
    }
    if extension.sparse.pending.is_some() {
        return Err(malformed(at, "a GNU.sparse.offset without its numbytes"));
    }
    Ok(extension)
}

impl Extension {
    fn take(&mut self, key: &[u8], value: &[u8], at: u64, segments: usize) -> Result<(), TarError> {
        let wrong = || {
            let key = String::from_utf8_lossy(key).into_owned();
            let value = String::from_utf8_lossy(&value[..value.len().min(100)]).into_owned();
            malformed(at, &format!("{key} is {value:?}"))
        };
        let number = || match value {
            b"" => Ok(None),
            digits => decimal(digits).map(Some).ok_or_else(wrong),
        };
        let name = || match value {
            b"" => Ok(None),
            value if value.contains(&0) => Err(wrong()),
            value => Ok(Some(value.to_vec())),
        };
        match key {
            b"path" => self.path = name()?,
            b"linkpath" => self.link = name()?,
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(time(value).ok_or_else(wrong)?),
            key if key.starts_with(XATTR) => {
                let name = &key[XATTR.len()..];
                if name.is_empty() || name.contains(&0) {
                    return Err(wrong());
                }
                self.xattrs.retain(|(other, _)| other != name);
                self.xattrs.push((name.to_vec(), value.to_vec()));
            }
            key if key.starts_with(SPARSE) => {
                let sparse = &mut self.sparse;
                let required = || number()?.ok_or_else(wrong);
                match &key[SPARSE.len()..] {
                    b"name" => sparse.name = name()?,
                    b"size" => sparse.size = number()?,
                    b"realsize" => sparse.real_size = number()?,
                    b"major" => sparse.major = number()?,
                    b"minor" => sparse.minor = number()?,
                    b"map" => sparse.map = Some(map(value, segments).ok_or_else(wrong)?),
                    b"offset" if sparse.pending.is_none() => sparse.pending = Some(required()?),
                    b"numbytes" => {
                        let offset = sparse.pending.take().ok_or_else(wrong)?;
                        let length = required()?;
                        let map = sparse.map.get_or_insert_with(Vec::new);
                        if map.len() >= segments {
                            return Err(malformed(at, "a sparse map with too many segments"));
                        }
                        map.push(Segment { offset, length });
                    }
                    b"numblocks" => {}
                    _ => return Err(wrong()),
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Key, value, and what follows the record.
type Record<'a> = (&'a [u8], &'a [u8], &'a [u8]);

fn record(data: &[u8]) -> Result<Record<'_>, &'static str> {
    let blank = data.iter().take(20).position(|byte| *byte == b' ');
    let blank = blank.ok_or("a record without its length")?;
    let length = decimal(&data[..blank]).ok_or("a record whose length is no number")?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length <= blank + 1 || length > data.len() {
        return Err("a record that is longer than the header, or too short");
    }
    let (record, rest) = data.split_at(length);
    let body = record[blank + 1..].strip_suffix(b"\n");
    let body = body.ok_or("a record that does not end with its line")?;
    let equals = body.iter().position(|byte| *byte == b'=');
    let equals = equals.ok_or("a record without =")?;
    if equals == 0 {
        return Err("a record without a key");
    }
    Ok((&body[..equals], &body[equals + 1..], rest))
}

/// `offset,length,offset,length`; empty for a file that is one hole.
fn map(value: &[u8], limit: usize) -> Option<Vec<Segment>> {
    if value.is_empty() {
        return Some(Vec::new());
    }
    let mut numbers = value.split(|byte| *byte == b',').map(decimal);
    let mut segments = Vec::new();
    while let Some(offset) = numbers.next() {
        let (offset, length) = (offset?, numbers.next()??);
        if segments.len() >= limit {
            return None;
        }
        segments.push(Segment { offset, length });
    }
    Some(segments)
}

/// Digits only: no sign, no blank.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// `[-]SECONDS[.FRACTION]`; digits beyond nanoseconds are dropped.
fn time(value: &[u8]) -> Option<Time> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |byte| *byte == b'.');
    let whole = i64::try_from(decimal(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or(b"");
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Time {
            seconds: whole,
            nanoseconds,
        },
        (true, 0) => Time {
            seconds: -whole,
            nanoseconds: 0,
        },
        (true, nanoseconds) => Time {
            seconds: -whole - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

fn malformed(at: u64, why: &str) -> TarError {
    TarError::Extension {
        at,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let parse = |text: &str| read(text.as_bytes(), 0, 4);
        let fine = parse("12 path=abc\n9 uid=70\n26 SCHILY.xattr.user.a=\0=\n").ok();
        let fine = fine.expect("three records");
        assert_eq!(fine.path.as_deref(), Some(&b"abc"[..]));
        assert_eq!(fine.uid, Some(70));
        assert_eq!(fine.xattrs, [(b"user.a".to_vec(), b"\0=".to_vec())]);
        for wrong in [
            "path=abc\n",
            "13 path=abc\n",
            "11 path=abc\n",
            "12 path=abc ",
            "0 \n",
            "3 \n",
            "5 =a\n",
            "6 abc\n",
            "99999999999999999999 a=b\n",
            "-12 path=abc\n",
            "12 path=a\0c\n",
            "10 uid=-1\n",
            "24 GNU.sparse.offset=10\n",
            "22 GNU.sparse.map=1,2,3\n",
            "33 GNU.sparse.map=1,1,2,1,3,1,4,1,5,1\n",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn times() {
        let check = |text: &str, expect: Option<(i64, u32)>| {
            let found = time(text.as_bytes()).map(|time| (time.seconds, time.nanoseconds));
            assert_eq!(found, expect, "{text}");
        };
        check("12", Some((12, 0)));
        check("12.5", Some((12, 500_000_000)));
        check("12.0000000019", Some((12, 1)));
        check("-1.25", Some((-2, 750_000_000)));
        check("-1", Some((-1, 0)));
        check("1.-5", None);
        check(".5", None);
        check("9223372036854775808", None);
    }
}
