//! A blob's bytes, from one connection after another: where one breaks, the next goes on from there.

use super::http::{Ask, Http, Payload, Purpose};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use ureq::Body;
use ureq::http::{Method, Response, StatusCode};

/// Connections in a row that may break without a byte.
const PATIENCE: u32 = 5;

/// Reads a blob to its end.
pub(super) struct Resuming {
    pub(super) http: Arc<Http>,
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) path: String,
    pub(super) what: String,
    /// Its end, and where what is wanted of it ends.
    pub(super) whole: u64,
    pub(super) size: u64,
    pub(super) position: u64,
    pub(super) reader: Option<Box<dyn Read + Send>>,
    pub(super) failures: u32,
    /// Whether nothing but the range that is asked for will do.
    pub(super) exact: bool,
}

impl Read for Resuming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.read(buffer) {
                    // Too early an end is a connection that broke.
                    Ok(0) if self.position < self.size && !buffer.is_empty() => self.again(None)?,
                    Ok(length) => {
                        self.position += length as u64;
                        if length > 0 {
                            self.failures = 0;
                        }
                        return Ok(length);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
                    Err(error) => self.again(Some(error))?,
                }
            } else {
                self.open()?;
            }
        }
    }
}

impl Resuming {
    /// The same for a part of it.
    pub(super) fn part(&self, from: u64, end: u64) -> Self {
        Self {
            http: Arc::clone(&self.http),
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            path: self.path.clone(),
            what: self.what.clone(),
            whole: self.whole,
            size: end,
            position: from,
            reader: None,
            failures: 0,
            exact: true,
        }
    }

    /// Whether the answer ends where what is wanted ends. A connection whose answer is not read to its end serves no other.
    pub(super) fn ends(&mut self) -> bool {
        let more = self.reader.as_mut().map(|reader| reader.read(&mut [0]));
        !matches!(more, Some(Ok(1)))
    }

    /// What a registry says that can't be.
    pub(super) fn lie(&self, why: &str) -> io::Error {
        let text = format!("{}: the registry gives {why}", self.what);
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    fn again(&mut self, error: Option<io::Error>) -> io::Result<()> {
        self.reader = None;
        self.failures += 1;
        if self.failures > PATIENCE {
            let broken = || {
                io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!(
                        "{}: the connection broke at byte {} of {}",
                        self.what, self.position, self.size
                    ),
                )
            };
            return Err(error.unwrap_or_else(broken));
        }
        if self.failures > 1 {
            std::thread::sleep(Duration::from_millis(200 << self.failures));
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let last = match self.exact {
            true => (self.size - 1).to_string(),
            false => String::new(),
        };
        let range = [("range", format!("bytes={}-{last}", self.position))];
        let ask = Ask {
            registry: &self.registry,
            repository: &self.repository,
            purpose: Purpose::Pull,
            method: Method::GET,
            path: &self.path,
            headers: if self.position > 0 || self.exact {
                &range
            } else {
                &[]
            },
            payload: Payload::None,
            what: &self.what,
            also: None,
        };
        let response = self.http.send(&ask).map_err(io::Error::other)?;
        if self.exact {
            self.check(&response)?;
        }
        let begins = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = response
                    .headers()
                    .get("content-range")
                    .and_then(|value| value.to_str().ok());
                let first = range.and_then(|range| {
                    range
                        .strip_prefix("bytes ")?
                        .split('-')
                        .next()?
                        .parse()
                        .ok()
                });
                first.unwrap_or(self.position)
            }
            // It does not know ranges: what was read already comes again.
            _ => 0,
        };
        let skip = self
            .position
            .checked_sub(begins)
            .ok_or_else(|| io::Error::other(format!("{}: the registry skips bytes", self.what)))?;
        let mut reader = response.into_body().into_reader();
        io::copy(&mut (&mut reader).take(skip), &mut io::sink())?;
        self.reader = Some(Box::new(reader));
        Ok(())
    }

    /// Whether the answer is the range that was asked for, of a blob of the length that is known.
    fn check(&self, response: &Response<Body>) -> io::Result<()> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            return Err(io::Error::other("the registry knows no ranges"));
        }
        let header = response.headers().get("content-range");
        let found = header.and_then(|value| value.to_str().ok()).unwrap_or("");
        let wanted = format!("bytes {}-{}/", self.position, self.size - 1);
        let whole = found.strip_prefix(wanted.as_str());
        match whole.is_some_and(|whole| whole == "*" || whole == self.whole.to_string()) {
            true => Ok(()),
            false => Err(self.lie(&format!("the range {found:?} for {wanted:?}"))),
        }
    }
}
