//! The writer: the same entries give the same bytes, so that a layer made twice has one digest.

use crate::{BLOCK, Entry, Kind, Time};

/// Writes an archive into bytes that its caller takes away: ustar, and a pax header where ustar has no room.
///
/// It writes no names of owners and no access times, so nothing but the entries decides the output.
#[derive(Default)]
pub struct Writer {
    out: Vec<u8>,
    /// Content that the open entry still lacks.
    left: u64,
    padding: usize,
}

impl Writer {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a member; `size` bytes of [`Writer::data`] must follow for a file. A sparse file is written with its holes as zeros.
    ///
    /// # Panics
    /// When the member before lacks content.
    pub fn entry(&mut self, entry: &Entry) {
        assert_eq!(self.left, 0, "the entry before lacks content");
        let records = records(entry);
        if !records.is_empty() {
            // Its own name is read by programs that don't know pax, and is the same for all.
            let size = records.len() as u64;
            let header = header(&Entry::new(Kind::File, b"PaxHeaders.0", 0o644), b'x', size);
            self.out.extend_from_slice(&header);
            self.out.extend_from_slice(&records);
            self.pad(records.len());
        }
        let size = if entry.kind == Kind::File {
            entry.size
        } else {
            0
        };
        self.out
            .extend_from_slice(&header(entry, flag(&entry.kind), size));
        self.left = size;
        self.padding = size.wrapping_neg() as usize % BLOCK;
    }

    /// A piece of the open file's content.
    ///
    /// # Panics
    /// When it is more than the entry's size.
    pub fn data(&mut self, bytes: &[u8]) {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .expect("content beyond the entry's size");
        self.out.extend_from_slice(bytes);
        if self.left == 0 {
            self.out.resize(self.out.len() + self.padding, 0);
            self.padding = 0;
        }
    }

    /// The two blocks of zeros that end an archive.
    pub fn finish(&mut self) {
        self.out.resize(self.out.len() + 2 * BLOCK, 0);
    }

    /// What was written since it was last taken; the caller clears it.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    fn pad(&mut self, length: usize) {
        let padding = length.wrapping_neg() % BLOCK;
        self.out.resize(self.out.len() + padding, 0);
    }
}

fn flag(kind: &Kind) -> u8 {
    match kind {
        Kind::File => b'0',
        Kind::Hardlink => b'1',
        Kind::Symlink => b'2',
        Kind::CharDevice => b'3',
        Kind::BlockDevice => b'4',
        Kind::Directory => b'5',
        Kind::Fifo => b'6',
    }
}

/// A ustar header; what has no room stands in the pax header too, and here in the shape that fits.
fn header(entry: &Entry, flag: u8, size: u64) -> [u8; BLOCK] {
    let mut block = [0u8; BLOCK];
    let mut put = |offset: usize, bytes: &[u8]| {
        block[offset..offset + bytes.len()].copy_from_slice(bytes);
    };
    let (prefix, name) = split(&entry.path).unwrap_or((b"", truncated(&entry.path, 100)));
    put(0, name);
    put(345, prefix);
    put(100, &octal(u64::from(entry.mode & 0o7777), 8));
    put(108, &octal(entry.uid, 8));
    put(116, &octal(entry.gid, 8));
    put(124, &octal(size, 12));
    let seconds = u64::try_from(entry.mtime.seconds).unwrap_or(0);
    put(136, &octal(seconds, 12));
    put(148, b"        ");
    put(156, &[flag]);
    put(157, truncated(&entry.link, 100));
    put(257, b"ustar\x0000");
    put(329, &octal(u64::from(entry.device.0), 8));
    put(337, &octal(u64::from(entry.device.1), 8));
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    // By custom six digits, a NUL and a blank.
    block[148..154].copy_from_slice(&octal(sum, 7)[..6]);
    block[154..156].copy_from_slice(b"\0 ");
    block
}

/// Digits and a NUL; zeros when the number has no room.
fn octal(number: u64, length: usize) -> Vec<u8> {
    let digits = length - 1;
    let number = if fits(number, length) { number } else { 0 };
    format!("{number:0digits$o}\0").into_bytes()
}

fn fits(number: u64, length: usize) -> bool {
    number < 1 << (3 * (length - 1))
}

/// Prefix and name of a path, where ustar has room for them.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    slashes
        .map(|(index, _)| (&path[..index], &path[index + 1..]))
        .find(|(prefix, name)| (1..=155).contains(&prefix.len()) && (1..=100).contains(&name.len()))
}

fn truncated(text: &[u8], length: usize) -> &[u8] {
    &text[..text.len().min(length)]
}

/// The pax records that an entry needs.
fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let mut put = |key: &[u8], value: &[u8]| record(&mut records, key, value);
    if split(&entry.path).is_none() || !entry.path.is_ascii() {
        put(b"path", &entry.path);
    }
    if entry.link.len() > 100 || !entry.link.is_ascii() {
        put(b"linkpath", &entry.link);
    }
    if !fits(entry.uid, 8) {
        put(b"uid", entry.uid.to_string().as_bytes());
    }
    if !fits(entry.gid, 8) {
        put(b"gid", entry.gid.to_string().as_bytes());
    }
    if !fits(entry.size, 12) {
        put(b"size", entry.size.to_string().as_bytes());
    }
    let seconds = u64::try_from(entry.mtime.seconds);
    if entry.mtime.nanoseconds != 0 || !seconds.is_ok_and(|seconds| fits(seconds, 12)) {
        put(b"mtime", time(entry.mtime).as_bytes());
    }
    let mut xattrs: Vec<_> = entry.xattrs.iter().collect();
    xattrs.sort();
    for (name, value) in xattrs {
        put(&[b"SCHILY.xattr.", &name[..]].concat(), value);
    }
    records
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(into: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + digits(length) != length {
        length = rest + digits(length);
    }
    into.extend_from_slice(length.to_string().as_bytes());
    into.push(b' ');
    into.extend_from_slice(key);
    into.push(b'=');
    into.extend_from_slice(value);
    into.push(b'\n');
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

fn time(time: Time) -> String {
    let (sign, seconds, nanoseconds) = match (time.seconds, time.nanoseconds) {
        (seconds, 0) => return seconds.to_string(),
        (seconds @ ..0, nanoseconds) => {
            let whole = (seconds + 1).unsigned_abs();
            ("-", whole, 1_000_000_000 - nanoseconds)
        }
        (seconds, nanoseconds) => ("", seconds.unsigned_abs(), nanoseconds),
    };
    let text = format!("{sign}{seconds}.{nanoseconds:09}");
    text.trim_end_matches('0').to_owned()
}
