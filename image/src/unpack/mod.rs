//! A layer's archive becomes files: each entry is made beneath the layer's directory as it comes.
//!
//! The directory must be empty and nobody else's; what a layer says of lower ones is written as overlay reads it.

mod error;
mod path;
mod remove;
mod tree;
pub(crate) mod whiteout;

pub use error::UnpackError;
pub(crate) use remove::remove_all;
pub(crate) use tree::{FILES, REPLACED};

use path::{Name, Path};
use rustix::fs::{self, AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use tare_tar::{Entry, Kind, Reader, Sink};
use tree::{Attributes, There, Tree};

/// What the files may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privileges {
    /// Owners, devices, `trusted.` attributes.
    Root,
    /// What root of a user namespace with a range of ids may: owners within it, and `user.` attributes. Devices are left out.
    Mapped,
    /// Nothing but modes, times and `user.` attributes: everything belongs to whoever unpacks. Devices are left out.
    Rootless,
}

impl Privileges {
    /// Of this process.
    pub fn own() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self::Rootless;
        }
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Self::of_root(&map)
    }

    /// Of a root whose user namespace has this map (user_namespaces(7)); without `/proc` it is taken for the host's.
    fn of_root(map: &str) -> Self {
        let mut sizes = map.lines().map(|line| line.split_whitespace().nth(2));
        match (sizes.next().flatten(), sizes.next()) {
            (None | Some("4294967295"), None) => Self::Root,
            (Some("1"), None) => Self::Rootless,
            _ => Self::Mapped,
        }
    }

    /// Whether overlay's marks are `user.` attributes: `trusted.` ones are the host's root's alone (xattr(7)).
    pub fn user_xattrs(self) -> bool {
        self != Self::Root
    }

    /// The attribute by which overlay hides what is below a directory.
    pub(crate) fn opaque(self) -> &'static str {
        match self.user_xattrs() {
            true => "user.overlay.opaque",
            false => "trusted.overlay.opaque",
        }
    }
}

/// What a layer may have at most; real images stay far below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of the archive, not compressed, and of the files with their holes.
    pub bytes: u64,
    /// How much more the archive may be than what came over the wire, once it is beyond a gibibyte.
    pub ratio: u64,
}

impl Default for Limits {
    /// Ten million entries, 1 TiB, 200 times.
    fn default() -> Self {
        Self {
            entries: 10_000_000,
            bytes: 1 << 40,
            ratio: 200,
        }
    }
}

/// What a layer turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Entries of the archive.
    pub entries: u64,
    /// Bytes of its files' contents, holes not counted.
    pub bytes: u64,
    /// Devices that were left out for want of rights.
    pub left_out: u64,
    /// Paths that the archive has more than once: what came first is kept in `replaced`, by its number here.
    pub replaced: Vec<Vec<u8>>,
}

/// Makes files of an archive that is pushed to it.
pub struct Unpacker<R> {
    reader: Reader,
    files: Files<R>,
}

/// Where the entries go; `R` takes the archive's framing, from which it can be put together again.
struct Files<R> {
    tree: Tree,
    limits: Limits,
    privileges: Privileges,
    totals: Totals,
    logical: u64,
    open: Open,
    record: R,
}

enum Open {
    Nothing,
    /// An entry whose content is not wanted.
    Skipped,
    File {
        fd: OwnedFd,
        path: Path,
        /// The length that its content alone does not give it.
        length: Option<u64>,
        attributes: Attributes,
    },
}

/// What overlay has marked by an attribute of this name; None: it is no mark of overlay's.
pub(crate) fn overlay_mark(name: &[u8]) -> Option<&[u8]> {
    let prefixes: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
    prefixes
        .iter()
        .find_map(|prefix| name.strip_prefix(*prefix))
}

/// Where an entry with content has its file, None: it has none.
pub(crate) fn file_path(name: &[u8]) -> Result<Option<Vec<u8>>, UnpackError> {
    Ok(match path::name(name)? {
        Name::Path(path) => Some(path.bytes().to_vec()),
        _ => None,
    })
}

impl<R: Write> Unpacker<R> {
    /// Into `fs` of an empty directory; `record` gets all bytes of the archive that are no file's content.
    pub fn new(
        directory: OwnedFd,
        privileges: Privileges,
        limits: Limits,
        record: R,
    ) -> Result<Self, UnpackError> {
        Ok(Self {
            reader: Reader::new(tare_tar::Limits::default()),
            files: Files {
                tree: Tree::new(directory, privileges)?,
                limits,
                privileges,
                totals: Totals::default(),
                logical: 0,
                open: Open::Nothing,
                record,
            },
        })
    }

    /// The next bytes of the archive.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        self.reader.push(bytes, &mut self.files)
    }

    /// The archive is complete. Nothing is synced.
    pub fn finish(mut self) -> Result<(Totals, R), UnpackError> {
        self.reader.finish()?;
        self.files.totals.replaced = self.files.tree.finish()?;
        Ok((self.files.totals, self.files.record))
    }
}

impl<R: Write> Sink for Files<R> {
    type Error = UnpackError;

    fn entry(&mut self, entry: Entry) -> Result<(), UnpackError> {
        self.count(&entry)?;
        self.open = Open::Skipped;
        match path::name(&entry.path)? {
            Name::Ignored => Ok(()),
            Name::Root => match entry.kind {
                Kind::Directory => self.tree.root_attributes(Attributes::of(entry)?),
                // It would take the layer's place (CVE-2021-29136).
                _ => Err(UnpackError::Name {
                    path: path::shown(&entry.path),
                    why: "it is the layer itself, which can only be a directory",
                }),
            },
            Name::Whiteout(path) => self.whiteout(&path),
            Name::Opaque(None) => Ok(()),
            Name::Opaque(Some(path)) => {
                let directory = self.tree.directory(path.bytes())?;
                self.tree.set_opaque(&*directory, path.bytes())
            }
            Name::Path(path) => self.make(path, entry),
        }
    }

    fn data(&mut self, offset: u64, bytes: &[u8]) -> Result<(), UnpackError> {
        let Open::File { fd, path, .. } = &self.open else {
            // A file with content can't be rebuilt if nobody has the content; whiteouts have none.
            return self.record.write_all(bytes).map_err(UnpackError::Record);
        };
        let (mut offset, mut bytes) = (offset, bytes);
        while !bytes.is_empty() {
            match rustix::io::pwrite(fd, bytes, offset) {
                Ok(0) => return Err(UnpackError::io("write", path.bytes(), Errno::IO)),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(UnpackError::io("write", path.bytes(), errno)),
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), UnpackError> {
        let Open::File {
            fd,
            path,
            length,
            attributes,
        } = std::mem::replace(&mut self.open, Open::Nothing)
        else {
            return Ok(());
        };
        let io = |errno| UnpackError::io("finish", path.bytes(), errno);
        if let Some(length) = length {
            fs::ftruncate(&fd, length).map_err(io)?;
        }
        self.tree.finish_file(&fd, &attributes).map_err(io)
    }

    fn framing(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        self.record.write_all(bytes).map_err(UnpackError::Record)
    }
}

impl<R> Files<R> {
    fn count(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        self.totals.entries += 1;
        self.totals.bytes = self.totals.bytes.saturating_add(entry.stored());
        self.logical = self.logical.saturating_add(entry.size);
        for (what, found, limit) in [
            ("entries", self.totals.entries, self.limits.entries),
            ("bytes in its files", self.logical, self.limits.bytes),
        ] {
            if found > limit {
                return Err(UnpackError::Limit { what, limit });
            }
        }
        Ok(())
    }

    fn make(&mut self, path: Path, entry: Entry) -> Result<(), UnpackError> {
        match entry.kind {
            Kind::Directory => self.tree.make_directory(&path, Attributes::of(entry)?),
            Kind::File => self.file(path, entry),
            Kind::Hardlink => self.hard_link(&path, &entry),
            Kind::Symlink | Kind::Fifo | Kind::CharDevice | Kind::BlockDevice => {
                self.other(&path, entry)
            }
        }
    }

    fn file(&mut self, path: Path, entry: Entry) -> Result<(), UnpackError> {
        let (parent, name) = self.tree.parent(&path)?;
        let io = |errno| UnpackError::io("make the file", path.bytes(), errno);
        let fd = match self
            .tree
            .create(parent.as_fd(), name, entry.mode)
            .map_err(io)?
        {
            Some(fd) => fd,
            None => {
                self.tree.remove(parent.as_fd(), &path).map_err(io)?;
                let made = self
                    .tree
                    .create(parent.as_fd(), name, entry.mode)
                    .map_err(io)?;
                made.ok_or_else(|| io(Errno::EXIST))?
            }
        };
        let length = entry.sparse.is_some().then_some(entry.size);
        self.open = Open::File {
            fd,
            path,
            length,
            attributes: Attributes::of(entry)?,
        };
        Ok(())
    }

    fn hard_link(&mut self, path: &Path, entry: &Entry) -> Result<(), UnpackError> {
        let wrong = |why: &str| UnpackError::Entry {
            path: path::shown(path.bytes()),
            why: why.to_owned(),
        };
        let target =
            path::clean(&entry.link)?.ok_or_else(|| wrong("a hard link to the layer itself"))?;
        if target == *path {
            return Err(wrong("a hard link to itself"));
        }
        let (target_parent, target_name) = self.tree.parent(&target)?;
        let (parent, name) = self.tree.parent(path)?;
        let io = |errno| UnpackError::io("link", path.bytes(), errno);
        let link = || fs::linkat(&target_parent, target_name, &parent, name, AtFlags::empty());
        match link() {
            Ok(()) => {}
            Err(Errno::NOENT) => {
                return Err(wrong(&format!(
                    "a hard link to {:?}, which the layer does not have before it",
                    path::shown(target.bytes())
                )));
            }
            Err(Errno::PERM) => {
                return Err(wrong(
                    "a hard link to a directory, or to a file that may not be linked",
                ));
            }
            Err(Errno::EXIST) => {
                let inode = |directory, name| {
                    fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| stat.st_ino)
                };
                let same = inode(target_parent.as_fd(), target_name).map_err(io)?
                    == inode(parent.as_fd(), name).map_err(io)?;
                if same {
                    return Ok(());
                }
                self.tree.remove(parent.as_fd(), path).map_err(io)?;
                link().map_err(io)?;
            }
            Err(errno) => return Err(io(errno)),
        }
        self.tree.linked(path);
        Ok(())
    }

    fn other(&mut self, path: &Path, entry: Entry) -> Result<(), UnpackError> {
        let (parent, name) = self.tree.parent(path)?;
        let io = |errno| UnpackError::io("make", path.bytes(), errno);
        let make = || match entry.kind {
            Kind::Symlink => fs::symlinkat(&entry.link[..], &parent, name),
            _ => {
                let kind = match entry.kind {
                    Kind::Fifo => FileType::Fifo,
                    Kind::CharDevice => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                let device = fs::makedev(entry.device.0, entry.device.1);
                fs::mknodat(
                    &parent,
                    name,
                    kind,
                    Mode::from_raw_mode(entry.mode & 0o777),
                    device,
                )
            }
        };
        let outcome = match make() {
            Err(Errno::EXIST) => {
                self.tree.remove(parent.as_fd(), path).map_err(io)?;
                make()
            }
            other => other,
        };
        match outcome {
            Ok(()) => {}
            Err(Errno::PERM) if self.privileges != Privileges::Root => {
                self.totals.left_out += 1;
                return Ok(());
            }
            Err(errno) => return Err(io(errno)),
        }
        let link = entry.kind == Kind::Symlink;
        let attributes = Attributes::of(entry)?;
        self.tree
            .finish_other(parent.as_fd(), name, link, &attributes)
            .map_err(io)
    }

    /// Hides what lower layers have by a name; what this layer has by it stays, as whiteouts speak of lower layers only.
    fn whiteout(&mut self, path: &Path) -> Result<(), UnpackError> {
        let (parent, name) = self.tree.parent(path)?;
        let io = |errno| UnpackError::io("hide", path.bytes(), errno);
        match self.tree.there(parent.as_fd(), name).map_err(io)? {
            There::Nothing => whiteout::make(&parent, name).map_err(io),
            There::Directory => {
                let directory = self.tree.directory(path.bytes())?;
                self.tree.set_opaque(&*directory, path.bytes())
            }
            There::Whiteout | There::Other => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Privileges;

    #[test]
    fn privileges_of_roots() {
        let check = |map, expect| assert_eq!(Privileges::of_root(map), expect, "{map:?}");
        check("", Privileges::Root);
        check("         0          0 4294967295\n", Privileges::Root);
        check("         0       1000          1\n", Privileges::Rootless);
        check(
            "         0       1000          1\n         1     100000      65536\n",
            Privileges::Mapped,
        );
        check("         0     100000      65536\n", Privileges::Mapped);
    }
}
