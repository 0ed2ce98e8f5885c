//! The reader: bytes are pushed in pieces of any size, members come out.

use crate::header::{Format, Header, text};
use crate::limits::Limits;
use crate::member::{entry, sparse_error};
use crate::pax::{self, Extension};
use crate::sparse::{self, MapText};
use crate::{BLOCK, Entry, Kind, Segment, TarError};

/// Takes what a [`Reader`] finds. Every byte of the archive is given once, in order: to [`Sink::framing`] or to [`Sink::data`].
pub trait Sink {
    /// Why it can take no more; the reader's own errors come through it too.
    type Error: From<TarError>;

    /// A member begins; its header has gone to `framing`. Follows: its data, then [`Sink::end`].
    fn entry(&mut self, entry: Entry) -> Result<(), Self::Error>;

    /// A piece of the member's content, which belongs at `offset` of the file. Pieces ascend; what they leave out is a hole.
    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Self::Error>;

    /// The member is complete.
    fn end(&mut self) -> Result<(), Self::Error>;

    /// Bytes that are no content: headers, padding, whatever follows the archive's end.
    fn framing(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        let _ = bytes;
        Ok(())
    }
}

/// Reads an archive from bytes that are pushed to it. After an error it can't be used further.
pub struct Reader {
    limits: Limits,
    /// Bytes of the archive that were taken.
    at: u64,
    state: State,
    /// A block that came in pieces, and how much of it there is.
    block: Box<[u8; BLOCK]>,
    filled: usize,
    next: Next,
}

/// What earlier members say of the next one.
#[derive(Default)]
struct Next {
    pax: Option<Extension>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

enum State {
    Header,
    /// After a block of zeros that began here.
    Zeros(u64),
    /// The content of an extension.
    Extension(Collect),
    /// Extension blocks of a GNU sparse file.
    MoreSegments(Pending),
    /// Blocks of the map before a sparse file's content.
    Map(Pending, MapText),
    Content(Content),
    Padding(u64),
    End,
}

struct Collect {
    kind: Special,
    left: u64,
    padding: u64,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Special {
    Pax,
    GlobalPax,
    LongName,
    LongLink,
}

/// A sparse file whose map is not complete.
struct Pending {
    entry: Box<Entry>,
    at: u64,
    /// Bytes that the archive has of it, the map included where it stands before the content.
    stored: u64,
    segments: Vec<Segment>,
}

struct Content {
    /// What is still to come, reversed: the last is the next.
    segments: Vec<Segment>,
    padding: u64,
}

impl Reader {
    /// At an archive's beginning.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at: 0,
            state: State::Header,
            block: Box::new([0; BLOCK]),
            filled: 0,
            next: Next::default(),
        }
    }

    /// Takes the next bytes of the archive.
    pub fn push<S: Sink>(&mut self, mut input: &[u8], sink: &mut S) -> Result<(), S::Error> {
        while !input.is_empty() {
            let taken = self.step(input, sink)?;
            input = &input[taken..];
        }
        Ok(())
    }

    /// Takes bytes up to where a member's content begins, and says how many those were: for archives whose contents are elsewhere.
    /// Then either [`Reader::skip_content`] follows, or the content.
    pub fn push_framing<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<usize, S::Error> {
        let mut taken = 0;
        while taken < input.len() {
            let inside = matches!(self.state, State::Content(_));
            taken += self.step(&input[taken..], sink)?;
            if !inside && matches!(self.state, State::Content(_)) {
                break;
            }
        }
        Ok(taken)
    }

    /// The open member's content is not pushed; what follows it is.
    pub fn skip_content(&mut self) {
        if let State::Content(content) = &self.state {
            let left: u64 = content.segments.iter().map(|segment| segment.length).sum();
            self.at += left;
            self.state = match content.padding {
                0 => State::Header,
                left => State::Padding(left),
            };
        }
    }

    /// Takes some bytes of an input that is not empty.
    fn step<S: Sink>(&mut self, input: &[u8], sink: &mut S) -> Result<usize, S::Error> {
        let taken = match &mut self.state {
            State::Content(content) => {
                let segment = content.segments.last_mut().expect("some content is left");
                let taken = shorter(input, segment.length);
                sink.data(segment.offset, &input[..taken])?;
                segment.offset += taken as u64;
                segment.length -= taken as u64;
                if segment.length == 0 {
                    content.segments.pop();
                }
                self.at += taken as u64;
                if content.segments.is_empty() {
                    let padding = content.padding;
                    self.close(padding, sink)?;
                }
                taken
            }
            State::Padding(left) => {
                let taken = shorter(input, *left);
                *left -= taken as u64;
                if *left == 0 {
                    self.state = State::Header;
                }
                self.frame(&input[..taken], sink)?;
                taken
            }
            State::Extension(collect) => {
                let taken = shorter(input, collect.left);
                collect.bytes.extend_from_slice(&input[..taken]);
                collect.left -= taken as u64;
                let complete = collect.left == 0;
                self.frame(&input[..taken], sink)?;
                if complete {
                    self.extension()?;
                }
                taken
            }
            State::End => {
                self.frame(input, sink)?;
                input.len()
            }
            State::Header | State::Zeros(_) | State::MoreSegments(_) | State::Map(..) => {
                let taken = input.len().min(BLOCK - self.filled);
                self.block[self.filled..self.filled + taken].copy_from_slice(&input[..taken]);
                self.filled += taken;
                self.frame(&input[..taken], sink)?;
                if self.filled == BLOCK {
                    self.filled = 0;
                    self.take_block(sink)?;
                }
                taken
            }
        };
        Ok(taken)
    }

    /// There are no more bytes. An archive may end without its two blocks of zeros, but not inside a member.
    pub fn finish(&self) -> Result<(), TarError> {
        let within = match &self.state {
            // Some programs leave out the last padding, as umoci does.
            State::Padding(_) | State::Header if self.filled == 0 => match self.next {
                Next {
                    pax: None,
                    long_name: None,
                    long_link: None,
                } => return Ok(()),
                _ => "an extended header without the entry that it describes",
            },
            State::Zeros(_) if self.filled == 0 => return Ok(()),
            State::End => return Ok(()),
            State::Header | State::Zeros(_) | State::Padding(_) => "a header",
            State::Extension(_) => "an extended header",
            State::MoreSegments(_) | State::Map(..) => "a sparse file's map",
            State::Content(_) => "a file's content",
        };
        Err(TarError::Truncated {
            at: self.at,
            within,
        })
    }

    fn frame<S: Sink>(&mut self, bytes: &[u8], sink: &mut S) -> Result<(), S::Error> {
        self.at += bytes.len() as u64;
        sink.framing(bytes)
    }

    fn take_block<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        match std::mem::replace(&mut self.state, State::Header) {
            State::Zeros(at) => match is_zero(&self.block) {
                true => self.state = State::End,
                false => return Err(TarError::LoneZeroBlock { at }.into()),
            },
            State::MoreSegments(pending) => self.more_segments(pending, sink)?,
            State::Map(pending, map) => self.more_map(pending, map, sink)?,
            _ if is_zero(&self.block) => self.state = State::Zeros(self.at - BLOCK as u64),
            _ => self.header(sink)?,
        }
        Ok(())
    }

    fn header<S: Sink>(&mut self, sink: &mut S) -> Result<(), S::Error> {
        let at = self.at - BLOCK as u64;
        let block = *self.block;
        let header = Header::read(&block, at)?;
        let special = match header.flag() {
            b'x' => Some(Special::Pax),
            b'g' => Some(Special::GlobalPax),
            b'L' => Some(Special::LongName),
            b'K' => Some(Special::LongLink),
            _ => None,
        };
        if let Some(kind) = special {
            self.begin_extension(kind, header.size()?, at)?;
            return Ok(());
        }
        let next = std::mem::take(&mut self.next);
        let pax = next.pax.unwrap_or_default();
        // A size in a pax header is that of the file, not of an extension between the two.
        let size = pax.size.map_or_else(|| header.size(), Ok)?;
        let mut entry = entry(&header, &pax, next.long_name, next.long_link, at)?;
        entry.xattrs = pax.xattrs;
        if entry.kind != Kind::File {
            return self.open(entry, 0, None, at, sink);
        }
        entry.size = size;
        let pending = |entry| Pending {
            entry: Box::new(entry),
            at,
            stored: size,
            segments: Vec::new(),
        };
        if header.flag() == b'S' && header.format == Format::Gnu {
            entry.size = header.unsigned(483, 12, "realsize")?;
            let mut pending = pending(entry);
            self.pairs(&mut pending, &block[386..482])?;
            return self.maybe_more(pending, block[482] != 0, sink);
        }
        let sparse = pax.sparse;
        match (sparse.major, sparse.map) {
            (Some(1), _) if sparse.minor.unwrap_or(0) == 0 => {
                entry.size = sparse.real_size.or(sparse.size).unwrap_or(size);
                self.state = State::Map(pending(entry), MapText::default());
                Ok(())
            }
            (Some(major), _) => {
                let minor = sparse.minor.unwrap_or(0);
                let why = format!("sparse files of version {major}.{minor} are not known");
                Err(TarError::Extension { at, why }.into())
            }
            (None, Some(map)) => {
                entry.size = sparse.size.or(sparse.real_size).unwrap_or(size);
                self.open(entry, size, Some(map), at, sink)
            }
            (None, None) => self.open(entry, size, None, at, sink),
        }
    }

    /// The entry is known whole; `stored` bytes of content follow.
    fn open<S: Sink>(
        &mut self,
        mut entry: Entry,
        stored: u64,
        segments: Option<Vec<Segment>>,
        at: u64,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        // No file system has more, and no sum below can overflow.
        for (what, value) in [
            ("a stored size", stored),
            ("a size", entry.size),
            ("an offset in the archive", self.at.saturating_add(stored)),
        ] {
            let limit = i64::MAX as u64 - 2 * BLOCK as u64;
            if value > limit {
                return Err(TarError::Limit {
                    at,
                    what,
                    value,
                    limit,
                }
                .into());
            }
        }
        let mut todo = match segments {
            None => vec![Segment {
                offset: 0,
                length: stored,
            }],
            Some(segments) => {
                let segments = sparse::valid(segments, entry.size, stored)
                    .map_err(|why| sparse_error(&entry, at, why))?;
                entry.sparse = Some(segments.clone());
                segments
            }
        };
        todo.reverse();
        todo.retain(|segment| segment.length > 0);
        sink.entry(entry)?;
        let padding = padding(stored);
        if todo.is_empty() {
            return self.close(padding, sink);
        }
        self.state = State::Content(Content {
            segments: todo,
            padding,
        });
        Ok(())
    }

    fn close<S: Sink>(&mut self, padding: u64, sink: &mut S) -> Result<(), S::Error> {
        self.state = match padding {
            0 => State::Header,
            left => State::Padding(left),
        };
        sink.end()
    }

    fn begin_extension(&mut self, kind: Special, size: u64, at: u64) -> Result<(), TarError> {
        if size > self.limits.extension {
            return Err(TarError::Limit {
                at,
                what: "an extended header",
                value: size,
                limit: self.limits.extension,
            });
        }
        self.state = State::Extension(Collect {
            kind,
            left: size,
            padding: padding(size),
            bytes: Vec::new(),
        });
        if size == 0 {
            self.extension()?;
        }
        Ok(())
    }

    /// The extension that was collected is complete.
    fn extension(&mut self) -> Result<(), TarError> {
        let State::Extension(collect) = std::mem::replace(&mut self.state, State::Header) else {
            return Ok(());
        };
        if collect.padding > 0 {
            self.state = State::Padding(collect.padding);
        }
        let at = self.at;
        let name = || {
            let name = text(&collect.bytes);
            (!name.is_empty()).then(|| name.to_vec())
        };
        match collect.kind {
            Special::Pax => {
                let extension = pax::read(&collect.bytes, at, self.limits.segments)?;
                self.next.pax = Some(extension);
            }
            Special::GlobalPax => {
                pax::read(&collect.bytes, at, self.limits.segments)?;
            }
            Special::LongName => self.next.long_name = name(),
            Special::LongLink => self.next.long_link = name(),
        }
        Ok(())
    }

    fn more_segments<S: Sink>(
        &mut self,
        mut pending: Pending,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let block = *self.block;
        self.pairs(&mut pending, &block[..504])?;
        self.maybe_more(pending, block[504] != 0, sink)
    }

    fn pairs(&self, pending: &mut Pending, bytes: &[u8]) -> Result<(), TarError> {
        let fine = sparse::pairs(bytes, &mut pending.segments);
        let why = match fine {
            None => "a number that is none",
            Some(()) if pending.segments.len() > self.limits.segments => "too many segments",
            Some(()) => return Ok(()),
        };
        Err(sparse_error(&pending.entry, pending.at, why))
    }

    fn maybe_more<S: Sink>(
        &mut self,
        pending: Pending,
        more: bool,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        if more {
            self.state = State::MoreSegments(pending);
            return Ok(());
        }
        let Pending {
            entry,
            at,
            stored,
            segments,
        } = pending;
        self.open(*entry, stored, Some(segments), at, sink)
    }

    fn more_map<S: Sink>(
        &mut self,
        mut pending: Pending,
        mut map: MapText,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        let wrong = |pending: &Pending, why| sparse_error(&pending.entry, pending.at, why);
        pending.stored = pending
            .stored
            .checked_sub(BLOCK as u64)
            .ok_or_else(|| wrong(&pending, "it is longer than the content"))?;
        let found = map.push(&self.block, self.limits.segments);
        match found.map_err(|why| wrong(&pending, why))? {
            Some(segments) => {
                pending.segments = segments;
                self.maybe_more(pending, false, sink)
            }
            None => {
                self.state = State::Map(pending, map);
                Ok(())
            }
        }
    }
}

fn shorter(input: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(input.len(), |left| left.min(input.len()))
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn is_zero(block: &[u8; BLOCK]) -> bool {
    block.iter().all(|byte| *byte == 0)
}
