//! Paths put together in a fixed buffer.
use core::ffi::CStr;
use tare_sys::{Errno, Result};

/// A NUL-terminated path of at most PATH_MAX bytes.
pub struct PathBuffer {
    bytes: [u8; 4097],
    length: usize,
}

impl PathBuffer {
    /// Empty.
    pub fn new() -> PathBuffer {
        PathBuffer {
            bytes: [0; 4097],
            length: 0,
        }
    }
    /// Appends bytes; ENAMETOOLONG when full.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let end = self
            .length
            .checked_add(bytes.len())
            .filter(|end| *end < 4097)
            .ok_or(Errno::ENAMETOOLONG)?;
        self.bytes
            .get_mut(self.length..end)
            .ok_or(Errno::ENAMETOOLONG)?
            .copy_from_slice(bytes);
        self.length = end;
        if let Some(nul) = self.bytes.get_mut(end) {
            *nul = 0;
        }
        Ok(())
    }
    /// Appends a decimal number.
    pub fn push_number(&mut self, mut number: u64) -> Result<()> {
        let mut digits = [0u8; 20];
        let mut first = digits.len();
        loop {
            first = first.saturating_sub(1);
            if let Some(digit) = digits.get_mut(first) {
                *digit = b'0' + (number % 10) as u8;
            }
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.push(digits.get(first..).unwrap_or_default())
    }
    /// Appends an octal number of at most four digits.
    pub fn push_octal(&mut self, number: u32) -> Result<()> {
        let digit = |shift: u32| b'0' + (number >> shift & 7) as u8;
        self.push(&[digit(9), digit(6), digit(3), digit(0)])
    }
    /// The path so far.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
    /// As a C string.
    pub fn as_c(&self) -> Result<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes).map_err(|_| Errno::EINVAL)
    }
}

/// A path split before its last component: `a/b/c` is (`a/b`, `c`); trailing slashes don't count.
pub fn split_last(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let path = path.get(..end).unwrap_or_default();
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (&[], path),
    }
}
