//! Layers' compression, told by the first bytes: gzip (RFC 1952), zstd (RFC 8878), or none.

use crate::unpack::UnpackError;
use zlib_rs::{Inflate, InflateFlush, Status};
use zstd::stream::raw::{Decoder as Zstd, InBuffer, Operation, OutBuffer};

/// Bytes of the largest piece that comes out.
pub(crate) const PIECE: usize = 256 << 10;

/// Decompresses what is pushed to it.
pub(crate) struct Inflater {
    kind: Kind,
    /// The first bytes, until there are enough to tell the kind.
    head: Vec<u8>,
}

enum Kind {
    Unknown,
    Plain,
    Gzip(Box<Inflate>),
    /// Between two members of a gzip stream, or after the last.
    GzipEnd,
    Zstd(Zstd<'static>),
    /// After a frame.
    ZstdEnd,
}

impl Inflater {
    pub(crate) fn new() -> Self {
        Self {
            kind: Kind::Unknown,
            head: Vec::new(),
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
            Kind::Plain | Kind::GzipEnd | Kind::ZstdEnd => Ok(()),
            Kind::Gzip(_) => Err(malformed("gzip", "it ends in the middle").into()),
            Kind::Zstd(_) => Err(malformed("zstd", "it ends in the middle").into()),
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
                    let decoder =
                        Zstd::new().map_err(|error| malformed("zstd", &error.to_string()))?;
                    self.kind = Kind::Zstd(decoder);
                }
                Kind::Zstd(decoder) => {
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

fn malformed(format: &'static str, why: &str) -> UnpackError {
    UnpackError::Compression {
        format,
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
