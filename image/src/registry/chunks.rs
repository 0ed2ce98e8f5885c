//! A blob in chunks (OCI distribution-spec 1.1, "Pushing a blob in chunks"): where a connection breaks, the registry is asked how much
//! has come, and the next one goes on from there.

use super::RegistryError;
use super::http::{Payload, pause};
use super::push::location;
use super::source::{Outgoing, Source};
use super::upload::{Session, may_pass};
use ureq::Body;
use ureq::http::{Method, Response};

/// How it ended.
pub(super) enum Chunked {
    /// The registry has the blob.
    Done,
    /// It takes no chunks; nothing is left there.
    Refused,
}

/// Sends a blob in chunks of a length, or longer ones if the registry wants them so.
pub(super) fn upload(
    session: &Session,
    blob: &Outgoing,
    chunk: u64,
) -> Result<Chunked, RegistryError> {
    let mut upload = Upload {
        session,
        blob,
        source: Source::new(blob),
        usual: chunk.max(1),
        chunk: 0,
        place: String::new(),
        next: 0,
        furthest: 0,
        vain: 0,
        restarts: 0,
    };
    upload.begin()?;
    let outcome = upload.run();
    if !matches!(outcome, Ok(Chunked::Done)) {
        session.cancel(&upload.place);
    }
    outcome
}

struct Upload<'a> {
    session: &'a Session<'a>,
    blob: &'a Outgoing<'a>,
    source: Source<'a>,
    usual: u64,
    /// Bytes of a chunk.
    chunk: u64,
    /// Where the next request goes.
    place: String,
    /// The first byte that the registry does not have.
    next: u64,
    /// The most that it ever had.
    furthest: u64,
    /// Failures since it last had more than ever before.
    vain: u32,
    /// Uploads that were lost.
    restarts: u32,
}

/// What follows a request.
enum Then {
    Next,
    End(Chunked),
}

impl Upload<'_> {
    fn run(&mut self) -> Result<Chunked, RegistryError> {
        loop {
            let then = if self.next < self.blob.size {
                self.patch()?
            } else {
                self.close()?
            };
            if let Then::End(chunked) = then {
                return Ok(chunked);
            }
        }
    }

    fn begin(&mut self) -> Result<(), RegistryError> {
        let (place, response) = self.session.begin()?;
        let least = header(&response, "oci-chunk-min-length").and_then(|text| text.parse().ok());
        self.chunk = self.usual.max(least.unwrap_or(0));
        self.place = place;
        self.next = 0;
        Ok(())
    }

    fn patch(&mut self) -> Result<Then, RegistryError> {
        let from = self.next;
        let length = self.chunk.min(self.blob.size - from);
        let end = from + length;
        let headers = [
            ("content-type", "application/octet-stream".to_owned()),
            ("content-range", format!("{from}-{}", end - 1)),
        ];
        let payload = Payload::Piece {
            source: &self.source,
            from,
            length,
        };
        let sent = self
            .session
            .ask(Method::PATCH, &self.place, &headers, payload);
        match sent {
            Ok(response) if response.status().is_success() => {
                match location(&response) {
                    Some(place) => self.place = place,
                    // Without it nobody knows where to go on.
                    None if self.furthest == 0 => return Ok(Then::End(Chunked::Refused)),
                    None => {
                        return Err(self
                            .session
                            .nonsense("it names no place for the next chunk".to_owned()));
                    }
                }
                self.has(ranged(&response).unwrap_or(end), end)?;
                if self.next > from {
                    return Ok(Then::Next);
                }
                let why = format!("it takes nothing from byte {from} on");
                self.failed(self.session.nonsense(why))
                    .map(|go_on| go_on.unwrap_or(Then::Next))
            }
            Ok(response) => self.refused(
                self.session
                    .nonsense(format!("{} for a chunk", response.status())),
            ),
            Err(error) => self.recover(error, end),
        }
    }

    fn close(&mut self) -> Result<Then, RegistryError> {
        let nothing = Payload::Piece {
            source: &self.source,
            from: self.blob.size,
            length: 0,
        };
        match self.session.close(&self.place, self.blob, nothing) {
            Ok(()) => Ok(Then::End(Chunked::Done)),
            Err(error @ RegistryError::Status { status: 400, .. }) => {
                Err(self.session.explain(error, &self.source))
            }
            Err(error) => {
                // The answer may be all that was lost.
                let (client, reference) = (self.session.client, self.session.reference);
                if may_pass(&error) && client.has_blob(reference, self.blob.digest)? {
                    return Ok(Then::End(Chunked::Done));
                }
                self.recover(error, self.blob.size)
            }
        }
    }

    /// Sees what the registry has, and goes on from there. `sent` is the end of what it may have.
    fn recover(&mut self, error: RegistryError, sent: u64) -> Result<Then, RegistryError> {
        if let Some(error) = self.source.failure(self.session.host()) {
            return Err(error);
        }
        let misplaced = matches!(error, RegistryError::Status { status: 416, .. });
        match error {
            _ if misplaced || may_pass(&error) => {}
            RegistryError::NotFound { .. } | RegistryError::Status { .. } => {
                return self.refused(error);
            }
            error => return Err(error),
        }
        if let Some(end) = self.failed(error)? {
            return Ok(end);
        }
        match self
            .session
            .ask(Method::GET, &self.place, &[], Payload::None)
        {
            Ok(response) => {
                if let Some(place) = location(&response) {
                    self.place = place;
                }
                self.has(ranged(&response).unwrap_or(0), sent)?;
                Ok(Then::Next)
            }
            Err(error @ (RegistryError::NotFound { .. } | RegistryError::Status { .. })) => {
                self.again(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The registry has so many bytes; it can't have more than `sent`.
    fn has(&mut self, bytes: u64, sent: u64) -> Result<(), RegistryError> {
        let most = sent.max(self.furthest);
        if bytes > most {
            let why = format!("it has {bytes} bytes of the {most} that were sent");
            return Err(self.session.nonsense(why));
        }
        self.next = bytes;
        if bytes > self.furthest {
            self.furthest = bytes;
            self.vain = 0;
        }
        Ok(())
    }

    /// One more failure; an end, or an error, if there were enough.
    fn failed(&mut self, error: RegistryError) -> Result<Option<Then>, RegistryError> {
        if self.vain == self.session.retries() {
            return match self.furthest {
                0 => Ok(Some(Then::End(Chunked::Refused))),
                _ => Err(error),
            };
        }
        if self.vain > 0 {
            std::thread::sleep(pause(self.vain, None));
        }
        self.vain += 1;
        Ok(None)
    }

    /// A chunk is refused: all are, or the upload is no longer there.
    fn refused(&mut self, error: RegistryError) -> Result<Then, RegistryError> {
        match self.furthest {
            0 => Ok(Then::End(Chunked::Refused)),
            _ => self.again(error),
        }
    }

    /// The upload is lost: another one, from the first byte.
    fn again(&mut self, error: RegistryError) -> Result<Then, RegistryError> {
        self.restarts += 1;
        if self.furthest == 0 && self.restarts > 1 {
            return Ok(Then::End(Chunked::Refused));
        }
        if self.restarts > self.session.retries() {
            return Err(error);
        }
        self.session.cancel(&self.place);
        self.begin()?;
        Ok(Then::Next)
    }
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

/// How many bytes a registry says that it has. `0-0` is said of none by some, and sending one again is harmless.
fn ranged(response: &Response<Body>) -> Option<u64> {
    let range = header(response, "range")?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let last: u64 = range.strip_prefix("0-")?.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last.saturating_add(1) })
}
