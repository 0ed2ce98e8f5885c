//! Frames of ttrpc: ten bytes of header, then the payload.
//!
//! The decoder takes what a socket gave, in whatever pieces, and gives the frames in them. A payload that came in one piece is
//! lent from the caller's buffer; only one that came in several is collected.

/// The longest payload; what is longer is refused and skipped, as the Go server does.
pub const MOST: usize = 4 << 20;

/// The length of a header.
pub const HEADER: usize = 10;

/// A buffer that has grown beyond this for one payload is given back after it.
const KEPT: usize = 16 << 10;

/// No more data comes from the sender.
pub const REMOTE_CLOSED: u8 = 1;
/// More data comes from the sender.
pub const REMOTE_OPEN: u8 = 2;
/// The frame has no data, which is less than having empty data.
pub const NO_DATA: u8 = 4;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Begins a stream.
    Request,
    /// Ends a stream.
    Response,
    /// Is part of a stream.
    Data,
    /// To be ignored, for what the protocol may get.
    Other(u8),
}

/// A whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Odd for streams that the client began.
    pub stream: u32,
    /// What it is.
    pub kind: Kind,
    /// [`REMOTE_CLOSED`], [`REMOTE_OPEN`], [`NO_DATA`].
    pub flags: u8,
    /// At most [`MOST`] bytes.
    pub payload: &'a [u8],
}

/// What the decoder found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A frame.
    Frame(Frame<'a>),
    /// The header of a frame that is longer than [`MOST`]; its payload will be skipped as it comes.
    TooLong {
        /// Whom to tell.
        stream: u32,
        /// The length of the payload.
        length: u32,
    },
}

/// Finds frames in a stream of bytes. Takes no memory between frames, at most [`MOST`] within one, and never more than came.
#[derive(Debug, Default)]
pub struct Decoder {
    /// What came of a frame whose end has not: header, payload.
    begun: Vec<u8>,
    /// How much of a payload is still to be skipped.
    skip: usize,
    /// The frame in `begun` was given out.
    given: bool,
}

impl Decoder {
    /// Takes bytes from the front of `input` up to the end of the next frame; `None` when `input` is used up.
    pub fn next<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<Event<'a>> {
        if std::mem::take(&mut self.given) {
            self.begun.clear();
            self.begun.shrink_to(KEPT);
        }
        let skipped = self.skip.min(input.len());
        self.skip -= skipped;
        *input = &input[skipped..];

        if self.begun.is_empty()
            && let Some(header) = input.first_chunk::<HEADER>()
        {
            let header = Header::of(header);
            if header.length as usize > MOST {
                *input = &input[HEADER..];
                return Some(self.too_long(header));
            }
            if let Some((whole, rest)) = input.split_at_checked(HEADER + header.length as usize) {
                *input = rest;
                return Some(Event::Frame(header.frame(&whole[HEADER..])));
            }
        }
        self.collect(HEADER, input);
        let header = Header::of(self.begun.first_chunk()?);
        if header.length as usize > MOST {
            self.begun.clear();
            return Some(self.too_long(header));
        }
        let end = HEADER + header.length as usize;
        self.collect(end, input);
        if self.begun.len() < end {
            return None;
        }
        self.given = true;
        Some(Event::Frame(header.frame(&self.begun[HEADER..])))
    }

    /// Whether the bytes so far end with the end of a frame: whether a connection that closes now closes cleanly.
    pub fn between_frames(&self) -> bool {
        self.skip == 0 && (self.given || self.begun.is_empty())
    }

    /// Moves bytes of the input to what came of a frame, until that is `end` long.
    fn collect(&mut self, end: usize, input: &mut &[u8]) {
        let missing = end.saturating_sub(self.begun.len()).min(input.len());
        let (now, later) = input.split_at(missing);
        self.begun.extend_from_slice(now);
        *input = later;
    }

    fn too_long(&mut self, header: Header) -> Event<'static> {
        self.skip = header.length as usize;
        Event::TooLong {
            stream: header.stream,
            length: header.length,
        }
    }
}

/// Appends a frame whose payload `body` appends. A payload over [`MOST`] is taken back, and its length is the error.
pub fn put(
    out: &mut Vec<u8>,
    stream: u32,
    kind: Kind,
    flags: u8,
    body: impl FnOnce(&mut Vec<u8>),
) -> Result<(), usize> {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(&[kind.number(), flags]);
    body(out);
    let length = out.len() - begin - HEADER;
    if length > MOST {
        out.truncate(begin);
        return Err(length);
    }
    out[begin..begin + 4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(())
}

struct Header {
    length: u32,
    stream: u32,
    kind: Kind,
    flags: u8,
}

impl Header {
    fn of(bytes: &[u8; HEADER]) -> Header {
        let [a, b, c, d, e, f, g, h, kind, flags] = *bytes;
        Header {
            length: u32::from_be_bytes([a, b, c, d]),
            stream: u32::from_be_bytes([e, f, g, h]),
            kind: Kind::of(kind),
            flags,
        }
    }

    fn frame(self, payload: &[u8]) -> Frame<'_> {
        Frame {
            stream: self.stream,
            kind: self.kind,
            flags: self.flags,
            payload,
        }
    }
}

impl Kind {
    fn of(number: u8) -> Kind {
        match number {
            1 => Kind::Request,
            2 => Kind::Response,
            3 => Kind::Data,
            other => Kind::Other(other),
        }
    }

    fn number(self) -> u8 {
        match self {
            Kind::Request => 1,
            Kind::Response => 2,
            Kind::Data => 3,
            Kind::Other(number) => number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a decoder finds in words, for comparing.
    fn decode(decoder: &mut Decoder, mut input: &[u8], found: &mut Vec<String>) {
        while let Some(event) = decoder.next(&mut input) {
            found.push(format!("{event:?}"));
        }
        assert!(input.is_empty(), "what is left over would be lost");
    }

    fn written(frames: &[(u32, Kind, u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (stream, kind, flags, payload) in frames {
            put(&mut out, *stream, *kind, *flags, |out| {
                out.extend_from_slice(payload);
            })
            .expect("short");
        }
        out
    }

    #[test]
    fn a_frame_is_written_as_the_protocol_says() {
        let out = written(&[(258, Kind::Request, REMOTE_OPEN, b"abc")]);
        assert_eq!(out, [0, 0, 0, 3, 0, 0, 1, 2, 1, 2, b'a', b'b', b'c']);
    }

    #[test]
    fn a_stream_cut_at_every_byte_gives_the_same_frames() {
        let mut bytes = written(&[
            (1, Kind::Request, 0, b"first"),
            (3, Kind::Data, REMOTE_CLOSED | NO_DATA, b""),
            (5, Kind::Other(9), 0x80, &[7; 300]),
        ]);
        bytes.extend_from_slice(&[0, 0x40, 0, 1, 0, 0, 0, 7, 1, 0]);
        bytes.resize(bytes.len() + MOST + 1, 8);
        let skipped = bytes.len() - MOST;
        bytes.extend(written(&[(9, Kind::Response, 0, b"last")]));

        let mut whole = Vec::new();
        let mut decoder = Decoder::default();
        decode(&mut decoder, &bytes, &mut whole);
        assert_eq!(whole.len(), 5, "{whole:?}");
        assert_eq!(whole[3], "TooLong { stream: 7, length: 4194305 }");
        assert!(decoder.between_frames());

        // Cutting within what is skipped is the same everywhere but at its edges.
        let near = |cut: &usize| *cut < 400 || *cut + 40 > skipped + MOST - 20;
        for cut in (0..=bytes.len()).filter(near) {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            decode(&mut decoder, &bytes[..cut], &mut found);
            decode(&mut decoder, &bytes[cut..], &mut found);
            assert_eq!(found, whole, "cut at {cut}");
        }
        let short = &bytes[..400];
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for byte in short {
            decode(&mut decoder, std::slice::from_ref(byte), &mut found);
        }
        assert_eq!(found, whole[..found.len()]);
        assert_eq!(found.len(), 4);
        assert!(!decoder.between_frames());
    }

    #[test]
    fn memory_grows_with_what_came_and_not_with_what_was_announced() {
        let mut decoder = Decoder::default();
        let header = [0, 0x40, 0, 0, 0, 0, 0, 1, 1, 0]; // 4 MiB, the most
        assert_eq!(decoder.next(&mut &header[..]), None);
        assert!(decoder.begun.capacity() < 100);
        for _ in 0..63 {
            assert_eq!(decoder.next(&mut &[1; 1 << 16][..]), None);
        }
        assert!(!decoder.between_frames());
        let mut last = &[1; 1 << 16][..];
        assert!(
            matches!(decoder.next(&mut last), Some(Event::Frame(frame)) if frame.payload.len() == MOST)
        );
        assert!(decoder.between_frames());
        assert_eq!(decoder.next(&mut &[][..]), None);
        assert!(decoder.begun.capacity() <= KEPT);
    }

    #[test]
    fn a_payload_that_came_in_one_piece_is_lent() {
        let bytes = written(&[
            (1, Kind::Request, 0, b"first"),
            (3, Kind::Request, 0, b"second"),
        ]);
        let (mut decoder, mut input) = (Decoder::default(), &bytes[..]);
        while let Some(Event::Frame(frame)) = decoder.next(&mut input) {
            assert!(bytes.as_ptr_range().contains(&frame.payload.as_ptr()));
        }
        assert_eq!(decoder.begun.capacity(), 0);
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        let mut out = vec![1];
        let seen = put(&mut out, 1, Kind::Response, 0, |out| {
            out.resize(11 + MOST + 1, 0)
        });
        assert_eq!((seen, out), (Err(MOST + 1), vec![1]));
        let mut out = Vec::new();
        assert_eq!(
            put(&mut out, 1, Kind::Response, 0, |out| out
                .resize(10 + MOST, 0)),
            Ok(())
        );
    }
}
