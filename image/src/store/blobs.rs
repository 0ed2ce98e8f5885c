//! Content by its digest: indexes, manifests, configs.

use super::{Store, StoreError, files};
use crate::manifest::{CONFIG_LIMIT, Config, Document, Manifest};
use crate::{Digest, digest};
use std::fs;
use std::io::Read;
use std::path::PathBuf;

impl Store {
    pub(super) fn blob_path(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Keeps content; what is there already stays, unless it is damaged.
    pub fn put_blob(&self, content: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(content);
        if self.blob(digest).is_ok() {
            return Ok(digest);
        }
        let path = self.blob_path(digest);
        // What has no name yet looks like garbage.
        let _guard = self.shared()?;
        files::replace(&path, content).map_err(|error| StoreError::io("write", &path, error))?;
        Ok(digest)
    }

    /// Content by its digest, which is compared.
    pub fn blob(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let file = match fs::File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::Missing { digest });
            }
            other => other.map_err(|error| StoreError::io("open", &path, error))?,
        };
        let mut content = Vec::new();
        file.take(CONFIG_LIMIT + 1)
            .read_to_end(&mut content)
            .map_err(|error| StoreError::io("read", &path, error))?;
        match Digest::of(&content) {
            found if found == digest => Ok(content),
            found => Err(StoreError::Damaged { path, found }),
        }
    }

    /// Whether content of that name is there; it is compared when it is read.
    pub fn has(&self, digest: Digest) -> bool {
        self.blob_path(digest).exists()
    }

    /// An image's manifest.
    pub fn manifest(&self, digest: Digest) -> Result<Manifest, StoreError> {
        let wrong = |source| StoreError::Document { digest, source };
        match Document::read(&self.blob(digest)?, "").map_err(wrong)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(wrong(crate::manifest::DocumentError::Type {
                media_type: crate::manifest::media::INDEX.to_owned(),
            })),
        }
    }

    /// The config of an image by its manifest.
    pub fn config(&self, manifest: &Manifest) -> Result<Config, StoreError> {
        let digest = manifest.config.digest;
        let content = self.blob(digest)?;
        Config::read(&content, manifest.layers.len())
            .map_err(|source| StoreError::Document { digest, source })
    }

    /// The file of content that is kept, for whoever streams it.
    pub(crate) fn blob_file(&self, digest: Digest) -> Option<PathBuf> {
        Some(self.blob_path(digest)).filter(|path| path.exists())
    }

    /// An error of a blob on its way.
    pub(crate) fn blob_error(&self, error: std::io::Error) -> StoreError {
        StoreError::io("write to", &self.root.join("ingest"), error)
    }

    /// A file that blob content is written to as it comes; it appears by [`NewBlob::commit`].
    pub fn new_blob(&self) -> Result<NewBlob, StoreError> {
        let path = self
            .root
            .join("ingest")
            .join(format!("blob-{}", files::random()));
        let guard = self.shared()?;
        let file = files::lock(&path, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|error| StoreError::io("make", &path, error))?;
        drop(guard);
        Ok(NewBlob {
            file: file.into(),
            hasher: digest::Hasher::default(),
            path,
            done: false,
        })
    }
}

/// Content on its way into the store.
pub struct NewBlob {
    file: fs::File,
    hasher: digest::Hasher,
    path: PathBuf,
    done: bool,
}

impl NewBlob {
    /// Makes it appear under the digest that it turned out to have; that, and its size.
    pub fn commit(mut self, store: &Store) -> Result<(Digest, u64), StoreError> {
        let digest = std::mem::take(&mut self.hasher).finish();
        let size = self
            .file
            .metadata()
            .map_err(|error| StoreError::io("look at", &self.path, error))?
            .len();
        let path = store.blob_path(digest);
        fs::rename(&self.path, &path).map_err(|error| StoreError::io("rename to", &path, error))?;
        self.done = true;
        Ok((digest, size))
    }
}

impl std::io::Write for NewBlob {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for NewBlob {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
    }
}
