//! One large blob over several connections: a registry, or what is before it, may give each no more than a part of what the way to it
//! could carry.
//!
//! It begins with one connection. Only if most of the time is spent waiting for that, and much is left, parts of the rest are asked for
//! at once, and put in order in memory: [`AHEAD`] of them and the one that is read. One blob of a client at a time does so.

use super::body::Resuming;
use std::collections::VecDeque;
use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// Parts that are asked for and not read yet.
const AHEAD: usize = 4;
/// Parts that one connection brings before it is judged.
const PROBE: u64 = 4;
/// Parts that must be left then.
const WORTH: u64 = 32;

/// Reads a blob to its end, over as many connections as it pays.
pub(super) struct Ranges {
    one: Resuming,
    begun: Option<Instant>,
    waited: Duration,
    /// Nothing of it is decided yet.
    open: bool,
    several: Option<Several>,
}

impl Ranges {
    pub(super) fn new(one: Resuming) -> Self {
        Self {
            open: one.http.settings.part > 0,
            one,
            begun: None,
            waited: Duration::ZERO,
            several: None,
        }
    }

    fn judge(&mut self, begun: Instant) {
        let part = self.one.http.settings.part;
        if self.one.position < part.saturating_mul(PROBE) {
            return;
        }
        self.open = false;
        let left = self.one.size.saturating_sub(self.one.position);
        // Otherwise whoever takes the bytes is what is slow.
        let waiting = self.waited > begun.elapsed().mul_f64(0.8);
        if left >= part.saturating_mul(WORTH) && waiting {
            self.several = Several::begin(&self.one, part);
        }
        if self.several.is_some() {
            self.one.reader = None;
        }
    }
}

impl Read for Ranges {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(several) = &mut self.several {
            match several.read(buffer) {
                Ok(length) => {
                    self.one.position += length as u64;
                    return Ok(length);
                }
                // A lie stays one over a single connection; all else may be too much at once.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error),
                Err(_) => self.several = None,
            }
        }
        let begun = *self.begun.get_or_insert_with(Instant::now);
        let before = Instant::now();
        let length = self.one.read(buffer)?;
        if self.open {
            self.waited += before.elapsed();
            self.judge(begun);
        }
        Ok(length)
    }
}

struct Several {
    /// A request for all that is left, of which each part is made.
    rest: Resuming,
    part: u64,
    /// Where the next part begins.
    next: u64,
    coming: VecDeque<Receiver<io::Result<Vec<u8>>>>,
    current: Cursor<Vec<u8>>,
    /// Set when nobody reads any more.
    ended: Arc<AtomicBool>,
}

impl Several {
    /// None: another blob does so already.
    fn begin(one: &Resuming, part: u64) -> Option<Self> {
        if one.http.hurried.swap(true, Relaxed) {
            return None;
        }
        Some(Self {
            rest: one.part(one.position, one.size),
            part,
            next: one.position,
            coming: VecDeque::new(),
            current: Cursor::default(),
            ended: Arc::default(),
        })
    }

    fn ask(&mut self) -> io::Result<()> {
        while self.coming.len() < AHEAD && self.next < self.rest.size {
            let end = (self.next + self.part).min(self.rest.size);
            let part = self.rest.part(self.next, end);
            let ended = Arc::clone(&self.ended);
            let (give, take) = sync_channel(1);
            let thread = std::thread::Builder::new().name("range".to_owned());
            thread.spawn(move || {
                // Whoever has gone needs no answer.
                let _ = give.send(fetch(part, &ended));
            })?;
            self.coming.push_back(take);
            self.next = end;
        }
        Ok(())
    }
}

impl Read for Several {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.current.read(buffer)?;
        if length > 0 || buffer.is_empty() {
            return Ok(length);
        }
        self.current = Cursor::default();
        self.ask()?;
        let Some(first) = self.coming.pop_front() else {
            return Ok(0);
        };
        let part = first.recv();
        let part = part.map_err(|_| io::Error::other("the thread of a part is gone"))?;
        self.current = Cursor::new(part?);
        self.current.read(buffer)
    }
}

impl Drop for Several {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
        self.rest.http.hurried.store(false, Relaxed);
    }
}

fn fetch(mut part: Resuming, ended: &AtomicBool) -> io::Result<Vec<u8>> {
    let length = usize::try_from(part.size - part.position).unwrap_or(usize::MAX);
    let mut content = vec![0; length];
    let mut filled = 0;
    while filled < length {
        if ended.load(Relaxed) {
            return Err(io::Error::other("nobody wants it any more"));
        }
        match part.read(&mut content[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    match part.ends() {
        true => Ok(content),
        false => Err(part.lie("more bytes than were asked for")),
    }
}
