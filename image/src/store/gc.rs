//! Garbage: what no name, no living process and no container speaks of.

use super::{Store, StoreError, files, nobody_holds};
use crate::Digest;
use rustix::fs::{Mode, OFlags};
use std::collections::HashSet;
use std::path::Path;

/// What was taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collected {
    /// Blobs, by digest.
    pub blobs: Vec<Digest>,
    /// Layers, by diff_id.
    pub layers: Vec<Digest>,
    /// Bytes of both.
    pub bytes: u64,
}

impl Store {
    /// Takes away whatever nobody needs; `used` are further digests that somebody does, of layers or blobs.
    ///
    /// It may run beside pulls: the store is locked only while things go out of sight, not while they are removed.
    pub fn collect(
        &self,
        used: impl FnOnce() -> std::io::Result<HashSet<Digest>>,
    ) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        let guard = self.exclusive()?;
        let mut live = self.leased(&guard)?;
        live.extend(
            used()
                .map_err(|error| StoreError::io("ask what containers use of", &self.root, error))?,
        );
        for (_, to) in self.refs()? {
            live.extend([to.target.digest, to.manifest, to.config]);
            // Without its manifest an image is no image, and what it had can't be known.
            if let Ok(manifest) = self.manifest(to.manifest) {
                live.extend(manifest.layers.iter().map(|layer| layer.digest));
                if let Ok(config) = self.config(&manifest) {
                    live.extend(config.rootfs.diff_ids);
                }
            }
        }
        let mut dead = Vec::new();
        for (kind, digests) in [
            ("blobs", &mut collected.blobs),
            ("layers", &mut collected.layers),
        ] {
            let folder = self.root.join(kind).join("sha256");
            for name in list(&folder)? {
                let digest = Digest::from_hex(&name).ok();
                if digest.is_some_and(|digest| live.contains(&digest)) {
                    continue;
                }
                let path = folder.join(&name);
                collected.bytes += match digest {
                    Some(digest) if kind == "layers" => {
                        self.layer_unverified(digest)?.map_or(0, |meta| meta.bytes)
                    }
                    _ => std::fs::metadata(&path).map_or(0, |meta| meta.len()),
                };
                let aside = self
                    .root
                    .join("ingest")
                    .join(format!("dead-{}", files::random()));
                match std::fs::rename(&path, &aside) {
                    // A damaged layer goes when it is looked at.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    other => other.map_err(|error| StoreError::io("move away", &path, error))?,
                }
                digests.extend(digest);
                dead.push(aside);
            }
        }
        dead.extend(self.abandoned()?);
        self.unlock_files(&live);
        drop(guard);
        for path in dead {
            files::remove(&path).map_err(|error| StoreError::io("remove", &path, error))?;
        }
        Ok(collected)
    }

    /// Takes away what killed processes were making; hardly a look where there is nothing.
    pub fn sweep(&self) -> Result<(), StoreError> {
        if list(&self.root.join("ingest"))?.is_empty() {
            return Ok(());
        }
        let guard = self.exclusive()?;
        let dead = self.abandoned()?;
        drop(guard);
        for path in dead {
            files::remove(&path).map_err(|error| StoreError::io("remove", &path, error))?;
        }
        Ok(())
    }

    /// What dead processes were making.
    fn abandoned(&self) -> Result<Vec<std::path::PathBuf>, StoreError> {
        let folder = self.root.join("ingest");
        let mut found = Vec::new();
        for name in list(&folder)? {
            let path = folder.join(name);
            let opened = rustix::fs::open(
                &path,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            );
            if opened.is_ok_and(|fd| nobody_holds(&fd)) {
                found.push(path);
            }
        }
        Ok(found)
    }

    /// Locks of layers that are gone and that nobody holds.
    fn unlock_files(&self, live: &HashSet<Digest>) {
        let folder = self.root.join("locks");
        for name in list(&folder).unwrap_or_default() {
            if Digest::from_hex(&name).is_ok_and(|digest| live.contains(&digest)) {
                continue;
            }
            let path = folder.join(name);
            let opened = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            if opened.is_ok_and(|fd| nobody_holds(&fd)) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }
}

fn list(folder: &Path) -> Result<Vec<String>, StoreError> {
    files::names(folder).map_err(|error| StoreError::io("list", folder, error))
}
