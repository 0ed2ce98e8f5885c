//! What a copy of layers has become, as the upper directory that overlay would have: so that it can be a layer all the same.
//!
//! A file counts as unchanged if type, mode, owner, size, time, device, link and attributes are; nothing is read.

use super::CopyError;
use super::view::{DIRECTORY, at, open, shown, together};
use crate::diff::Changes;
use crate::unpack::{Privileges, overlay_mark, whiteout};
use rustix::fs::{self, AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Writes the differences between a copy and its layers, from the uppermost to the lowest, into an empty directory of the copy's file
/// system. Files are linked there, not copied; nobody may change the copy meanwhile.
///
/// What is gone is told, not marked: overlay, which is the most common reason for a copy, lets nobody make a whiteout on it.
pub fn changes_of_copy(
    copy: &Path,
    lower: &[PathBuf],
    target: &Path,
) -> Result<Changes, CopyError> {
    let layers: Result<Vec<OwnedFd>, CopyError> = lower.iter().map(|path| open(path)).collect();
    let mut comparing = Comparing {
        privileges: Privileges::own(),
        gone: BTreeSet::new(),
    };
    comparing.directory(&layers?, &open(copy)?, &open(target)?, b"")?;
    Ok(Changes {
        gone: comparing.gone,
        ..Changes::of(target)
    })
}

struct Comparing {
    privileges: Privileges,
    gone: BTreeSet<Vec<u8>>,
}

impl Comparing {
    /// Whether anything is different within a directory.
    fn directory(
        &mut self,
        layers: &[OwnedFd],
        copy: &OwnedFd,
        target: &OwnedFd,
        path: &[u8],
    ) -> Result<bool, CopyError> {
        let before = shown(layers, path)?;
        let now = shown(std::slice::from_ref(copy), path)?;
        let mut changed = false;
        for name in now.keys() {
            let full = [path, b"/", name].concat();
            let stat = look(copy, name, &full)?;
            let below = match before.get(name) {
                Some(number) => {
                    let stat = look(&layers[*number], name, &full)?;
                    (!whiteout::is_one(&layers[*number], name, &stat)).then_some((*number, stat))
                }
                None => None,
            };
            changed |= match below {
                Some((number, old)) if is_directory(&stat) && is_directory(&old) => {
                    let below = together(self.privileges, &layers[number..], name, &full)?;
                    let same = self.same(&stat, &old, copy, &layers[number], name, &full)?;
                    self.subdirectory(&below, copy, target, name, &stat, same, &full)?
                }
                Some((number, old))
                    if self.same(&stat, &old, copy, &layers[number], name, &full)? =>
                {
                    false
                }
                _ if is_directory(&stat) => {
                    self.subdirectory(&[], copy, target, name, &stat, false, &full)?
                }
                _ => {
                    fs::linkat(copy, &name[..], target, &name[..], AtFlags::empty())
                        .map_err(at("link", &full))?;
                    true
                }
            };
        }
        for (name, number) in &before {
            let full = [path, b"/", name].concat();
            if now.contains_key(name) {
                continue;
            }
            let stat = look(&layers[*number], name, &full)?;
            if whiteout::is_one(&layers[*number], name, &stat) {
                continue;
            }
            self.gone.insert(full[1..].to_vec());
            changed = true;
        }
        Ok(changed)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "a step of one walk over three trees"
    )]
    fn subdirectory(
        &mut self,
        layers: &[OwnedFd],
        copy: &OwnedFd,
        target: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        same: bool,
        full: &[u8],
    ) -> Result<bool, CopyError> {
        let enter = |parent: &OwnedFd| {
            fs::openat(parent, name, DIRECTORY, Mode::empty()).map_err(at("open", full))
        };
        let from = enter(copy)?;
        fs::mkdirat(target, name, Mode::RWXU).map_err(at("make", full))?;
        let to = enter(target)?;
        let changed = self.directory(layers, &from, &to, full)?;
        if same && !changed {
            fs::unlinkat(target, name, AtFlags::REMOVEDIR).map_err(at("remove", full))?;
            return Ok(false);
        }
        if self.privileges != Privileges::Rootless {
            let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
            fs::fchown(&to, Some(uid), Some(gid)).map_err(at("set the owner of", full))?;
        }
        for (name, value) in attributes(copy, name, full)? {
            fs::fsetxattr(&to, &name[..], &value, XattrFlags::empty())
                .map_err(at("set an attribute of", full))?;
        }
        fs::fchmod(&to, Mode::from_raw_mode(stat.st_mode & 0o7777))
            .map_err(at("set the mode of", full))?;
        let time = Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        fs::futimens(&to, &times).map_err(at("set the times of", full))?;
        Ok(true)
    }

    fn same(
        &self,
        now: &Stat,
        before: &Stat,
        copy: &OwnedFd,
        layer: &OwnedFd,
        name: &[u8],
        full: &[u8],
    ) -> Result<bool, CopyError> {
        let size = |stat: &Stat| if is_directory(stat) { 0 } else { stat.st_size };
        let facts = |stat: &Stat| {
            (
                (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev),
                (size(stat), stat.st_mtime, stat.st_mtime_nsec),
            )
        };
        if facts(now) != facts(before) {
            return Ok(false);
        }
        if FileType::from_raw_mode(now.st_mode) == FileType::Symlink {
            let read = |parent: &OwnedFd| {
                fs::readlinkat(parent, name, Vec::new()).map_err(at("read the link", full))
            };
            return Ok(read(copy)? == read(layer)?);
        }
        Ok(attributes(copy, name, full)? == attributes(layer, name, full)?)
    }
}

fn look(parent: &OwnedFd, name: &[u8], full: &[u8]) -> Result<Stat, CopyError> {
    fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(at("look at", full))
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Without overlay's own and the host's labels, which are not the container's.
fn attributes(parent: &OwnedFd, name: &[u8], full: &[u8]) -> Result<Attributes, CopyError> {
    let folder = format!("/proc/self/fd/{}/", parent.as_raw_fd());
    let place = [folder.as_bytes(), name].concat();
    let mut names = vec![0u8; 64 << 10];
    let length = match fs::llistxattr(&place[..], &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        other => other.map_err(at("list the attributes of", full))?,
    };
    names.truncate(length);
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0) {
        if name.is_empty() || overlay_mark(name).is_some() || name == b"security.selinux" {
            continue;
        }
        let mut value = vec![0u8; 64 << 10];
        let length = fs::lgetxattr(&place[..], name, &mut value[..])
            .map_err(at("read an attribute of", full))?;
        value.truncate(length);
        found.push((name.to_vec(), value));
    }
    found.sort();
    Ok(found)
}
