//! What a process uses is not garbage as long as the process lives: a file of digests, locked.

use super::{Guard, Store, StoreError, files, nobody_holds};
use crate::Digest;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Holds content of a store until it is dropped or its process ends.
pub struct Lease {
    path: PathBuf,
    file: fs::File,
}

impl Store {
    /// A lease of nothing yet.
    pub fn lease(&self) -> Result<Lease, StoreError> {
        let path = self.root.join("leases").join(files::random());
        // Whoever collects must not find it before it is locked.
        let _guard = self.shared()?;
        let file = files::lock(&path, FlockOperation::LockExclusive)
            .map_err(|error| StoreError::io("make the lease", &path, error))?;
        Ok(Lease {
            path,
            file: file.into(),
        })
    }

    /// The digests of all leases of the living; those of the dead are removed. Only under the exclusive lock.
    pub(super) fn leased(&self, _guard: &Guard) -> Result<HashSet<Digest>, StoreError> {
        let folder = self.root.join("leases");
        let mut leased = HashSet::new();
        let names =
            files::names(&folder).map_err(|error| StoreError::io("list", &folder, error))?;
        for name in names {
            let path = folder.join(name);
            let opened: Result<OwnedFd, _> =
                rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let Ok(fd) = opened else { continue };
            if nobody_holds(&fd) {
                let _ = fs::remove_file(&path);
                continue;
            }
            let text =
                fs::read_to_string(&path).map_err(|error| StoreError::io("read", &path, error))?;
            leased.extend(text.lines().filter_map(|line| line.parse::<Digest>().ok()));
        }
        Ok(leased)
    }
}

impl Lease {
    /// Adds content, whether it is there yet or not: from now on it is not taken away.
    pub fn add(&mut self, store: &Store, digests: &[Digest]) -> Result<(), StoreError> {
        let lines: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
        let _guard = store.shared()?;
        self.file
            .write_all(lines.as_bytes())
            .map_err(|error| StoreError::io("write the lease", &self.path, error))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
