//! A layer's archive, put together again from its record and its files: the very bytes that were unpacked.

use super::layers::RECORD;
use super::{LayerMeta, Store, StoreError};
use crate::Digest;
use crate::digest::Hasher;
use crate::unpack::{FILES, REPLACED, UnpackError, file_path};
use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use tare_tar::{Entry, Kind, Limits, Reader, Segment, Sink};

/// Bytes that are read at once.
const PIECE: usize = 128 << 10;

impl Store {
    /// Writes a layer's archive; its digest is the layer's diff_id, or it is an error, which comes last.
    pub fn write_archive(&self, diff_id: Digest, out: &mut dyn Write) -> Result<(), StoreError> {
        let meta = self
            .layer_unverified(diff_id)?
            .ok_or(StoreError::Missing { digest: diff_id })?;
        self.assemble(diff_id, &meta, out)
    }

    /// Reads all of a layer and compares.
    pub(super) fn verify(&self, diff_id: Digest, meta: &LayerMeta) -> Result<(), StoreError> {
        self.assemble(diff_id, meta, &mut io::sink())
    }

    fn assemble(
        &self,
        diff_id: Digest,
        meta: &LayerMeta,
        out: &mut dyn Write,
    ) -> Result<(), StoreError> {
        let wrong = |why: String| StoreError::Layer { diff_id, why };
        let base = self.layer_path(diff_id);
        let record = base.join(RECORD);
        let file = File::open(&record).map_err(|error| StoreError::io("open", &record, error))?;
        let mut framing = zstd::Decoder::new(file).map_err(|error| wrong(error.to_string()))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let base = open(&base, flags, Mode::empty())
            .map_err(|errno| StoreError::io("open", &base, errno.into()))?;
        let mut assembly = Assembly {
            files: Files::new(base, meta),
            out,
            hasher: Hasher::default(),
            wanted: None,
        };
        let mut reader = Reader::new(Limits::default());
        let mut buffer = vec![0; PIECE];
        loop {
            let length = framing
                .read(&mut buffer)
                .map_err(|error| wrong(format!("its record: {error}")))?;
            if length == 0 {
                break;
            }
            let mut piece = &buffer[..length];
            while !piece.is_empty() {
                let taken = reader
                    .push_framing(piece, &mut assembly)
                    .map_err(|error| wrong(error.to_string()))?;
                piece = &piece[taken..];
                if let Some((file, segments)) = assembly.wanted.take() {
                    reader.skip_content();
                    assembly
                        .copy(&file, &segments)
                        .map_err(|error| wrong(error.to_string()))?;
                }
            }
        }
        reader.finish().map_err(|error| wrong(error.to_string()))?;
        match assembly.hasher.finish() {
            found if found == diff_id => Ok(()),
            found => Err(wrong(format!(
                "its files give {found}: something has changed them"
            ))),
        }
    }
}

struct Assembly<'a> {
    files: Files,
    out: &'a mut dyn Write,
    hasher: Hasher,
    /// The content that comes next.
    wanted: Option<(File, Vec<Segment>)>,
}

impl Assembly<'_> {
    fn give(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(UnpackError::Record)
    }

    fn copy(&mut self, file: &File, segments: &[Segment]) -> Result<(), UnpackError> {
        let mut buffer = vec![0; PIECE];
        for segment in segments {
            let (mut offset, mut left) = (segment.offset, segment.length);
            while left > 0 {
                let length = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                file.read_exact_at(&mut buffer[..length], offset)
                    .map_err(UnpackError::Source)?;
                self.give(&buffer[..length])?;
                offset += length as u64;
                left -= length as u64;
            }
        }
        Ok(())
    }
}

impl Sink for Assembly<'_> {
    type Error = UnpackError;

    fn entry(&mut self, entry: Entry) -> Result<(), UnpackError> {
        if entry.kind != Kind::File || entry.stored() == 0 {
            return Ok(());
        }
        if let Some(file) = self.files.open(&entry)? {
            let whole = vec![Segment {
                offset: 0,
                length: entry.size,
            }];
            self.wanted = Some((file, entry.sparse.unwrap_or(whole)));
        }
        Ok(())
    }

    fn data(&mut self, _: u64, bytes: &[u8]) -> Result<(), UnpackError> {
        // Content of an entry that made no file stands in the record.
        self.give(bytes)
    }

    fn end(&mut self) -> Result<(), UnpackError> {
        Ok(())
    }

    fn framing(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        self.give(bytes)
    }
}

/// Finds an entry's file, also when the archive has several of its path.
struct Files {
    base: OwnedFd,
    replaced: Vec<Vec<u8>>,
    /// How often a path was asked for, of those that something has replaced.
    asked: HashMap<Vec<u8>, usize>,
}

impl Files {
    fn new(base: OwnedFd, meta: &LayerMeta) -> Self {
        let bytes = |text: &String| text.chars().map(|letter| letter as u8).collect();
        Self {
            base,
            replaced: meta.replaced.iter().map(bytes).collect(),
            asked: HashMap::new(),
        }
    }

    /// None: it has made no file.
    fn open(&mut self, entry: &Entry) -> Result<Option<File>, UnpackError> {
        let Some(path) = file_path(&entry.path)? else {
            return Ok(None);
        };
        // Where each file of this path went, in the order of the archive; the last is the one that stayed.
        let mut places: Vec<(String, Vec<u8>)> = Vec::new();
        for (number, replaced) in self.replaced.iter().enumerate() {
            let below = match path.strip_prefix(&replaced[..]) {
                Some(b"") => Vec::new(),
                Some([b'/', rest @ ..]) => rest.to_vec(),
                _ => continue,
            };
            places.push((format!("{REPLACED}/{number}"), below));
        }
        let several = !places.is_empty();
        places.push((FILES.to_owned(), path.clone()));
        let mut found = Vec::new();
        for (root, below) in places {
            match self.open_at(&root, &below) {
                Ok(file) => found.push(file),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => {}
                Err(errno) => return Err(UnpackError::io("open", &path, errno)),
            }
        }
        let mut number = 0;
        if several {
            let asked = self.asked.entry(path.clone()).or_default();
            number = *asked;
            *asked += 1;
        }
        match found.into_iter().nth(number) {
            Some(file) => Ok(Some(file)),
            None => Err(UnpackError::io("find", &path, Errno::NOENT)),
        }
    }

    fn open_at(&self, root: &str, below: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if below.is_empty() {
            return rustix::fs::openat(&self.base, root, flags, Mode::empty()).and_then(regular);
        }
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(&self.base, root, directory, Mode::empty())?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        openat2(&root, below, flags, Mode::empty(), resolve).and_then(regular)
    }
}

fn regular(fd: OwnedFd) -> Result<File, Errno> {
    let stat = rustix::fs::fstat(&fd)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => Ok(fd.into()),
        _ => Err(Errno::NOENT),
    }
}
