//! What an overlay's upper directory changes of the layers below, as `docker diff` lists it.

use crate::diff::{Changes, DiffError};
use crate::unpack::{Privileges, whiteout};
use rustix::fs::{self, AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was there, and something of it is different, or something in it.
    Changed,
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
}

/// The changes in the order of their paths, which begin with `/`; layers from the uppermost to the lowest.
pub fn changes(upper: &Changes, lower: &[PathBuf]) -> Result<Vec<(Change, Vec<u8>)>, DiffError> {
    let open = |path: &Path| {
        fs::open(path, DIRECTORY, Mode::empty())
            .map_err(|errno| DiffError::io("open", path.as_os_str().as_encoded_bytes(), errno))
    };
    let below: Result<Vec<OwnedFd>, DiffError> = lower.iter().map(|path| open(path)).collect();
    let mut comparing = Comparing {
        opaque: Privileges::own().opaque(),
        below: below?,
        found: Vec::new(),
    };
    comparing.directory(&open(&upper.directory)?, b"")?;
    let gone = upper.gone.iter().map(|path| [b"/", &path[..]].concat());
    comparing
        .found
        .extend(gone.map(|path| (Change::Deleted, path)));
    comparing.found.sort_by(|one, other| one.1.cmp(&other.1));
    Ok(comparing.found)
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

struct Comparing {
    opaque: &'static str,
    below: Vec<OwnedFd>,
    found: Vec<(Change, Vec<u8>)>,
}

/// What a layer says of a path.
enum Says {
    Nothing,
    /// Neither it nor a lower layer shows anything.
    Gone,
    There {
        directory: bool,
    },
}

impl Comparing {
    fn directory(&mut self, directory: &OwnedFd, path: &[u8]) -> Result<(), DiffError> {
        for name in names(directory).map_err(|errno| DiffError::io("list", path, errno))? {
            let full = [path, b"/", &name].concat();
            let io = |what| {
                let full = full.clone();
                move |errno| DiffError::io(what, &full, errno)
            };
            // What is gone by now is as if it had gone before.
            let stat = match fs::statat(directory, &name[..], AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other.map_err(io("look at"))?,
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            let before = self.before(&full).map_err(io("look for"))?;
            if kind == FileType::CharacterDevice && stat.st_rdev == 0 {
                if before.is_some() {
                    self.found.push((Change::Deleted, full));
                }
                continue;
            }
            let change = if before.is_some() {
                Change::Changed
            } else {
                Change::Added
            };
            self.found.push((change, full.clone()));
            if kind == FileType::Directory {
                let below = fs::openat(directory, &name[..], DIRECTORY, Mode::empty())
                    .map_err(io("open"))?;
                if before == Some(true) && self.is_opaque(&below) {
                    self.hidden(&below, &full).map_err(io("list"))?;
                }
                self.directory(&below, &full)?;
            }
        }
        Ok(())
    }

    /// What the layers show by a path: whether it is a directory; None: nothing.
    fn before(&self, path: &[u8]) -> Result<Option<bool>, Errno> {
        for layer in &self.below {
            match self.says(layer, path)? {
                Says::Nothing => {}
                Says::Gone => return Ok(None),
                Says::There { directory } => return Ok(Some(directory)),
            }
        }
        Ok(None)
    }

    fn says(&self, layer: &OwnedFd, path: &[u8]) -> Result<Says, Errno> {
        let open = |path: &[u8]| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            fs::openat2(layer, path, flags, Mode::empty(), resolve)
        };
        // Whatever stands above it in this layer decides first.
        let relative = &path[1..];
        let ends = relative
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte == b'/')
            .map(|(at, _)| at)
            .chain([relative.len()]);
        let mut gone = false;
        for end in ends {
            let last = end == relative.len();
            let fd = match open(&relative[..end]) {
                Err(Errno::NOENT | Errno::NOTDIR) => break,
                other => other?,
            };
            let stat = fs::fstat(&fd)?;
            match FileType::from_raw_mode(stat.st_mode) {
                _ if whiteout::is_one(layer, &relative[..end], &stat) => return Ok(Says::Gone),
                FileType::Directory if last => return Ok(Says::There { directory: true }),
                FileType::Directory => {
                    let readable = fs::openat(&fd, ".", DIRECTORY, Mode::empty())?;
                    gone |= self.is_opaque(&readable);
                }
                _ if last => return Ok(Says::There { directory: false }),
                _ => return Ok(Says::Gone),
            }
        }
        Ok(if gone { Says::Gone } else { Says::Nothing })
    }

    fn is_opaque(&self, directory: &OwnedFd) -> bool {
        let mut value = [0u8; 1];
        fs::fgetxattr(directory, self.opaque, &mut value[..]).is_ok_and(|_| value == *b"y")
    }

    /// What the layers have in a directory that no longer shows it.
    fn hidden(&mut self, upper: &OwnedFd, path: &[u8]) -> Result<(), Errno> {
        let own: BTreeSet<Vec<u8>> = names(upper)?.into_iter().collect();
        let mut candidates = BTreeSet::new();
        for layer in &self.below {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match fs::openat2(layer, &path[1..], DIRECTORY, Mode::empty(), resolve) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                other => candidates.extend(names(&other?)?),
            }
        }
        for name in candidates.difference(&own) {
            let full = [path, b"/", name].concat();
            if self.before(&full)?.is_some() {
                self.found.push((Change::Deleted, full));
            }
        }
        Ok(())
    }
}

fn names(directory: &impl AsFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if !matches!(&name[..], b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}
