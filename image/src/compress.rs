//! Gzip for what is pushed: the same bytes for the same layer, by whichever process.

use std::io::{self, Write};
use zlib_rs::{Deflate, DeflateFlush, Status};

/// Compresses what is written to it and writes that on.
pub(crate) struct Gzip<W> {
    deflate: Deflate,
    buffer: Vec<u8>,
    out: W,
}

/// Gzip's own default between time and size.
const LEVEL: i32 = 6;

impl<W: Write> Gzip<W> {
    pub(crate) fn new(out: W) -> Self {
        Self {
            // 16 says gzip; zlib writes no name and no time into the header.
            deflate: Deflate::new(LEVEL, true, 16 + 15),
            buffer: vec![0; 64 << 10],
            out,
        }
    }

    /// Writes the rest.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        while !self.step(&[], DeflateFlush::Finish)?.1 {}
        Ok(self.out)
    }

    /// How much was taken, and whether the stream has ended.
    fn step(&mut self, input: &[u8], flush: DeflateFlush) -> io::Result<(usize, bool)> {
        let (taken, made) = (self.deflate.total_in(), self.deflate.total_out());
        let status = self.deflate.compress(input, &mut self.buffer, flush);
        let status = status.map_err(|error| io::Error::other(format!("gzip: {error:?}")))?;
        let taken = (self.deflate.total_in() - taken) as usize;
        let made = (self.deflate.total_out() - made) as usize;
        self.out.write_all(&self.buffer[..made])?;
        Ok((taken, status == Status::StreamEnd))
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, _) = self.step(rest, DeflateFlush::NoFlush)?;
            rest = &rest[taken..];
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
