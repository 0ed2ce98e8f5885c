//! Where images are kept: plain files below one directory, no daemon, no database; any number of processes at once.
//!
//! | path | what |
//! |---|---|
//! | `blobs/sha256/HEX` | indexes, manifests, configs, and layers as they came where they are kept |
//! | `layers/sha256/HEX/` | a layer by its diff_id: `fs` its files, `record.zst` the rest of its archive, `meta.json` |
//! | `refs/REGISTRY/REPOSITORY/:TAG`, `…/@HEX` | what a name stands for |
//! | `refs/untagged/HEX` | an image that has lost its last name |
//! | `leases/` | what a living process uses, held by a lock that the kernel drops with the process |
//! | `ingest/` | what is being made; what nobody holds is garbage |
//! | `locks/HEX` | held by whoever unpacks that layer |
//! | `lock` | shared by whoever looks at something and then uses it, exclusive while garbage is taken out of sight |
//!
//! Everything appears by a rename when it is whole.
//! A layer that could be pulled again is not synced: it notes the machine's boot, and in another boot it is verified before it is used.

mod archive;
mod blobs;
mod error;
mod files;
mod gc;
mod layers;
mod lease;
mod refs;

pub use blobs::NewBlob;
pub use error::StoreError;
pub use gc::Collected;
pub use layers::{Ingest, LayerMeta, Record};
pub use lease::Lease;
pub use refs::{Name, Ref};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A store that is open.
pub struct Store {
    root: PathBuf,
    boot: String,
}

/// Holds `lock` until it is dropped.
pub(crate) struct Guard {
    _fd: OwnedFd,
}

const VERSION: &str = "1\n";

impl Store {
    /// Opens the store below a directory, which is made where it is missing, for its owner alone.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |errno: rustix::io::Errno| StoreError::io(what, &path, errno.into())
        };
        for below in [
            "",
            "blobs/sha256",
            "layers/sha256",
            "refs",
            "leases",
            "ingest",
            "locks",
        ] {
            let path = root.join(below);
            files::make_all(&path)
                .map_err(|error| StoreError::io("make the store's directory", &path, error))?;
        }
        // One that is read-only can still be looked at.
        let mode = rustix::fs::stat(root).map(|stat| stat.st_mode & 0o777);
        if mode != Ok(0o700) {
            rustix::fs::chmod(root, Mode::RWXU).map_err(io("set the mode of", root))?;
        }
        let version = root.join("version");
        match std::fs::read_to_string(&version) {
            Ok(text) if text == VERSION => {}
            Ok(text) => {
                return Err(StoreError::Version {
                    path: root.to_owned(),
                    found: text.trim().chars().take(20).collect(),
                });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                files::replace(&version, VERSION.as_bytes())
                    .map_err(|error| StoreError::io("write", &version, error))?;
            }
            Err(error) => return Err(StoreError::io("read", &version, error)),
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Ok(Self {
            root: root.to_owned(),
            boot: boot.trim().to_owned(),
        })
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Nothing is taken away while it is held; for moments only.
    pub(crate) fn shared(&self) -> Result<Guard, StoreError> {
        self.guard(FlockOperation::LockShared)
    }

    pub(crate) fn exclusive(&self) -> Result<Guard, StoreError> {
        self.guard(FlockOperation::LockExclusive)
    }

    fn guard(&self, operation: FlockOperation) -> Result<Guard, StoreError> {
        let path = self.root.join("lock");
        let fd =
            files::lock(&path, operation).map_err(|error| StoreError::io("lock", &path, error))?;
        Ok(Guard { _fd: fd })
    }

    /// Makes all that was written durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(&self.root, flags, Mode::empty());
        fd.and_then(|fd| rustix::fs::syncfs(&fd))
            .map_err(|errno| StoreError::io("sync", &self.root, errno.into()))
    }
}

/// Whether nobody holds a file or directory that is open; if so it is held now.
pub(crate) fn nobody_holds(fd: &OwnedFd) -> bool {
    flock(fd, FlockOperation::NonBlockingLockExclusive).is_ok()
}
