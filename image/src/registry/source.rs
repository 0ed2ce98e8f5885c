//! What is sent: a blob's bytes from any place on, counted, and broken off when somebody wants it.

use super::RegistryError;
use crate::Digest;
use crate::digest::Hasher;
use std::cell::RefCell;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A blob to send.
pub struct Outgoing<'a> {
    /// Its name.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
    /// Gives the bytes from a place on, each time anew.
    pub open: &'a dyn Fn(u64) -> io::Result<Box<dyn Read>>,
    /// Is told how many of them are on their way; fewer again when some have to be sent once more.
    pub sent: &'a AtomicU64,
    /// Whether somebody wants it to end.
    pub stop: &'a dyn Fn() -> bool,
}

/// The same, with what is open of it.
pub(super) struct Source<'a> {
    blob: &'a Outgoing<'a>,
    /// The place of the next byte, and who gives it.
    reader: RefCell<Option<(u64, Box<dyn Read>)>>,
    failed: RefCell<Option<io::Error>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(blob: &'a Outgoing<'a>) -> Self {
        Self {
            blob,
            reader: RefCell::new(None),
            failed: RefCell::new(None),
        }
    }

    /// A part of it. It fails rather than be too short: a registry would wait for the rest.
    pub(super) fn piece(&self, from: u64, length: u64) -> Piece<'_> {
        Piece {
            source: self,
            position: from,
            end: from + length,
        }
    }

    /// Why a piece could not be read, as an error of the upload's; None: it was none of the source's.
    pub(super) fn failure(&self, host: &str) -> Option<RegistryError> {
        self.failed.take().map(|source| RegistryError::Upload {
            host: host.to_owned(),
            source,
        })
    }

    /// An error if the source does not give what it should: what a registry says of a wrong digest does not tell who is to blame.
    pub(super) fn verify(&self, host: &str) -> Result<(), RegistryError> {
        self.reader.take();
        let mut hasher = Hasher::default();
        let mut piece = self.piece(0, self.blob.size);
        let mut buffer = vec![0; 128 << 10];
        loop {
            match piece.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => hasher.update(&buffer[..length]),
                Err(error) => {
                    return Err(self.failure(host).unwrap_or(RegistryError::Upload {
                        host: host.to_owned(),
                        source: error,
                    }));
                }
            }
        }
        let found = hasher.finish();
        match found == self.blob.digest {
            true => Ok(()),
            false => Err(RegistryError::Source {
                host: host.to_owned(),
                found,
                expected: self.blob.digest,
            }),
        }
    }

    fn read(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.blob.stop)() {
            return Err(io::Error::other("interrupted"));
        }
        let mut open = self.reader.borrow_mut();
        let (at, reader) = match open.take() {
            Some((at, reader)) if at == position => open.insert((at, reader)),
            _ => open.insert((position, (self.blob.open)(position)?)),
        };
        loop {
            match reader.read(buffer) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("it ends at byte {position} of {}", self.blob.size),
                    ));
                }
                Ok(length) => {
                    *at += length as u64;
                    return Ok(length);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A part of a source.
pub(super) struct Piece<'a> {
    source: &'a Source<'a>,
    position: u64,
    end: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.source.read(self.position, &mut buffer[..wanted]) {
            Ok(length) => {
                self.position += length as u64;
                self.source.blob.sent.store(self.position, Relaxed);
                Ok(length)
            }
            Err(error) => {
                *self.source.reader.borrow_mut() = None;
                *self.source.failed.borrow_mut() = Some(error);
                Err(io::Error::other("what is to be sent can't be read"))
            }
        }
    }
}
