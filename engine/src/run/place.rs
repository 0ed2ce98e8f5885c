//! Where a container lives: its bundle on a tmpfs, its changes beside the images, its root in a mount namespace of ours.
//!
//! The mount namespace goes with this process, so a killed `tare` leaves no mount; the two directories are taken away by the next one.

use crate::failure::{Failure, chain};
use crate::place::Place;
use rustix::fs::{FlockOperation, Mode, OFlags, ResolveFlags, flock, mkdirat, open, openat2};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tare_image::Digest;
use tare_image::rootfs::{Layers, Upper, mount_at};
use tare_image::store::{Lease, Store};
use tare_runtime::{Runtime, Status};

/// The directories of one container; dropped, they are removed.
pub struct Ground {
    id: String,
    bundle: PathBuf,
    changes: PathBuf,
    /// Tells others that we live.
    _held: OwnedFd,
    /// The layers stay as long as we do.
    _lease: Lease,
}

const CONTAINERS: &str = "containers";
/// The root's mount point in the bundle, as the configuration has it.
const ROOT: &str = "rootfs";

impl Ground {
    /// Makes them and mounts the root.
    pub fn make(place: &Place, store: &Store, diff_ids: &[Digest]) -> Result<Self, Failure> {
        let mut lease = store.lease()?;
        lease.add(store, diff_ids)?;
        for diff_id in diff_ids {
            if store.layer(*diff_id)?.is_none() {
                return Err(Failure::new(format!(
                    "the layer {diff_id} is missing from the store: pull the image again"
                )));
            }
        }
        let id = id()?;
        let changes = place.root.join(CONTAINERS).join(&id);
        let bundle = place.run.join(CONTAINERS).join(&id);
        make_all(&changes)?;
        let held = open(
            &changes,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|fd| flock(&fd, FlockOperation::LockExclusive).map(|()| fd))
        .map_err(|errno| failed("hold", &changes, errno))?;
        let ground = Self {
            id,
            bundle,
            changes,
            _held: held,
            _lease: lease,
        };
        for path in [
            ground.changes.join("work"),
            ground.changes.join("empty"),
            ground.bundle.join(ROOT),
        ] {
            make_all(&path)?;
        }
        let upper = ground.changes.join("upper");
        make_all(&upper)?;
        // The root itself is as the uppermost layer has it, and it may be entered by whoever the program is.
        let mode = diff_ids
            .last()
            .and_then(|diff_id| fs::metadata(store.layer_files(*diff_id)).ok());
        let mode = mode.map_or(0o755, |meta| meta.permissions().mode() & 0o7777);
        fs::set_permissions(&upper, fs::Permissions::from_mode(mode))
            .map_err(|error| io("set the mode of", &upper, &error))?;
        ground.mount(store, diff_ids, &upper)?;
        Ok(ground)
    }

    fn mount(&self, store: &Store, diff_ids: &[Digest], upper: &Path) -> Result<(), Failure> {
        const NEW_MOUNTS: u32 = 0x0002_0000;
        tare_sys::ns::unshare(NEW_MOUNTS).map_err(|errno| {
            Failure::new(format!(
                "a mount namespace of its own: errno {}",
                errno.get()
            ))
        })?;
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )
        .map_err(|errno| failed("keep mounts to itself below", Path::new("/"), errno))?;
        let mut lower: Vec<PathBuf> = Vec::new();
        for diff_id in diff_ids.iter().rev() {
            let files = store.layer_files(*diff_id);
            // Overlay refuses a layer that comes twice; the lower one adds nothing.
            if !lower.contains(&files) {
                lower.push(files);
            }
        }
        if lower.is_empty() {
            lower.push(self.changes.join("empty"));
        }
        let layers = Layers {
            lower: &lower,
            upper: Some(Upper {
                directory: upper,
                work: &self.changes.join("work"),
                volatile: true,
            }),
            user_xattrs: false,
        };
        Ok(mount_at(&layers, &self.bundle.join(ROOT))?)
    }

    /// Its name: 64 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
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
        .map_err(|errno| failed("open", &path, errno))
    }

    /// Writes a file of the bundle; its path.
    pub fn put(&self, name: &str, content: &str) -> Result<PathBuf, Failure> {
        let path = self.bundle.join(name);
        fs::write(&path, content)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
            .map_err(|error| io("write", &path, &error))?;
        Ok(path)
    }

    /// Makes a directory of the root with all above it, as docker does with the working directory. Links lead within.
    pub fn ensure_directory(&self, path: &str) -> Result<(), Failure> {
        let root = self.root()?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut above = String::new();
        let mut parent = self.root()?;
        for component in path
            .split('/')
            .filter(|component| !component.is_empty() && *component != ".")
        {
            if component == ".." {
                return Err(Failure::new(format!(
                    "the working directory {path:?} has .. in it"
                )));
            }
            above = format!("{above}/{component}");
            parent = match openat2(&root, above.as_str(), flags, Mode::empty(), resolve) {
                Ok(fd) => fd,
                Err(Errno::NOENT) => mkdirat(&parent, component, Mode::from_raw_mode(0o755))
                    .and_then(|()| openat2(&root, above.as_str(), flags, Mode::empty(), resolve))
                    .map_err(|errno| {
                        failed("make the working directory", Path::new(&above), errno)
                    })?,
                Err(errno) => {
                    return Err(failed(
                        "open the working directory",
                        Path::new(&above),
                        errno,
                    ));
                }
            };
        }
        Ok(())
    }

    /// Takes all away, and says what could not be.
    pub fn remove(self) -> Result<(), Failure> {
        let (bundle, changes) = (self.bundle.clone(), self.changes.clone());
        drop(self);
        for path in [bundle, changes] {
            if path.exists() {
                return Err(Failure::new(format!(
                    "{} could not be removed; the next `tare run` tries again",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // Not mounted yet, or not any more.
        let _ = unmount(self.bundle.join(ROOT), UnmountFlags::DETACH);
        let _ = fs::remove_dir_all(&self.bundle);
        let _ = fs::remove_dir_all(&self.changes);
    }
}

/// Takes away what killed processes have left: directories that nobody holds, of containers that do not run.
pub fn sweep(place: &Place, runtime: &Runtime) {
    let changes = place.root.join(CONTAINERS);
    let entries = fs::read_dir(&changes).into_iter().flatten().flatten();
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
        let _ = fs::remove_dir_all(place.run.join(CONTAINERS).join(&id));
        let _ = fs::remove_dir_all(&path);
    }
}

fn id() -> Result<String, Failure> {
    let mut bytes = [0u8; 32];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    match got {
        Ok(32) => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        _ => Err(Failure::new("no random numbers for the container's id")),
    }
}

fn make_all(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(|error| io("make", path, &error))
}

fn io(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{what} {}: {error}", path.display()))
}

fn failed(what: &str, path: &Path, errno: Errno) -> Failure {
    Failure::new(format!("{what} {}: {errno}", path.display()))
}
