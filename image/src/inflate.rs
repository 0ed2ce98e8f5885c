//! Layers' compression, told by the first bytes: gzip (RFC 1952), zstd (RFC 8878), or none.

use crate::unpack::UnpackError;
use std::sync::{Condvar, Mutex, PoisonError};
use zlib_rs::{Inflate, InflateFlush, Status};
use zstd::stream::raw::{DParameter, Decoder as Zstd, InBuffer, Operation, OutBuffer};

/// Bytes of the largest piece that comes out.
pub(crate) const PIECE: usize = 256 << 10;

/// Bytes of the largest window of a zstd frame, and of all windows of shared inflaters together. RFC 8878 wants 8 MiB of every
/// decoder; docker's and containerd's library writes up to 32 MiB, `zstd` up to 8 MiB unless told --ultra or --long.
pub(crate) const WINDOW: u64 = 1 << WINDOW_LOG;
const WINDOW_LOG: u32 = 25;

/// Decompresses what is pushed to it.
pub(crate) struct Inflater {
    kind: Kind,
    /// The first bytes of the whole, or of a zstd frame, until there are enough to tell what they are.
    head: Vec<u8>,
    /// Whether windows are counted together with others'.
    shared: bool,
}

enum Kind {
    Unknown,
    Plain,
    Gzip(Box<Inflate>),
    /// Between two members of a gzip stream, or after the last.
    GzipEnd,
    Zstd {
        decoder: Zstd<'static>,
        _memory: Option<Held>,
    },
    /// Before a frame, after the last, or amid its header.
    ZstdEnd,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            kind: Kind::Unknown,
            head: Vec::new(),
            shared: false,
        }
    }

    /// One that waits until all windows of such inflaters, with its own, take no more than [`WINDOW`]. A thread may have only one.
    pub(crate) fn shared() -> Self {
        Self {
            shared: true,
            ..Self::new()
        }
    }

    /// Takes the next bytes; `buffer` is where pieces are made, `emit` gets each.
    pub(crate) fn push<E: From<UnpackError>>(
        &mut self,
        input: &[u8],
        buffer: &mut Vec<u8>,
        emit: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Kind::Unknown = self.kind {
            self.head.extend_from_slice(input);
            if self.head.len() < 4 {
                return Ok(());
            }
            return self.begin(buffer, emit);
        }
        self.run(input, buffer, emit)
    }

    /// There are no more bytes.
    pub(crate) fn finish<E: From<UnpackError>>(
        &mut self,
        buffer: &mut Vec<u8>,
        emit: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.kind {
            Kind::Unknown => {
                self.begin(buffer, emit)?;
                self.finish(buffer, emit)
            }
            Kind::ZstdEnd if !self.head.is_empty() => {
                Err(malformed("zstd", "it ends in the middle").into())
            }
            Kind::Plain | Kind::GzipEnd | Kind::ZstdEnd => Ok(()),
            Kind::Gzip(_) => Err(malformed("gzip", "it ends in the middle").into()),
            Kind::Zstd { .. } => Err(malformed("zstd", "it ends in the middle").into()),
        }
    }

    fn begin<E: From<UnpackError>>(
        &mut self,
        buffer: &mut Vec<u8>,
        emit: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.kind = match self.head.as_slice() {
            [0x1f, 0x8b, ..] => Kind::GzipEnd,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::ZstdEnd,
            _ => Kind::Plain,
        };
        let head = std::mem::take(&mut self.head);
        self.run(&head, buffer, emit)
    }

    fn run<E: From<UnpackError>>(
        &mut self,
        mut input: &[u8],
        buffer: &mut Vec<u8>,
        emit: &mut impl FnMut(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        // A decoder may have output left although it has taken all input.
        let mut more = false;
        while !input.is_empty() || more {
            more = false;
            match &mut self.kind {
                Kind::Unknown => unreachable!("begin has told the kind"),
                Kind::Plain => {
                    buffer.clear();
                    let taken = input.len().min(PIECE);
                    buffer.extend_from_slice(&input[..taken]);
                    input = &input[taken..];
                    emit(buffer)?;
                }
                Kind::GzipEnd => {
                    if input[0] == 0 {
                        // Padding, as gzip itself lets it pass.
                        input = &input[1..];
                        continue;
                    }
                    // 16 says gzip, with its own checksum at the end of each member.
                    self.kind = Kind::Gzip(Box::new(Inflate::new(true, 16 + 15)));
                }
                Kind::Gzip(inflate) => {
                    buffer.resize(PIECE, 0);
                    let (before_in, before_out) = (inflate.total_in(), inflate.total_out());
                    let status = inflate.decompress(input, buffer, InflateFlush::NoFlush);
                    let taken = (inflate.total_in() - before_in) as usize;
                    let made = (inflate.total_out() - before_out) as usize;
                    input = &input[taken..];
                    let end = match status {
                        Ok(Status::StreamEnd) => true,
                        Ok(Status::Ok) => false,
                        // Nothing to take, nothing to give.
                        Ok(Status::BufError) if made == 0 && taken == 0 => {
                            if input.is_empty() {
                                break;
                            }
                            return Err(malformed("gzip", "it makes no progress").into());
                        }
                        Ok(Status::BufError) => false,
                        Err(error) => {
                            let why = inflate.error_message().unwrap_or(error.as_str()).to_owned();
                            return Err(malformed("gzip", &why).into());
                        }
                    };
                    more = made == PIECE && !end;
                    if end {
                        self.kind = Kind::GzipEnd;
                    }
                    if made > 0 {
                        buffer.truncate(made);
                        emit(buffer)?;
                    }
                }
                Kind::ZstdEnd => {
                    let Some(window) = window(&mut self.head, &mut input) else {
                        break;
                    };
                    self.kind = frame(window, self.shared)?;
                    let head = std::mem::take(&mut self.head);
                    self.run(&head, buffer, emit)?;
                }
                Kind::Zstd { decoder, .. } => {
                    buffer.resize(PIECE, 0);
                    let mut source = InBuffer::around(input);
                    let mut target = OutBuffer::around(&mut buffer[..]);
                    let hint = decoder.run(&mut source, &mut target);
                    let (taken, made) = (source.pos(), target.pos());
                    let hint = hint.map_err(|error| malformed("zstd", &error.to_string()))?;
                    input = &input[taken..];
                    more = made == PIECE && hint != 0;
                    if hint == 0 {
                        self.kind = Kind::ZstdEnd;
                    }
                    if made > 0 {
                        buffer.truncate(made);
                        emit(buffer)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes bytes of a frame's header until its window is known; 0 for what has none (RFC 8878, section 3.1.1.1).
fn window(head: &mut Vec<u8>, input: &mut &[u8]) -> Option<u64> {
    loop {
        if let [0x28, 0xb5, 0x2f, 0xfd, kind, rest @ ..] = head.as_slice() {
            let alone = kind & 0x20 != 0;
            let dictionary = [0, 1, 2, 4][usize::from(kind & 3)];
            let content = [usize::from(alone), 2, 4, 8][usize::from(kind >> 6)];
            if let ([descriptor, ..], false) = (rest, alone) {
                let base = 1_u64 << (10 + (descriptor >> 3));
                return Some(base + base / 8 * u64::from(descriptor & 7));
            }
            // Without a window of its own a frame's window is all of it.
            if alone && rest.len() == dictionary + content {
                let mut bytes = [0; 8];
                bytes[..content].copy_from_slice(&rest[dictionary..]);
                let more = if content == 2 { 256 } else { 0 };
                return Some(u64::from_le_bytes(bytes).saturating_add(more));
            }
        } else if head.len() >= 4 && !head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            return Some(0);
        }
        let (first, rest) = input.split_first()?;
        head.push(*first);
        *input = rest;
    }
}

/// Begins a frame.
fn frame(window: u64, shared: bool) -> Result<Kind, UnpackError> {
    if window > WINDOW {
        let why = format!(
            "its window is {window} bytes, and at most {WINDOW} are given to one: compress it without --ultra and --long"
        );
        return Err(malformed("zstd", &why));
    }
    let held = shared.then(|| Held::take(window));
    let failed = |error: std::io::Error| malformed("zstd", &error.to_string());
    let mut decoder = Zstd::new().map_err(failed)?;
    let limit = DParameter::WindowLogMax(WINDOW_LOG);
    decoder.set_parameter(limit).map_err(failed)?;
    Ok(Kind::Zstd {
        decoder,
        _memory: held,
    })
}

/// A part of the memory for windows, given back when it is dropped.
struct Held(u64);

static TAKEN: Mutex<u64> = Mutex::new(0);
static GIVEN_BACK: Condvar = Condvar::new();

impl Held {
    fn take(bytes: u64) -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |taken: &mut u64| *taken + bytes > WINDOW;
        let taken = GIVEN_BACK.wait_while(taken, full);
        *taken.unwrap_or_else(PoisonError::into_inner) += bytes;
        Self(bytes)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        GIVEN_BACK.notify_all();
    }
}

fn malformed(format: &'static str, why: &str) -> UnpackError {
    UnpackError::Compression {
        format,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;

    fn all(compressed: &[u8], piece: usize) -> Result<Vec<u8>, UnpackError> {
        let (mut inflater, mut buffer, mut out) = (Inflater::new(), Vec::new(), Vec::new());
        let mut emit = |piece: &mut Vec<u8>| -> Result<(), UnpackError> {
            assert!(!piece.is_empty() && piece.len() <= PIECE);
            out.extend_from_slice(piece);
            Ok(())
        };
        for piece in compressed.chunks(piece) {
            inflater.push(piece, &mut buffer, &mut emit)?;
        }
        inflater.finish(&mut buffer, &mut emit)?;
        Ok(out)
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut out = vec![0; content.len() + content.len() / 8 + 1024];
        let config = zlib_rs::DeflateConfig {
            window_bits: 16 + 15,
            ..zlib_rs::DeflateConfig::default()
        };
        let (made, code) = zlib_rs::compress_slice(&mut out, content, config);
        assert_eq!(code, zlib_rs::ReturnCode::Ok);
        made.to_vec()
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(content, 3).unwrap()
    }

    fn text(length: usize) -> Vec<u8> {
        (0..length)
            .map(|index| (index * index / 7 % 251) as u8)
            .collect()
    }

    #[test]
    fn each_kind_in_any_pieces() {
        for length in [0, 1, 3, 1000, PIECE, 3 * PIECE + 17] {
            let content = text(length);
            for piece in [1, 1 << 10, 1 << 20] {
                if length > 1000 && piece == 1 {
                    continue;
                }
                assert!(
                    all(&gzip(&content), piece).unwrap() == content,
                    "gzip {length} by {piece}"
                );
                assert!(
                    all(&zstd(&content), piece).unwrap() == content,
                    "zstd {length} by {piece}"
                );
                assert!(
                    all(&content, piece).unwrap() == content,
                    "plain {length} by {piece}"
                );
            }
        }
    }

    #[test]
    fn zeros_that_compress_a_thousandfold() {
        let content = vec![0; 20 * PIECE];
        assert!(all(&gzip(&content), 100).unwrap() == content);
        assert!(all(&zstd(&content), 100).unwrap() == content);
    }

    #[test]
    fn several_members() {
        let (first, second) = (text(1000), text(70_000));
        let both = [first.clone(), second.clone()].concat();
        assert!(all(&[gzip(&first), gzip(&second), vec![0; 9]].concat(), 77).unwrap() == both);
        assert!(all(&[zstd(&first), zstd(&second)].concat(), 77).unwrap() == both);
    }

    /// A frame by `zstd` itself, with a window of so many bytes' logarithm.
    fn windowed(content: &[u8], log: u32) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        std::io::Write::write_all(&mut encoder, content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_largest_window_and_the_next() {
        // As long as the window, and the same again, so that it is used to its end.
        let mut content = text(WINDOW as usize - 100_000);
        content.extend_from_within(..1_000_000);
        let largest = windowed(&content, WINDOW_LOG);
        assert_eq!(largest[5], 15 << 3, "that is its window");
        assert!(all(&largest, 1 << 20).unwrap() == content);
        let larger = all(&windowed(&content, WINDOW_LOG + 1), 1 << 20).unwrap_err();
        let expect = "its window is 67108864 bytes, and at most 33554432 are given to one";
        assert!(larger.to_string().contains(expect), "{larger}");
        assert!(all(&windowed(&content, 10), 1 << 20).unwrap() == content);
    }

    #[test]
    fn headers_that_want_too_much() {
        let magic = [0x28, 0xb5, 0x2f, 0xfd];
        let check = |header: &[u8], expect: &str| {
            let whole = [&magic[..], header, &[0; 20]].concat();
            for piece in [1, 3, 100] {
                let error = all(&whole, piece).unwrap_err().to_string();
                assert!(error.contains(expect), "{header:x?} by {piece}: {error}");
            }
        };
        check(&[0, 15 << 3 | 1], "its window is 37748736 bytes");
        check(&[0, 0xff], "its window is 4123168604160 bytes");
        // With a dictionary's number, which comes after the window.
        check(&[3, 17 << 3, 1, 2, 3, 4], "its window is 134217728 bytes");
        // No window but the content's size, in four bytes and in eight.
        check(&[0xa0, 1, 0, 0, 2], "its window is 33554433 bytes");
        check(
            &[0xe0, 255, 255, 255, 255, 255, 255, 255, 255],
            "its window is 18446744073709551615 bytes",
        );
        check(
            &[0xe1, 9, 0, 0, 0, 0, 1, 0, 0, 0],
            "its window is 4294967296 bytes",
        );
        // The second frame is looked at as the first is; one that can be skipped has none.
        let second = [
            zstd(b"one"),
            vec![0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7],
            magic.to_vec(),
            vec![0, 0xff],
        ]
        .concat();
        let error = all(&second, 5).unwrap_err().to_string();
        assert!(error.contains("4123168604160"), "{error}");
        let cut = all(&[zstd(b"one"), magic.to_vec()].concat(), 5)
            .unwrap_err()
            .to_string();
        assert!(cut.contains("ends in the middle"), "{cut}");
    }

    /// Three that want all of the memory get it one after the other.
    #[test]
    fn windows_wait_for_each_other() {
        let content = text(100_000);
        let frame = windowed(&content, WINDOW_LOG);
        let at_once = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    let (mut inflater, mut buffer) = (Inflater::shared(), Vec::new());
                    let mut ignore = |_: &mut Vec<u8>| -> Result<(), UnpackError> { Ok(()) };
                    let (begin, end) = frame.split_at(frame.len() / 2);
                    inflater.push(begin, &mut buffer, &mut ignore).unwrap();
                    assert_eq!(at_once.fetch_add(1, SeqCst), 0);
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    at_once.fetch_sub(1, SeqCst);
                    inflater.push(end, &mut buffer, &mut ignore).unwrap();
                    inflater.finish(&mut buffer, &mut ignore).unwrap();
                });
            }
        });
        assert!(*TAKEN.lock().unwrap() < WINDOW, "all of it is given back");
    }

    #[test]
    fn damage() {
        let content = text(10_000);
        for whole in [gzip(&content), zstd(&content)] {
            let cut = all(&whole[..whole.len() - 1], 100).unwrap_err().to_string();
            assert!(cut.contains("ends in the middle"), "{cut}");
            let mut wrong = whole.clone();
            let middle = wrong.len() / 2;
            wrong[middle..middle + 4].fill(0xff);
            assert!(all(&wrong, 100).is_err() || all(&wrong, 100).unwrap() != content);
            let trailing = [&whole[..], b"rubbish"].concat();
            assert!(all(&trailing, 100).is_err());
        }
        let mut checksum = gzip(&content);
        let at = checksum.len() - 6;
        checksum[at] ^= 1;
        assert!(
            all(&checksum, 100).is_err(),
            "gzip's own checksum is looked at"
        );
    }
}
