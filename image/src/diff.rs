//! An overlay's upper directory as a layer: what a container has changed, with whiteouts for what it has removed.
//!
//! The same directory gives the same bytes: names are sorted, and nothing but the files decides.
//! The container must have been mounted without redirects and metacopies, as [`crate::rootfs`] does it.

use crate::unpack::{Privileges, overlay_mark};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use tare_tar::{Entry, Kind, Time, Writer};
use thiserror::Error;

/// Why a layer could not be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiffError {
    /// A file can't be read.
    #[error("{what} {path:?}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file, beneath the directory.
        path: String,
        /// The kernel's answer.
        source: Errno,
    },
    /// Overlay has written what stands for more than it shows.
    #[error(
        "{path:?} has overlay's mark {mark}: the container was mounted with features that can't be read from outside"
    )]
    Mark {
        /// The file.
        path: String,
        /// The attribute.
        mark: String,
    },
    /// An owner that is none of the container's.
    #[error("{path:?} belongs to {uid}:{gid} of the host, which the container has no number for")]
    Owner {
        /// The file.
        path: String,
        /// Its user.
        uid: u32,
        /// Its group.
        gid: u32,
    },
    /// A file has become shorter while it was read.
    #[error("{path:?} was changed while it was read")]
    Changed {
        /// The file.
        path: String,
    },
    /// Where the layer goes.
    #[error("writing the layer")]
    Write(#[from] io::Error),
}

/// Whose numbers owners are in a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Owners {
    /// The layer's.
    #[default]
    AsTheyAre,
    /// Those of the host that a container's own stand for.
    Mapped {
        /// Of users.
        uids: Vec<Extent>,
        /// Of groups.
        gids: Vec<Extent>,
    },
}

/// A range of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The first, in the layer.
    pub inside: u32,
    /// The first, of the host.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

impl Owners {
    /// The layer's numbers of the host's; None: it has none.
    fn inside(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        let find = |map: &[Extent], id: u32| {
            map.iter().find_map(|extent| {
                let offset = id.checked_sub(extent.outside)?;
                (offset < extent.size).then_some(extent.inside + offset)
            })
        };
        match self {
            Self::AsTheyAre => Some((uid, gid)),
            Self::Mapped { uids, gids } => Some((find(uids, uid)?, find(gids, gid)?)),
        }
    }
}

/// What a layer is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// An overlay's upper directory, or what stands for one.
    pub directory: PathBuf,
    /// What is gone beside what the directory itself says: paths without a slash at either end, in directories that it has.
    pub gone: BTreeSet<Vec<u8>>,
    /// Whose numbers owners are in it.
    pub owners: Owners,
}

impl Changes {
    /// A directory as it is.
    pub fn of(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            gone: BTreeSet::new(),
            owners: Owners::AsTheyAre,
        }
    }
}

/// Writes the layer of changes; sockets are left out, as an archive has no such thing.
pub fn write_layer(changes: &Changes, out: &mut dyn Write) -> Result<(), DiffError> {
    let upper = changes.directory.as_path();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = fs::open(upper, flags, Mode::empty())
        .map_err(|errno| DiffError::io("open", upper.as_os_str().as_encoded_bytes(), errno))?;
    let mut walk = Walk {
        writer: Writer::new(),
        out,
        links: HashMap::new(),
        changes,
        opaque: Privileges::own().opaque().as_bytes(),
    };
    walk.directory(&root, b"")?;
    walk.writer.finish();
    walk.give()?;
    Ok(())
}

/// Names and values.
type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

struct Walk<'a> {
    writer: Writer,
    out: &'a mut dyn Write,
    /// The first name of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    changes: &'a Changes,
    opaque: &'static [u8],
}

impl Walk<'_> {
    fn give(&mut self) -> io::Result<()> {
        let bytes = self.writer.output();
        self.out.write_all(bytes)?;
        bytes.clear();
        Ok(())
    }

    /// What is in a directory; its own entry is written by whoever calls.
    fn directory(&mut self, directory: &OwnedFd, path: &[u8]) -> Result<(), DiffError> {
        let mut names = Vec::new();
        let entries =
            Dir::read_from(directory).map_err(|errno| DiffError::io("list", path, errno))?;
        for entry in entries {
            let entry = entry.map_err(|errno| DiffError::io("list", path, errno))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        // Those of the directory itself, not of what is below it.
        let prefix = if path.is_empty() {
            Vec::new()
        } else {
            [path, b"/"].concat()
        };
        let gone = self.changes.gone.range(prefix.clone()..);
        let gone = gone.map_while(|gone| gone.strip_prefix(&prefix[..]));
        names.extend(
            gone.filter(|name| !name.contains(&b'/'))
                .map(<[u8]>::to_vec),
        );
        names.sort_unstable();
        let time = fs::fstat(directory)
            .map_err(|errno| DiffError::io("look at", path, errno))?
            .st_mtime;
        for name in names {
            let below = if path.is_empty() {
                name.clone()
            } else {
                [path, b"/", &name].concat()
            };
            match self.changes.gone.contains(&below) {
                true => self.whiteout(&below, time)?,
                false => self.one(directory.as_fd(), &name, &below)?,
            }
        }
        Ok(())
    }

    fn one(&mut self, parent: BorrowedFd, name: &[u8], path: &[u8]) -> Result<(), DiffError> {
        let io = |what| move |errno| DiffError::io(what, path, errno);
        // What is gone by now is as if it had gone before.
        let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(io("look at"))?,
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::CharacterDevice if stat.st_rdev == 0 => {
                return self.whiteout(path, stat.st_mtime);
            }
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            _ => return Ok(()),
        };
        let mut entry = Entry::new(kind.clone(), path, stat.st_mode & 0o7777);
        let owner = self.changes.owners.inside(stat.st_uid, stat.st_gid);
        let (uid, gid) = owner.ok_or_else(|| DiffError::Owner {
            path: shown(path),
            uid: stat.st_uid,
            gid: stat.st_gid,
        })?;
        (entry.uid, entry.gid) = (uid.into(), gid.into());
        entry.mtime = Time {
            seconds: stat.st_mtime,
            nanoseconds: u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        };
        if kind != Kind::Directory && stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                entry.kind = Kind::Hardlink;
                entry.link = first.clone();
                self.writer.entry(&entry);
                return Ok(self.give()?);
            }
            self.links.insert(key, path.to_vec());
        }
        let (xattrs, opaque) = self.attributes(parent, name, path)?;
        entry.xattrs = xattrs;
        match kind {
            Kind::Directory => {
                entry.path.push(b'/');
                self.writer.entry(&entry);
                self.give()?;
                if opaque {
                    let mark = [path, b"/.wh..wh..opq"].concat();
                    self.mark(&mark, stat.st_mtime)?;
                }
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match fs::openat(parent, name, flags, Mode::empty()) {
                    Err(Errno::NOENT) => Ok(()),
                    other => self.directory(&other.map_err(io("open"))?, path),
                }
            }
            Kind::File => self.file(parent, name, entry),
            Kind::Symlink => {
                let target =
                    fs::readlinkat(parent, name, Vec::new()).map_err(io("read the link"))?;
                entry.link = target.into_bytes();
                self.writer.entry(&entry);
                Ok(self.give()?)
            }
            _ => {
                if matches!(kind, Kind::CharDevice | Kind::BlockDevice) {
                    entry.device = (fs::major(stat.st_rdev), fs::minor(stat.st_rdev));
                }
                self.writer.entry(&entry);
                Ok(self.give()?)
            }
        }
    }

    fn file(&mut self, parent: BorrowedFd, name: &[u8], mut entry: Entry) -> Result<(), DiffError> {
        let path = entry.path.clone();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match fs::openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            other => other.map_err(|errno| DiffError::io("open", &path, errno))?,
        };
        let size = fs::fstat(&fd)
            .map_err(|errno| DiffError::io("look at", &path, errno))?
            .st_size;
        entry.size = u64::try_from(size).unwrap_or(0);
        self.writer.entry(&entry);
        self.give()?;
        let mut file = File::from(fd);
        let mut left = entry.size;
        let mut buffer = vec![0; 128 << 10];
        while left > 0 {
            let wanted = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let length = file.read(&mut buffer[..wanted])?;
            if length == 0 {
                return Err(DiffError::Changed { path: shown(&path) });
            }
            self.writer.data(&buffer[..length]);
            self.give()?;
            left -= length as u64;
        }
        Ok(())
    }

    fn whiteout(&mut self, path: &[u8], time: i64) -> Result<(), DiffError> {
        let (folder, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => path.split_at(slash + 1),
            None => (&b""[..], path),
        };
        self.mark(&[folder, b".wh.", name].concat(), time)
    }

    /// An empty file that means something by its name.
    fn mark(&mut self, path: &[u8], time: i64) -> Result<(), DiffError> {
        let mut entry = Entry::new(Kind::File, path, 0o600);
        entry.mtime.seconds = time;
        self.writer.entry(&entry);
        Ok(self.give()?)
    }

    /// A file's attributes without overlay's own, and whether those say opaque.
    fn attributes(
        &self,
        parent: BorrowedFd,
        name: &[u8],
        path: &[u8],
    ) -> Result<(Attributes, bool), DiffError> {
        let place = [
            format!("/proc/self/fd/{}/", parent.as_raw_fd()).as_bytes(),
            name,
        ]
        .concat();
        let mut names = vec![0u8; 64 << 10];
        let length = match fs::llistxattr(&place[..], &mut names[..]) {
            Err(Errno::OPNOTSUPP) => 0,
            other => other.map_err(|errno| DiffError::io("list the attributes of", path, errno))?,
        };
        names.truncate(length);
        let (mut found, mut opaque) = (Vec::new(), false);
        for name in names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty())
        {
            if name == self.opaque {
                opaque = true;
                continue;
            }
            if let Some(mark) = overlay_mark(name) {
                // What only helps overlay's own bookkeeping says nothing of the content.
                if matches!(mark, b"redirect" | b"metacopy") {
                    return Err(DiffError::Mark {
                        path: shown(path),
                        mark: shown(name),
                    });
                }
                continue;
            }
            if name == b"security.selinux" {
                continue;
            }
            let mut value = vec![0u8; 64 << 10];
            let length = fs::lgetxattr(&place[..], name, &mut value[..])
                .map_err(|errno| DiffError::io("read an attribute of", path, errno))?;
            value.truncate(length);
            found.push((name.to_vec(), value));
        }
        found.sort();
        Ok((found, opaque))
    }
}

impl DiffError {
    pub(crate) fn io(what: &'static str, path: &[u8], source: Errno) -> Self {
        Self::Io {
            what,
            path: shown(path),
            source,
        }
    }
}

fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}
