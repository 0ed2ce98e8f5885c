//! The layer's directory: every operation goes through descriptors beneath its root, and never follows a name's last component.
//!
//! Directories are made with mode 0700 and get what the archive says of them at the end: a file's making would change their times,
//! and a set-group-id bit its files' groups.

use super::path::Path;
use super::{Privileges, UnpackError, whiteout};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use tare_tar::{Entry, Time};

/// The layer's files, in its directory.
pub(crate) const FILES: &str = "fs";
/// Beside them: what something later in the archive has replaced.
pub(crate) const REPLACED: &str = "replaced";

/// Hard links that are remembered.
const LINKS: usize = 100_000;
/// Directories that are kept open.
const OPEN: usize = 16;

/// The directory of one layer while it is unpacked.
pub(super) struct Tree {
    /// Holds `fs`, and `replaced` once something is.
    base: OwnedFd,
    /// `fs`.
    root: Rc<OwnedFd>,
    /// What stood at a name before something later took it, by the number of its place in `replaced`.
    replaced: Vec<Vec<u8>>,
    /// Names that are further names of a file: replaced, they need not be kept.
    links: HashSet<Vec<u8>>,
    privileges: Privileges,
    umask: u32,
    /// By path, the last used at the end.
    open: Vec<(Vec<u8>, Rc<OwnedFd>)>,
    /// By inode: what a directory gets at the end.
    pending: HashMap<u64, Pending>,
    own: (u32, u32),
}

struct Pending {
    path: Vec<u8>,
    attributes: Attributes,
}

/// What an entry has besides its content.
#[derive(Clone)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What stands at a name already.
#[derive(PartialEq, Clone, Copy)]
pub(super) enum There {
    Nothing,
    Directory,
    Whiteout,
    Other,
}

impl Attributes {
    pub(super) fn of(entry: Entry) -> Result<Self, UnpackError> {
        let id = |id: u64, what: &str| {
            // The last one means "leave it" to the kernel.
            let id = u32::try_from(id).ok().filter(|id| *id != u32::MAX);
            id.ok_or_else(|| UnpackError::Entry {
                path: super::path::shown(&entry.path),
                why: format!("its {what} is more than Linux has"),
            })
        };
        Ok(Self {
            mode: entry.mode,
            uid: id(entry.uid, "owner")?,
            gid: id(entry.gid, "group")?,
            mtime: entry.mtime,
            xattrs: entry.xattrs,
        })
    }
}

impl Tree {
    /// In an empty directory of ours.
    pub(super) fn new(base: OwnedFd, privileges: Privileges) -> Result<Self, UnpackError> {
        let io = |errno| UnpackError::io("make", FILES.as_bytes(), errno);
        fs::mkdirat(&base, FILES, Mode::RWXU).map_err(io)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = fs::openat(&base, FILES, flags, Mode::empty()).map_err(io)?;
        fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(io)?;
        Ok(Self {
            base,
            root: Rc::new(root),
            replaced: Vec::new(),
            links: HashSet::new(),
            privileges,
            umask: umask(),
            open: Vec::new(),
            pending: HashMap::new(),
            own: (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ),
        })
    }

    /// The directory that a path is in, made where it is missing, and the name in it.
    pub(super) fn parent<'a>(
        &mut self,
        path: &'a Path,
    ) -> Result<(Rc<OwnedFd>, &'a [u8]), UnpackError> {
        let (parent, name) = path.split();
        let parent = match parent {
            None => Rc::clone(&self.root),
            Some(parent) => self.directory(parent)?,
        };
        Ok((parent, name))
    }

    /// A directory by its path, made with all above it where it is missing.
    pub(super) fn directory(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, UnpackError> {
        if let Some(index) = self.open.iter().rposition(|(open, _)| open == path) {
            let found = self.open.remove(index);
            let fd = Rc::clone(&found.1);
            self.open.push(found);
            return Ok(fd);
        }
        let fd = match self.resolve(path) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_all(path)?,
            Err(errno) => return Err(UnpackError::io("open the directory", path, errno)),
        };
        Ok(self.keep(path, fd))
    }

    fn keep(&mut self, path: &[u8], fd: OwnedFd) -> Rc<OwnedFd> {
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        let fd = Rc::new(fd);
        self.open.push((path.to_vec(), Rc::clone(&fd)));
        fd
    }

    /// Symbolic links on the way lead wherever they lead with the layer as the root.
    fn resolve(&self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
        loop {
            match fs::openat2(&*self.root, path, flags, Mode::empty(), resolve) {
                // Something was renamed somewhere while it looked at `..`.
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
    }

    /// What the archive leaves out belongs to root and may be read by all.
    fn make_all(&mut self, path: &[u8]) -> Result<OwnedFd, UnpackError> {
        let mut above: Option<Vec<u8>> = None;
        for component in path.split(|byte| *byte == b'/') {
            let parent = match &above {
                None => Rc::clone(&self.root),
                Some(above) => {
                    let fd = self.resolve(above);
                    Rc::new(
                        fd.map_err(|errno| UnpackError::io("open the directory", above, errno))?,
                    )
                }
            };
            let full = match above {
                None => component.to_vec(),
                Some(above) => [&above[..], b"/", component].concat(),
            };
            let io = |errno| UnpackError::io("make the directory", &full, errno);
            let hidden = self.there(parent.as_fd(), component).map_err(io)? == There::Whiteout;
            if hidden {
                fs::unlinkat(&parent, component, AtFlags::empty()).map_err(io)?;
            }
            match fs::mkdirat(&parent, component, Mode::from_raw_mode(0o755)) {
                Ok(()) if hidden => {
                    let fd = self.resolve(&full).map_err(io)?;
                    self.set_opaque(&fd, &full)?;
                }
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(io(errno)),
            }
            above = Some(full);
        }
        self.resolve(path)
            .map_err(|errno| UnpackError::io("open the directory", path, errno))
    }

    pub(super) fn there(&self, parent: BorrowedFd, name: &[u8]) -> Result<There, Errno> {
        match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(There::Nothing),
            Err(errno) => Err(errno),
            Ok(stat) => Ok(match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => There::Directory,
                _ if whiteout::is_one(parent, name, &stat) => There::Whiteout,
                _ => There::Other,
            }),
        }
    }

    /// Moves away what stands at a name. It is kept, as the archive can't be put together again without its content.
    pub(super) fn remove(&mut self, parent: BorrowedFd, path: &Path) -> Result<(), Errno> {
        // A path that led through it may lead elsewhere from now on.
        self.open.clear();
        let (_, name) = path.split();
        let link = self.links.remove(path.bytes());
        if link || self.there(parent, name)? == There::Whiteout {
            return fs::unlinkat(parent, name, AtFlags::empty());
        }
        if self.replaced.is_empty() {
            fs::mkdirat(&self.base, REPLACED, Mode::RWXU)?;
        }
        let target = format!("{REPLACED}/{}", self.replaced.len());
        fs::renameat(parent, name, &self.base, &target)?;
        let beneath = [path.bytes(), b"/"].concat();
        for link in self.links.extract_if(|link| link.starts_with(&beneath)) {
            let place = [target.as_bytes(), &link[path.bytes().len()..]].concat();
            fs::unlinkat(&self.base, place, AtFlags::empty())?;
        }
        self.replaced.push(path.bytes().to_vec());
        Ok(())
    }

    /// Notes that a name is a further one of a file. Beyond any real layer's number an archive that also replaces them can't be put
    /// together again.
    pub(super) fn linked(&mut self, path: &Path) {
        if self.links.len() < LINKS {
            self.links.insert(path.bytes().to_vec());
        }
    }

    /// A new file, open for writing; None: there is something by that name.
    pub(super) fn create(
        &self,
        parent: BorrowedFd,
        name: &[u8],
        mode: u32,
    ) -> Result<Option<OwnedFd>, Errno> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::openat(parent, name, flags, Mode::from_raw_mode(mode & 0o777)) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::EXIST) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Makes a directory, which gets its attributes at the end.
    pub(super) fn make_directory(
        &mut self,
        path: &Path,
        attributes: Attributes,
    ) -> Result<(), UnpackError> {
        let (parent, name) = self.parent(path)?;
        let io = |errno| UnpackError::io("make the directory", path.bytes(), errno);
        let mut hidden = false;
        match fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => {}
            Err(Errno::EXIST) => match self.there(parent.as_fd(), name).map_err(io)? {
                There::Directory => {}
                there => {
                    hidden = there == There::Whiteout;
                    self.remove(parent.as_fd(), path).map_err(io)?;
                    fs::mkdirat(&parent, name, Mode::RWXU).map_err(io)?;
                }
            },
            Err(errno) => return Err(io(errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = fs::openat(&parent, name, flags, Mode::empty()).map_err(io)?;
        if hidden {
            self.set_opaque(&fd, path.bytes())?;
        }
        let inode = fs::fstat(&fd).map_err(io)?.st_ino;
        self.pending.insert(
            inode,
            Pending {
                path: path.bytes().to_vec(),
                attributes,
            },
        );
        self.open.retain(|(open, _)| open != path.bytes());
        self.keep(path.bytes(), fd);
        Ok(())
    }

    /// What the layer says of its root.
    pub(super) fn root_attributes(&mut self, attributes: Attributes) -> Result<(), UnpackError> {
        let stat =
            fs::fstat(&*self.root).map_err(|errno| UnpackError::io("look at", b"/", errno))?;
        self.pending.insert(
            stat.st_ino,
            Pending {
                path: b".".to_vec(),
                attributes,
            },
        );
        Ok(())
    }

    /// Hides all that lower layers have in a directory.
    pub(super) fn set_opaque(&self, directory: impl AsFd, path: &[u8]) -> Result<(), UnpackError> {
        fs::fsetxattr(
            directory,
            self.privileges.opaque(),
            b"y",
            XattrFlags::empty(),
        )
        .map_err(|errno| UnpackError::io("make opaque the directory", path, errno))
    }

    /// Owner, mode, attributes and time of an open file; in this order, as each may undo the one before it.
    pub(super) fn finish_file(
        &self,
        file: impl AsFd,
        attributes: &Attributes,
    ) -> Result<(), Errno> {
        let file = file.as_fd();
        self.own(attributes, |uid, gid| fs::fchown(file, uid, gid))?;
        let special = attributes.mode & 0o7000 != 0;
        if special || attributes.mode & self.umask != 0 {
            fs::fchmod(file, Mode::from_raw_mode(attributes.mode))?;
        }
        for (name, value) in self.wanted(attributes) {
            self.tolerate(name, fs::fsetxattr(file, name, value, XattrFlags::empty()))?;
        }
        fs::futimens(file, &times(attributes.mtime))
    }

    /// The same of something that can't be opened: a link, a device, a pipe.
    pub(super) fn finish_other(
        &self,
        parent: BorrowedFd,
        name: &[u8],
        link: bool,
        attributes: &Attributes,
    ) -> Result<(), Errno> {
        self.own(attributes, |uid, gid| {
            fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        })?;
        if !link && (attributes.mode & (0o7000 | self.umask) != 0) {
            // Not a link: nothing but us writes here, and it was just made.
            fs::chmodat(
                parent,
                name,
                Mode::from_raw_mode(attributes.mode),
                AtFlags::empty(),
            )?;
        }
        if !attributes.xattrs.is_empty() {
            let path = [
                format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(),
                name,
            ]
            .concat();
            for (name, value) in self.wanted(attributes) {
                self.tolerate(
                    name,
                    fs::lsetxattr(&path[..], name, value, XattrFlags::empty()),
                )?;
            }
        }
        fs::utimensat(
            parent,
            name,
            &times(attributes.mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )
    }

    fn own(
        &self,
        attributes: &Attributes,
        chown: impl FnOnce(Option<Uid>, Option<Gid>) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        if self.privileges == Privileges::Rootless || (attributes.uid, attributes.gid) == self.own {
            return Ok(());
        }
        let owned = chown(
            Some(Uid::from_raw(attributes.uid)),
            Some(Gid::from_raw(attributes.gid)),
        );
        match owned {
            // The kernel's word for a number that its user namespace has not.
            Err(Errno::INVAL) if self.privileges == Privileges::Mapped => Err(Errno::OVERFLOW),
            other => other,
        }
    }

    /// Not overlay's own, which would let a layer speak for lower ones, and not the host's labels.
    fn wanted<'a>(&self, attributes: &'a Attributes) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let refused: [&[u8]; 3] = [b"trusted.overlay.", b"user.overlay.", b"security.selinux"];
        let all = attributes
            .xattrs
            .iter()
            .map(|(name, value)| (&name[..], &value[..]));
        all.filter(move |(name, _)| !refused.iter().any(|refused| name.starts_with(refused)))
    }

    /// A file system that has no such attribute loses it, as with docker; so does one without rights.
    fn tolerate(&self, name: &[u8], outcome: Result<(), Errno>) -> Result<(), Errno> {
        match outcome {
            Err(Errno::OPNOTSUPP) => Ok(()),
            Err(Errno::PERM)
                if self.privileges != Privileges::Root || name.starts_with(b"user.") =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Gives the directories what the archive says of them; returns what was replaced, by the names in `replaced`.
    pub(super) fn finish(mut self) -> Result<Vec<Vec<u8>>, UnpackError> {
        self.open.clear();
        let mut pending: Vec<(u64, Pending)> = self.pending.drain().collect();
        // Those within first: a directory that its owner may not enter closes the way.
        pending.sort_by(|a, b| b.1.path.cmp(&a.1.path));
        for (inode, Pending { path, attributes }) in pending {
            let io = |errno| UnpackError::io("finish the directory", &path, errno);
            let fd = match self.resolve(&path) {
                Ok(fd) => fd,
                // Replaced by something later in the archive.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(errno) => return Err(io(errno)),
            };
            if fs::fstat(&fd).map_err(io)?.st_ino != inode {
                continue;
            }
            self.own(&attributes, |uid, gid| fs::fchown(&fd, uid, gid))
                .map_err(io)?;
            for (name, value) in self.wanted(&attributes) {
                self.tolerate(name, fs::fsetxattr(&fd, name, value, XattrFlags::empty()))
                    .map_err(io)?;
            }
            fs::fchmod(&fd, Mode::from_raw_mode(attributes.mode)).map_err(io)?;
            fs::futimens(&fd, &times(attributes.mtime)).map_err(io)?;
        }
        Ok(self.replaced)
    }
}

fn times(time: Time) -> Timestamps {
    let time = Timespec {
        tv_sec: time.seconds,
        tv_nsec: time.nanoseconds.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// The process's, which only `/proc` tells without changing it; the strictest where it doesn't.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|text| u32::from_str_radix(text.trim(), 8).ok())
        .unwrap_or(0o777)
}
