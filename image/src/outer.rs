//! Whatever an archive of images is compressed with, told by its first bytes; decoded here, never by a program that is looked up.

use crate::inflate::Inflater;
use crate::load::LoadError;
use crate::unpack::UnpackError;
use std::io::{self, BufReader, Read};

/// Gives the bytes of an archive, decompressed.
pub(crate) struct Outer<R> {
    source: R,
}

const PIECE: usize = 128 << 10;

impl<R: Read> Outer<R> {
    pub(crate) fn new(source: R) -> Self {
        Self { source }
    }

    /// Calls for each piece.
    pub(crate) fn each(
        mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), LoadError>,
    ) -> Result<(), LoadError> {
        let mut head = [0u8; 6];
        let length = fill(&mut self.source, &mut head)?;
        let head = &head[..length];
        let whole = io::Cursor::new(head.to_vec()).chain(self.source);
        match head {
            [b'B', b'Z', b'h', ..] => read_all(
                bzip2::read::MultiBzDecoder::new(BufReader::with_capacity(PIECE, whole)),
                take,
            ),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => read_all(
                lzma_rust2::XzReader::new(BufReader::with_capacity(PIECE, whole), true),
                take,
            ),
            _ => {
                let mut inflater = Inflater::new();
                let mut buffer = Vec::new();
                let mut emit = |piece: &mut Vec<u8>| take(piece).map_err(Either::Load);
                let pushed = read_all(whole, |piece| {
                    match inflater.push(piece, &mut buffer, &mut emit) {
                        Err(Either::Load(error)) => Err(error),
                        Err(Either::Unpack(error)) => Err(LoadError::Archive(error)),
                        Ok(()) => Ok(()),
                    }
                });
                pushed?;
                match inflater.finish(&mut buffer, &mut emit) {
                    Err(Either::Load(error)) => Err(error),
                    Err(Either::Unpack(error)) => Err(LoadError::Archive(error)),
                    Ok(()) => Ok(()),
                }
            }
        }
    }
}

enum Either {
    Load(LoadError),
    Unpack(UnpackError),
}

impl From<UnpackError> for Either {
    fn from(error: UnpackError) -> Self {
        Self::Unpack(error)
    }
}

fn read_all(
    mut source: impl Read,
    mut take: impl FnMut(&[u8]) -> Result<(), LoadError>,
) -> Result<(), LoadError> {
    let mut buffer = vec![0; PIECE];
    loop {
        let length = fill(&mut source, &mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        take(&buffer[..length])?;
    }
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> Result<usize, LoadError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(LoadError::Archive(UnpackError::Source(error))),
        }
    }
    Ok(filled)
}
