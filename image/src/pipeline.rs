//! A layer's bytes on their way to its files: read and hashed, inflated, hashed and written, each on a thread of its own, with a few
//! pieces between them.
//!
//! Whoever is ahead waits, so a layer of any size takes the same memory: see [`MEMORY`].

use crate::Digest;
use crate::digest::Hasher;
use crate::inflate::{Inflater, PIECE};
use crate::unpack::{Limits, Privileges, Totals, UnpackError, Unpacker};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Bytes that are read at once.
const READ: usize = 128 << 10;
/// Pieces between two threads.
const AHEAD: usize = 4;
/// Bytes that a layer on its way takes at most, besides a zstd window, of which all layers together have 32 MiB, and the
/// parts of the one blob that comes over several connections, 10 MiB.
pub const MEMORY: usize = (AHEAD + 2) * (READ + PIECE);
/// Below this many bytes the ratio of a bomb says nothing.
const RATIO_FROM: u64 = 1 << 30;

/// What is known of a layer before it comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Of the bytes as they come: digest and length.
    pub blob: Option<(Digest, u64)>,
    /// Of the archive within.
    pub diff_id: Option<Digest>,
}

/// A layer that is unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Of the archive.
    pub diff_id: Digest,
    /// Of the bytes as they came.
    pub blob: Digest,
    /// Their number.
    pub blob_size: u64,
    /// Bytes of the archive.
    pub size: u64,
    /// What is in it.
    pub totals: Totals,
}

/// How a layer is unpacked, and who is told.
pub struct Settings<'a> {
    /// What its files may be given.
    pub privileges: Privileges,
    /// What it may have.
    pub limits: Limits,
    /// Bytes that have come, for whoever shows progress.
    pub received: &'a AtomicU64,
    /// Whether somebody wants it to end.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

type Piece = Result<Vec<u8>, UnpackError>;

/// Profiles and debuggers show it.
fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.to_owned())
}

/// Unpacks a layer into an empty directory and says whether it is what was expected; if not, the directory is the caller's to remove.
///
/// `blob` also gets the bytes as they come, `record` all of the archive that is no content.
pub fn unpack<R: Write>(
    source: impl Read + Send,
    expected: Expected,
    directory: OwnedFd,
    settings: &Settings,
    blob: Option<&mut (dyn Write + Send)>,
    record: R,
) -> Result<(Unpacked, R), UnpackError> {
    let mut unpacker = Unpacker::new(directory, settings.privileges, settings.limits, record)?;
    // Set when nobody wants the digest any more either.
    let abandoned = AtomicBool::new(false);
    thread::scope(|scope| {
        let (raw_out, raw_in) = sync_channel::<Piece>(AHEAD);
        let (spent_raw_out, spent_raw_in) = sync_channel::<Vec<u8>>(AHEAD + 2);
        let (plain_out, plain_in) = sync_channel::<Piece>(AHEAD);
        let (spent_plain_out, spent_plain_in) = sync_channel::<Vec<u8>>(AHEAD + 2);
        let reader = named("read").spawn_scoped(scope, || {
            read(
                source,
                expected,
                settings,
                &abandoned,
                blob,
                raw_out,
                spent_raw_in,
            )
        });
        let reader = reader.map_err(UnpackError::Thread)?;
        let limits = settings.limits;
        let inflater = named("inflate").spawn_scoped(scope, move || {
            inflate(&raw_in, &spent_raw_out, limits, &plain_out, &spent_plain_in);
        });
        if let Err(error) = inflater {
            abandoned.store(true, Relaxed);
            return Err(UnpackError::Thread(error));
        }

        let mut hasher = Hasher::default();
        let mut size = 0;
        let mut write = || -> Result<(), UnpackError> {
            for piece in &plain_in {
                if (settings.stop)() {
                    return Err(UnpackError::Interrupted);
                }
                let piece = piece?;
                size += piece.len() as u64;
                hasher.update(&piece);
                unpacker.push(&piece)?;
                let _ = spent_plain_out.try_send(piece);
            }
            Ok(())
        };
        let written = write();
        // A damaged stream is better explained by its digest, which is known once all of it has come.
        let worth_it = matches!(
            written,
            Ok(())
                | Err(UnpackError::Tar(_)
                    | UnpackError::Compression { .. }
                    | UnpackError::Name { .. }
                    | UnpackError::Entry { .. })
        );
        abandoned.store(!worth_it, Relaxed);
        drop(plain_in);
        let read = reader.join().expect("the reader does not panic");
        let (blob, blob_size) = match (written, read) {
            (Ok(()), read) => read?,
            (Err(error), Err(why @ (UnpackError::Digest { .. } | UnpackError::Size { .. }))) => {
                return Err(if worth_it { why } else { error });
            }
            (Err(error), _) => return Err(error),
        };
        let diff_id = hasher.finish();
        if let Some(expected) = expected.diff_id
            && expected != diff_id
        {
            return Err(UnpackError::Digest {
                what: "archive (its diff_id)",
                found: diff_id,
                expected,
            });
        }
        let (totals, record) = unpacker.finish()?;
        let unpacked = Unpacked {
            diff_id,
            blob,
            blob_size,
            size,
            totals,
        };
        Ok((unpacked, record))
    })
}

/// Reads to the end, and on to the digest when nobody takes the bytes any more, unless that is abandoned too.
fn read(
    mut source: impl Read,
    expected: Expected,
    settings: &Settings,
    abandoned: &AtomicBool,
    mut blob: Option<&mut (dyn Write + Send)>,
    out: SyncSender<Piece>,
    spent: Receiver<Vec<u8>>,
) -> Result<(Digest, u64), UnpackError> {
    let mut hasher = Hasher::default();
    let mut size = 0;
    let mut out = Some(out);
    loop {
        let mut piece = spent.try_recv().unwrap_or_default();
        piece.resize(READ, 0);
        let length = match fill(&mut source, &mut piece) {
            Ok(length) => length,
            Err(error) => {
                // The other side must not take what came so far for a whole layer.
                if let Some(out) = out {
                    let _ = out.send(Err(UnpackError::Source(error)));
                    return Err(UnpackError::Interrupted);
                }
                return Err(UnpackError::Source(error));
            }
        };
        if length == 0 {
            break;
        }
        piece.truncate(length);
        size += length as u64;
        settings.received.store(size, Relaxed);
        if let Some((_, announced)) = expected.blob
            && size > announced
        {
            let error = || UnpackError::Size {
                found: announced + 1,
                expected: announced,
            };
            if let Some(out) = out {
                let _ = out.send(Err(error()));
            }
            return Err(error());
        }
        hasher.update(&piece);
        if let Some(blob) = &mut blob {
            blob.write_all(&piece).map_err(UnpackError::Record)?;
        }
        if let Some(sender) = &out
            && sender.send(Ok(piece)).is_err()
        {
            out = None;
        }
        if out.is_none()
            && (abandoned.load(Relaxed) || (settings.stop)() || expected.blob.is_none())
        {
            return Err(UnpackError::Interrupted);
        }
    }
    let found = hasher.finish();
    if let Some((expected, announced)) = expected.blob {
        let error = match () {
            () if size < announced => Some(UnpackError::Size {
                found: size,
                expected: announced,
            }),
            () if found != expected => Some(UnpackError::Digest {
                what: "content",
                found,
                expected,
            }),
            () => None,
        };
        if let Some(error) = error {
            return Err(error);
        }
    }
    Ok((found, size))
}

/// As many bytes as there are, up to the buffer's length: fewer only at the end.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Why the thread in the middle ends early.
enum Broken {
    /// Nobody takes its output.
    Alone,
    Because(UnpackError),
}

impl From<UnpackError> for Broken {
    fn from(error: UnpackError) -> Self {
        Self::Because(error)
    }
}

fn inflate(
    input: &Receiver<Piece>,
    spent: &SyncSender<Vec<u8>>,
    limits: Limits,
    out: &SyncSender<Piece>,
    recycled: &Receiver<Vec<u8>>,
) {
    let mut inflater = Inflater::shared();
    let mut buffer = Vec::with_capacity(PIECE);
    let (mut taken, mut made) = (0u64, 0u64);
    let mut run = || -> Result<(), Broken> {
        for piece in input {
            let piece = piece?;
            taken += piece.len() as u64;
            let mut emit = |buffer: &mut Vec<u8>| {
                made += buffer.len() as u64;
                check(limits, taken, made)?;
                let next = recycled.try_recv().unwrap_or_default();
                let full = std::mem::replace(buffer, next);
                out.send(Ok(full)).map_err(|_| Broken::Alone)
            };
            inflater.push(&piece, &mut buffer, &mut emit)?;
            let _ = spent.try_send(piece);
        }
        let mut emit = |buffer: &mut Vec<u8>| {
            let full = std::mem::take(buffer);
            out.send(Ok(full)).map_err(|_| Broken::Alone)
        };
        inflater.finish(&mut buffer, &mut emit)
    };
    if let Err(Broken::Because(error)) = run() {
        let _ = out.send(Err(error));
    }
}

fn check(limits: Limits, taken: u64, made: u64) -> Result<(), UnpackError> {
    if made > limits.bytes {
        return Err(UnpackError::Limit {
            what: "bytes",
            limit: limits.bytes,
        });
    }
    if made > RATIO_FROM && made / limits.ratio.max(1) > taken {
        return Err(UnpackError::Limit {
            what: "times the bytes that came",
            limit: limits.ratio,
        });
    }
    Ok(())
}
