//! Layers by diff_id: made beside, renamed into place, never changed.

use super::{Store, StoreError, files};
use crate::Digest;
use crate::pipeline::Unpacked;
use crate::unpack::FILES;
use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags, flock};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// What is known of a layer without looking at its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerMeta {
    /// Bytes of its archive.
    pub size: u64,
    /// Bytes of its files' contents.
    pub bytes: u64,
    /// Entries of its archive.
    pub entries: u64,
    /// Devices that are missing for want of rights.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// What came first of several entries of one path, by its number in `replaced`; bytes as they are, a letter each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replaced: Vec<String>,
    /// The boot in which it was written; None: it is known to be on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A layer in the making: a directory that nobody else sees. Dropped, it is removed.
pub struct Ingest {
    path: PathBuf,
    /// Holds the lock by which it is known to be in use.
    directory: OwnedFd,
    done: bool,
}

const META: &str = "meta.json";
const COMPRESSED: &str = "gzip";
pub(super) const RECORD: &str = "record.zst";

impl Store {
    pub(super) fn layer_path(&self, diff_id: Digest) -> PathBuf {
        self.root.join("layers/sha256").join(diff_id.hex())
    }

    /// The layer's files, for whoever mounts them.
    pub fn layer_files(&self, diff_id: Digest) -> PathBuf {
        self.layer_path(diff_id).join(FILES)
    }

    /// What is known of a layer; None: it is not there, or is not whole.
    ///
    /// One of another boot is verified first, and taken away if a crash has damaged it.
    pub fn layer(&self, diff_id: Digest) -> Result<Option<LayerMeta>, StoreError> {
        let Some(meta) = self.layer_unverified(diff_id)? else {
            return Ok(None);
        };
        if meta.boot.as_ref().is_none_or(|boot| *boot == self.boot) {
            return Ok(Some(meta));
        }
        match self.verify(diff_id, &meta) {
            Ok(()) => {
                let meta = LayerMeta { boot: None, ..meta };
                self.write_meta(&self.layer_path(diff_id), &meta)?;
                Ok(Some(meta))
            }
            Err(_) => {
                self.discard(&self.layer_path(diff_id))?;
                Ok(None)
            }
        }
    }

    pub(super) fn layer_unverified(
        &self,
        diff_id: Digest,
    ) -> Result<Option<LayerMeta>, StoreError> {
        let path = self.layer_path(diff_id).join(META);
        match fs::read(&path) {
            Ok(content) => match serde_json::from_slice(&content) {
                Ok(meta) => Ok(Some(meta)),
                Err(_) => {
                    self.discard(&self.layer_path(diff_id))?;
                    Ok(None)
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A crash may have lost the file and not the directory; nothing of ours is made without it.
                if self.layer_path(diff_id).is_dir() {
                    self.discard(&self.layer_path(diff_id))?;
                }
                Ok(None)
            }
            Err(error) => Err(StoreError::io("read", &path, error)),
        }
    }

    /// What the layer is when it is compressed by us, if that was done before.
    pub(crate) fn compressed(&self, diff_id: Digest) -> Option<(Digest, u64)> {
        let text = fs::read_to_string(self.layer_path(diff_id).join(COMPRESSED)).ok()?;
        let (digest, size) = text.trim().split_once(' ')?;
        Some((digest.parse().ok()?, size.parse().ok()?))
    }

    /// Notes it.
    pub(crate) fn note_compressed(
        &self,
        diff_id: Digest,
        digest: Digest,
        size: u64,
    ) -> Result<(), StoreError> {
        let path = self.layer_path(diff_id).join(COMPRESSED);
        files::replace(&path, format!("{digest} {size}\n").as_bytes())
            .map_err(|error| StoreError::io("write", &path, error))
    }

    /// Waits until nobody else unpacks a layer; others wait for us until it is dropped.
    pub fn lock_layer(&self, diff_id: Digest) -> Result<OwnedFd, StoreError> {
        let path = self.root.join("locks").join(diff_id.hex());
        files::lock(&path, FlockOperation::LockExclusive)
            .map_err(|error| StoreError::io("lock", &path, error))
    }

    /// A directory to unpack a layer into.
    pub fn ingest(&self) -> Result<Ingest, StoreError> {
        let path = self
            .root
            .join("ingest")
            .join(format!("layer-{}", files::random()));
        let make = || -> std::io::Result<OwnedFd> {
            files::make_all(&path)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(&path, flags, Mode::empty())?;
            flock(&fd, FlockOperation::LockExclusive)?;
            Ok(fd)
        };
        let _guard = self.shared()?;
        let directory = make().map_err(|error| StoreError::io("make", &path, error))?;
        Ok(Ingest {
            path,
            directory,
            done: false,
        })
    }

    fn write_meta(&self, folder: &Path, meta: &LayerMeta) -> Result<(), StoreError> {
        let path = folder.join(META);
        let content = serde_json::to_vec(meta).expect("strings and numbers only");
        files::replace(&path, &content).map_err(|error| StoreError::io("write", &path, error))
    }

    /// Makes an unpacked layer appear; where another has done the same already, ours goes.
    pub fn finish_layer(
        &self,
        mut ingest: Ingest,
        record: Record,
        unpacked: &Unpacked,
    ) -> Result<LayerMeta, StoreError> {
        finish_record(record)
            .map_err(|error| StoreError::io("write", &ingest.path.join(RECORD), error))?;
        let totals = &unpacked.totals;
        let letters = |path: &Vec<u8>| path.iter().map(|byte| *byte as char).collect();
        let meta = LayerMeta {
            size: unpacked.size,
            bytes: totals.bytes,
            entries: totals.entries,
            left_out: totals.left_out,
            replaced: totals.replaced.iter().map(letters).collect(),
            boot: Some(self.boot.clone()),
        };
        self.write_meta(&ingest.path, &meta)?;
        let target = self.layer_path(unpacked.diff_id);
        let renamed = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &ingest.path,
            rustix::fs::CWD,
            &target,
            RenameFlags::NOREPLACE,
        );
        match renamed {
            Ok(()) => {
                ingest.done = true;
                Ok(meta)
            }
            Err(rustix::io::Errno::EXIST) => Ok(meta),
            Err(errno) => Err(StoreError::io("rename to", &target, errno.into())),
        }
    }

    /// Takes something out of sight at once, and then away.
    pub(super) fn discard(&self, path: &Path) -> Result<(), StoreError> {
        let aside = self
            .root
            .join("ingest")
            .join(format!("dead-{}", files::random()));
        match fs::rename(path, &aside) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| StoreError::io("move away", path, error))?,
        }
        files::remove(&aside).map_err(|error| StoreError::io("remove", &aside, error))
    }
}

impl Ingest {
    /// The directory, for [`crate::pipeline::unpack`].
    pub fn directory(&self) -> Result<OwnedFd, StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.directory, ".", flags, Mode::empty())
            .map_err(|errno| StoreError::io("open", &self.path, errno.into()))
    }

    /// Takes the archive's framing, compressed.
    pub fn record(&self) -> Result<Record, StoreError> {
        let path = self.path.join(RECORD);
        let make = || {
            let file = fs::File::options()
                .write(true)
                .create_new(true)
                .open(&path)?;
            zstd::Encoder::new(std::io::BufWriter::new(file), 1)
        };
        make().map_err(|error| StoreError::io("make", &path, error))
    }
}

/// Writes `record.zst`; [`Store::finish_layer`] ends it.
pub type Record = zstd::Encoder<'static, std::io::BufWriter<fs::File>>;

fn finish_record(record: Record) -> std::io::Result<()> {
    record
        .finish()?
        .into_inner()
        .map(drop)
        .map_err(std::io::IntoInnerError::into_error)
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.done {
            let _ = files::remove(&self.path);
        }
    }
}
