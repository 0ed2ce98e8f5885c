//! A container's root: its image's layers with its changes on top, by overlay; where that can't be, a copy.
//!
//! Between the two lies a layer of what every container has without having made it: the places of mounts. So they are no changes.

use crate::containers::{failed, make_all};
use crate::failure::{Failure, chain};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, mkdirat, mknodat, open, openat2, statat,
};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use std::fs;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use tare_image::rootfs::{Layers, RootfsError, Upper, changes_of_copy, copy_to, mount_at};
use tare_image::unpack::Privileges;

/// What a root is made of.
pub struct Root<'a> {
    /// The image's layers, from the uppermost to the lowest.
    pub layers: Vec<PathBuf>,
    /// The container's directory.
    pub changes: &'a Path,
    /// Where it is mounted.
    pub target: &'a Path,
    /// Whether the changes are kept.
    pub keep: bool,
    /// By whose maps owners are read and written.
    pub userns: Option<BorrowedFd<'a>>,
    /// The host's numbers of the container's root, where it has its own.
    pub root: Option<(Option<u32>, Option<u32>)>,
    /// The program's working directory, which is made where it is missing.
    pub directory: &'a str,
}

/// In the container's directory: the places of mounts.
pub const INIT: &str = "init";
/// In the container's directory: the whole root, where overlay can't be used.
pub const COPY: &str = "copy";

/// The places of what every container has mounted; those of files are files.
const PLACES: [(&str, bool); 6] = [
    ("/dev", true),
    ("/proc", true),
    ("/sys", true),
    ("/etc/hostname", false),
    ("/etc/hosts", false),
    ("/etc/resolv.conf", false),
];

impl Root<'_> {
    /// Mounts it in the mount namespace of this process; whether it is a copy.
    pub fn mount(mut self) -> Result<bool, Failure> {
        if self.layers.is_empty() {
            self.layers.push(self.make("empty", None)?);
        }
        let outcome = self.by_overlay();
        match outcome {
            Ok(()) => Ok(false),
            Err(Refused::Overlay(error)) if error.wants_copy() && self.userns.is_none() => {
                eprintln!(
                    "tare: {}; the root is a copy instead, which takes time and room",
                    chain(&error)
                );
                self.by_copy()?;
                Ok(true)
            }
            Err(Refused::Overlay(error)) => Err(error.into()),
            Err(Refused::Else(failure)) => Err(failure),
        }
    }

    fn by_overlay(&mut self) -> Result<(), Refused> {
        let top = fs::metadata(&self.layers[0])
            .map_err(|error| failed("look at", &self.layers[0], &error))?;
        let user_xattrs = Privileges::own().user_xattrs();
        let first = self.keep || self.userns.is_some();
        if first {
            // Owners are not mapped yet: what is made here belongs to the container's root.
            let init = self.make(INIT, Some(&top))?;
            let work = self.make("init-work", None)?;
            let layers = Layers {
                lower: &self.layers,
                upper: Some(Upper {
                    directory: &init,
                    work: &work,
                    volatile: true,
                }),
                user_xattrs,
                userns: None,
                unmapped: 0,
            };
            mount_at(&layers, self.target)?;
            let made = self.make_places(true);
            unmount(self.target, UnmountFlags::DETACH)
                .map_err(|errno| failed("unmount", self.target, &errno.into()))?;
            made?;
            fs::remove_dir_all(&work).map_err(|error| failed("remove", &work, &error))?;
            self.layers.insert(0, init);
        }
        let upper = self.make("upper", Some(&top))?;
        if let Some((uid, gid)) = self.root {
            chown(&upper, uid, gid).map_err(|error| failed("make", &upper, &error))?;
        }
        let layers = Layers {
            lower: &self.layers,
            upper: Some(Upper {
                directory: &upper,
                work: &self.make("work", None)?,
                // What is kept must be whole after a crash.
                volatile: !self.keep,
            }),
            user_xattrs,
            userns: self.userns,
            unmapped: 0,
        };
        mount_at(&layers, self.target)?;
        if !first {
            self.make_places(false)?;
        }
        Ok(())
    }

    fn by_copy(&mut self) -> Result<(), Failure> {
        let copy = self.make(COPY, None)?;
        self.layers
            .retain(|layer| *layer != self.changes.join(INIT));
        copy_to(&self.layers, &copy)?;
        mount_bind(&copy, self.target).map_err(|errno| failed("bind", &copy, &errno.into()))?;
        self.make_places(self.keep)?;
        if self.keep {
            let init = self.changes.join(INIT);
            if init.exists() {
                fs::remove_dir_all(&init).map_err(|error| failed("remove", &init, &error))?;
            }
            changes_of_copy(&copy, &self.layers, &self.make(INIT, None)?)?;
        }
        Ok(())
    }

    /// A directory beside the changes; the root itself is as the uppermost layer has it.
    fn make(&self, name: &str, like: Option<&fs::Metadata>) -> Result<PathBuf, Failure> {
        let path = self.changes.join(name);
        make_all(&path)?;
        if let Some(like) = like {
            let mode = fs::Permissions::from_mode(like.permissions().mode() & 0o7777);
            let owned = match Privileges::own() {
                Privileges::Rootless => Ok(()),
                _ => chown(&path, Some(like.uid()), Some(like.gid())),
            };
            owned
                .and_then(|()| fs::set_permissions(&path, mode))
                .map_err(|error| failed("make", &path, &error))?;
        }
        Ok(path)
    }

    fn make_places(&self, mounts: bool) -> Result<(), Failure> {
        let root = open(
            self.target,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| failed("open", self.target, &errno.into()))?;
        for (path, directory) in PLACES.iter().filter(|_| mounts) {
            if *directory {
                ensure_directory(&root, path, "a place for mounts")?;
            } else {
                ensure_file(&root, path)?;
            }
        }
        ensure_directory(&root, self.directory, "the working directory")
    }
}

enum Refused {
    Overlay(RootfsError),
    Else(Failure),
}

impl From<RootfsError> for Refused {
    fn from(error: RootfsError) -> Self {
        Self::Overlay(error)
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Else(failure)
    }
}

/// Links lead within the root.
fn within(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Makes a directory of a root with all above it, as docker does with the working directory.
fn ensure_directory(root: &OwnedFd, path: &str, what: &str) -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let mut above = String::new();
    let mut parent = None;
    for component in path
        .split('/')
        .filter(|component| !component.is_empty() && *component != ".")
    {
        if component == ".." {
            return Err(Failure::new(format!("{what} {path:?} has .. in it")));
        }
        above = format!("{above}/{component}");
        let next = match within(root, &above, flags) {
            Err(Errno::NOENT) => {
                let parent = parent.as_ref().unwrap_or(root);
                mkdirat(parent, component, Mode::from_raw_mode(0o755))
                    .and_then(|()| within(root, &above, flags))
            }
            other => other,
        };
        let next = next
            .map_err(|errno| failed(&format!("make {what}"), Path::new(&above), &errno.into()))?;
        parent = Some(next);
    }
    Ok(())
}

/// An empty file, where nothing is.
fn ensure_file(root: &OwnedFd, path: &str) -> Result<(), Failure> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    ensure_directory(root, folder, "a place for mounts")?;
    let wrong = |errno: Errno| failed("make the place of a mount", Path::new(path), &errno.into());
    let folder = within(root, folder, OFlags::PATH | OFlags::DIRECTORY).map_err(wrong)?;
    match statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => mknodat(
            &folder,
            name,
            FileType::RegularFile,
            Mode::from_raw_mode(0o644),
            0,
        )
        .map_err(wrong),
        // A link there is the runtime's to follow.
        other => other.map(drop).map_err(wrong),
    }
}
