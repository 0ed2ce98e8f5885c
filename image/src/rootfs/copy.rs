//! A root as a copy of its layers, for where overlay can't be used. It takes as long as writing them, and as much room; file systems
//! that share blocks (btrfs, XFS) share them here too.

use super::view::{DIRECTORY, at, open, shown, together};
use crate::unpack::{Privileges, overlay_mark, whiteout};
use rustix::fs::{
    self, AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a root could not be copied.
#[derive(Debug, Error)]
#[error("copy the container's root: {what} {path:?}")]
pub struct CopyError {
    /// What was tried.
    pub what: &'static str,
    /// The file, in the root.
    pub path: String,
    /// The kernel's answer.
    pub source: Errno,
}

/// Copies what layers show together, from the uppermost to the lowest, into an empty directory.
pub fn copy_to(lower: &[PathBuf], target: &Path) -> Result<(), CopyError> {
    let layers: Result<Vec<OwnedFd>, CopyError> = lower.iter().map(|path| open(path)).collect();
    let layers = layers?;
    let target = open(target)?;
    let mut copy = Copy {
        privileges: Privileges::own(),
        links: HashMap::new(),
        root: target.try_clone().map_err(|_| CopyError {
            what: "open",
            path: "/".to_owned(),
            source: Errno::MFILE,
        })?,
    };
    let Some(uppermost) = layers.first() else {
        return Ok(());
    };
    let stat = fs::fstat(uppermost).map_err(at("look at", b"/"))?;
    let kept = uppermost
        .try_clone()
        .map_err(|_| at("open", b"/")(Errno::MFILE))?;
    copy.directory(layers, &target, b"")?;
    copy.attributes(&kept, &target, &stat, b"/")
}

struct Copy {
    privileges: Privileges,
    /// The first name of each file that has several, by its layer's device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    root: OwnedFd,
}

impl Copy {
    /// What the directories of one path show together; the uppermost is the first.
    fn directory(
        &mut self,
        sources: Vec<OwnedFd>,
        target: &OwnedFd,
        path: &[u8],
    ) -> Result<(), CopyError> {
        let shown = shown(&sources, path)?;
        for (name, number) in shown {
            let full = [path, b"/", &name].concat();
            let source = &sources[number];
            let stat = fs::statat(source, &name[..], AtFlags::SYMLINK_NOFOLLOW)
                .map_err(at("look at", &full))?;
            match FileType::from_raw_mode(stat.st_mode) {
                _ if whiteout::is_one(source, &name, &stat) => {}
                FileType::Directory => {
                    let below = together(self.privileges, &sources[number..], &name, &full)?;
                    let Some(uppermost) = below.first() else {
                        continue;
                    };
                    let kept = uppermost
                        .try_clone()
                        .map_err(|_| at("open", &full)(Errno::MFILE))?;
                    fs::mkdirat(target, &name[..], Mode::RWXU).map_err(at("make", &full))?;
                    let made = fs::openat(target, &name[..], DIRECTORY, Mode::empty())
                        .map_err(at("open", &full))?;
                    self.directory(below, &made, &full)?;
                    self.attributes(&kept, &made, &stat, &full)?;
                }
                _ => self.file(source, target, &name, &stat, &full)?,
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        source: &OwnedFd,
        target: &OwnedFd,
        name: &[u8],
        stat: &fs::Stat,
        full: &[u8],
    ) -> Result<(), CopyError> {
        if stat.st_nlink > 1 {
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&key) {
                return fs::linkat(&self.root, &first[1..], target, name, AtFlags::empty())
                    .map_err(at("link", full));
            }
            self.links.insert(key, full.to_vec());
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let from =
                    fs::openat(source, name, flags, Mode::empty()).map_err(at("open", full))?;
                let flags = OFlags::WRONLY
                    | OFlags::CREATE
                    | OFlags::EXCL
                    | OFlags::NOFOLLOW
                    | OFlags::CLOEXEC;
                let to = fs::openat(target, name, flags, Mode::RUSR | Mode::WUSR)
                    .map_err(at("make", full))?;
                content(&from, &to, stat.st_size.unsigned_abs()).map_err(at("copy", full))?;
                self.attributes(&from, &to, stat, full)
            }
            FileType::Symlink => {
                let to =
                    fs::readlinkat(source, name, Vec::new()).map_err(at("read the link", full))?;
                fs::symlinkat(&to, target, name).map_err(at("make", full))?;
                self.of_name(target, name, stat, full)
            }
            kind => {
                let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
                match fs::mknodat(target, name, kind, mode, stat.st_rdev) {
                    Err(Errno::PERM) if self.privileges != Privileges::Root => return Ok(()),
                    other => other.map_err(at("make", full))?,
                }
                self.of_name(target, name, stat, full)?;
                fs::chmodat(target, name, mode, AtFlags::empty())
                    .map_err(at("set the mode of", full))
            }
        }
    }

    /// Owner, mode, attributes and times of what is open; in this order, as each may undo the one before it.
    fn attributes(
        &self,
        from: &OwnedFd,
        to: &OwnedFd,
        stat: &fs::Stat,
        full: &[u8],
    ) -> Result<(), CopyError> {
        if self.privileges != Privileges::Rootless {
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            fs::fchown(to, Some(uid), Some(gid)).map_err(at("set the owner of", full))?;
        }
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        fs::fchmod(to, mode).map_err(at("set the mode of", full))?;
        let mut names = vec![0u8; 64 << 10];
        let length = match fs::flistxattr(from, &mut names[..]) {
            Err(Errno::OPNOTSUPP) => 0,
            other => other.map_err(at("list the attributes of", full))?,
        };
        names.truncate(length);
        let wanted = names
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty() && overlay_mark(name).is_none());
        for name in wanted {
            let mut value = vec![0u8; 64 << 10];
            let length = fs::fgetxattr(from, name, &mut value[..])
                .map_err(at("read an attribute of", full))?;
            match fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
                // As when layers are unpacked: a file system that has no such attribute loses it.
                Ok(()) | Err(Errno::OPNOTSUPP) => {}
                Err(Errno::PERM) if self.privileges != Privileges::Root => {}
                Err(errno) => return Err(at("set an attribute of", full)(errno)),
            }
        }
        fs::futimens(to, &times(stat)).map_err(at("set the times of", full))
    }

    fn of_name(
        &self,
        target: &OwnedFd,
        name: &[u8],
        stat: &fs::Stat,
        full: &[u8],
    ) -> Result<(), CopyError> {
        if self.privileges != Privileges::Rootless {
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            fs::chownat(
                target,
                name,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(at("set the owner of", full))?;
        }
        fs::utimensat(target, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(at("set the times of", full))
    }
}

fn times(stat: &fs::Stat) -> Timestamps {
    let time = Timespec {
        tv_sec: stat.st_mtime,
        tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// The data of a file, its holes left out.
fn content(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<(), Errno> {
    // The whole of it at once, where the file system can share blocks.
    if size > 0 && fs::ioctl_ficlone(to.as_fd(), from.as_fd()).is_ok() {
        return Ok(());
    }
    let mut position = 0;
    while position < size {
        let data = match fs::seek(from, SeekFrom::Data(position)) {
            // Nothing but a hole to the end.
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => position,
            other => other?,
        };
        let end = match fs::seek(from, SeekFrom::Hole(data)) {
            Err(Errno::INVAL) => size,
            other => other?,
        };
        piece(from, to, data, end.min(size))?;
        position = end;
    }
    fs::ftruncate(to, size)
}

fn piece(from: &OwnedFd, to: &OwnedFd, mut position: u64, end: u64) -> Result<(), Errno> {
    let mut buffer = Vec::new();
    while position < end {
        let length = usize::try_from(end - position).unwrap_or(usize::MAX);
        let (mut read_at, mut write_at) = (position, position);
        let copied =
            match fs::copy_file_range(from, Some(&mut read_at), to, Some(&mut write_at), length) {
                Err(Errno::INTR) => continue,
                Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    buffer.resize(1 << 20, 0);
                    let wanted = length.min(buffer.len());
                    let read = rustix::io::pread(from, &mut buffer[..wanted], position)?;
                    rustix::io::pwrite(to, &buffer[..read], position)?
                }
                other => other?,
            };
        if copied == 0 {
            // It has become shorter.
            return Err(Errno::IO);
        }
        position += copied as u64;
    }
    Ok(())
}
