//! Where a container lives: its bundle on a tmpfs, its changes beside the images, its root in a mount namespace of ours.
//!
//! The mount namespace goes with this process, so a killed `tare` leaves no mount; the next one takes away what need not be kept.

use super::root::Root;
use crate::containers::{self, Record, failed, make_all};
use crate::failure::{Failure, chain};
use crate::namespace::own_mounts;
use crate::place::Place;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open, stat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tare_image::Digest;
use tare_image::store::{Lease, Store};
use tare_runtime::{Runtime, Status, user_namespace};

/// The directories of one container; dropped, they are removed, unless it has run and its changes are to be kept.
pub struct Ground {
    place: Place,
    record: Record,
    bundle: PathBuf,
    changes: PathBuf,
    /// It has run.
    ran: bool,
    /// Tells others that we live.
    _held: OwnedFd,
    /// The layers stay as long as we do.
    _lease: Lease,
}

/// The root's mount point in the bundle, as the configuration has it.
const ROOT: &str = "rootfs";

impl Ground {
    /// Makes them and mounts the root.
    pub fn make(
        place: &Place,
        store: &Store,
        record: Record,
        directory: &str,
    ) -> Result<Self, Failure> {
        let diff_ids = record.layers.clone();
        let mut lease = store.lease()?;
        lease.add(store, &diff_ids)?;
        // A commit needs its documents, which the record keeps once it is written.
        let base = &record.base;
        lease.add(store, &[base.target.digest, base.manifest, base.config])?;
        if !store.has(base.manifest) || !store.has(base.config) {
            return Err(Failure::new(format!(
                "the image {} has just been removed: pull it again",
                record.image
            )));
        }
        for diff_id in &diff_ids {
            if store.layer(*diff_id)?.is_none() {
                return Err(Failure::new(format!(
                    "the layer {diff_id} is missing from the store: pull the image again"
                )));
            }
        }
        let changes = containers::folder(place).join(&record.id);
        let bundle = place.run.join("containers").join(&record.id);
        let held = hold_new(&changes)?;
        let mut ground = Self {
            place: place.clone(),
            record,
            bundle,
            changes,
            ran: false,
            _held: held,
            _lease: lease,
        };
        if let Some(name) = &ground.record.name {
            containers::claim(place, name, &ground.record.id)?;
        }
        let userns = match &ground.record.maps {
            Some(maps) => Some(
                user_namespace(&maps.uids, &maps.gids)
                    .map_err(|error| Failure::new(error.report()))?,
            ),
            None => None,
        };
        let target = ground.bundle.join(ROOT);
        make_all(&target)?;
        own_mounts()?;
        let root = Root {
            layers: lower(store, &diff_ids),
            changes: &ground.changes,
            target: &target,
            keep: ground.record.keep,
            userns: userns.as_ref().map(AsFd::as_fd),
            root: ground
                .record
                .maps
                .as_ref()
                .map(|maps| (maps.root_uid(), maps.root_gid())),
            directory,
        };
        ground.record.copied = root.mount()?;
        containers::write(&ground.changes, &ground.record)?;
        Ok(ground)
    }

    /// Its name: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The program has begun: from now on there is something to keep.
    pub fn began(&mut self) {
        self.ran = true;
    }

    /// The bundle's directory.
    pub fn bundle(&self) -> &Path {
        &self.bundle
    }

    /// The root, for files that are looked up in it.
    pub fn root(&self) -> Result<OwnedFd, Failure> {
        let path = self.bundle.join(ROOT);
        open(
            &path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| failed("open", &path, &errno.into()))
    }

    /// Writes a file of the bundle; its path.
    pub fn put(&self, name: &str, content: &str) -> Result<PathBuf, Failure> {
        let path = self.bundle.join(name);
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
            .and_then(|()| match &self.record.maps {
                Some(maps) => chown(&path, maps.root_uid(), maps.root_gid()),
                None => Ok(()),
            })
            .map_err(|error| failed("write", &path, &error))?;
        Ok(path)
    }

    /// The end: takes away what is not kept, and says what could not be.
    pub fn finish(self, status: Option<u8>) -> Result<(), Failure> {
        let (bundle, changes) = (self.bundle.clone(), self.changes.clone());
        let keep = self.keeps();
        let noted = match keep {
            true => containers::finish(&self.changes, &self.record, status),
            false => Ok(()),
        };
        drop(self);
        for path in [Some(bundle), (!keep).then_some(changes)]
            .into_iter()
            .flatten()
        {
            if path.exists() {
                return Err(Failure::new(format!(
                    "{} could not be removed; the next `tare run` tries again",
                    path.display()
                )));
            }
        }
        noted
    }

    fn keeps(&self) -> bool {
        self.ran && self.record.keep
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Not mounted yet, or not any more.
        let _ = unmount(self.bundle.join(ROOT), UnmountFlags::DETACH);
        let _ = fs::remove_dir_all(&self.bundle);
        if !self.keeps() {
            let _ = containers::remove(&self.place, &self.record, &self.changes);
        }
    }
}

/// Makes a container's directory and holds it.
fn hold_new(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    loop {
        make_all(path)?;
        let fd = match open(path, flags, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            other => other.map_err(|errno| failed("open", path, &errno.into()))?,
        };
        flock(&fd, FlockOperation::LockExclusive)
            .map_err(|errno| failed("hold", path, &errno.into()))?;
        // Before it was held it could be taken for one that was left behind, and removed.
        let ours = fstat(&fd).map_err(|errno| failed("look at", path, &errno.into()))?;
        if stat(path).is_ok_and(|there| (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino))
        {
            return Ok(fd);
        }
    }
}

/// The layers' files from the uppermost to the lowest.
pub fn lower(store: &Store, diff_ids: &[Digest]) -> Vec<PathBuf> {
    let mut lower: Vec<PathBuf> = Vec::new();
    for diff_id in diff_ids.iter().rev() {
        let files = store.layer_files(*diff_id);
        // Overlay refuses a layer that comes twice; the lower one adds nothing.
        if !lower.contains(&files) {
            lower.push(files);
        }
    }
    lower
}

/// Takes away what killed processes have left: directories that nobody holds, of containers that do not run.
pub fn sweep(place: &Place, runtime: &Runtime) {
    let entries = fs::read_dir(containers::folder(place))
        .into_iter()
        .flatten()
        .flatten();
    for entry in entries {
        let path = entry.path();
        let opened = open(
            &path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let Ok(fd) = opened else { continue };
        if flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let Ok(id) = entry.file_name().into_string() else {
            continue;
        };
        match runtime.status(&id) {
            Ok(None) => {}
            // It has outlived its `tare`, and ends by itself.
            Ok(Some(Status::Running | Status::Paused)) => continue,
            _ => {
                if let Err(error) = runtime.delete(&id, true) {
                    eprintln!(
                        "tare: of a container that was left behind: {}",
                        chain(&error)
                    );
                    continue;
                }
            }
        }
        let _ = fs::remove_dir_all(place.run.join("containers").join(&id));
        let swept = match containers::read(&path) {
            Ok(Some(record)) if record.keep => match record.finished {
                Some(_) => Ok(()),
                None => containers::finish(&path, &record, None),
            },
            Ok(Some(record)) => containers::remove(place, &record, &path),
            // Not a container yet, or not any more.
            Ok(None) => fs::remove_dir_all(&path).map_err(|error| failed("remove", &path, &error)),
            Err(failure) => Err(failure),
        };
        if let Err(failure) = swept {
            eprintln!(
                "tare: of a container that was left behind: {}",
                failure.message
            );
        }
    }
    if let Err(failure) = containers::sweep_names(place) {
        eprintln!("tare: names of containers: {}", failure.message);
    }
}

/// A new container's id.
pub fn id() -> Result<String, Failure> {
    let mut bytes = [0u8; 32];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(32) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(Failure::new("no random numbers for the container's id")),
    }
}
