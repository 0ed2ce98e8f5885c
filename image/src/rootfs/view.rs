//! What layers show together, read without overlay.

use super::CopyError;
use crate::unpack::Privileges;
use rustix::fs::{self, Dir, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(super) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// An error of a path in the root.
pub(super) fn at(what: &'static str, path: &[u8]) -> impl Fn(Errno) -> CopyError + use<> {
    let path = String::from_utf8_lossy(path).into_owned();
    move |source| CopyError {
        what,
        path: path.clone(),
        source,
    }
}

pub(super) fn open(path: &Path) -> Result<OwnedFd, CopyError> {
    fs::open(path, DIRECTORY, Mode::empty())
        .map_err(at("open", path.as_os_str().as_encoded_bytes()))
}

/// The names in the directories of one path, and which of them has each first: files, directories and whiteouts.
pub(super) fn shown(
    sources: &[OwnedFd],
    path: &[u8],
) -> Result<BTreeMap<Vec<u8>, usize>, CopyError> {
    let mut shown = BTreeMap::new();
    for (number, source) in sources.iter().enumerate() {
        for entry in Dir::read_from(source).map_err(at("list", path))? {
            let name = entry
                .map_err(at("list", path))?
                .file_name()
                .to_bytes()
                .to_vec();
            if !matches!(&name[..], b"." | b"..") {
                shown.entry(name).or_insert(number);
            }
        }
    }
    Ok(shown)
}

/// The directories of a name that are shown as one: until something hides those below.
pub(super) fn together(
    privileges: Privileges,
    sources: &[OwnedFd],
    name: &[u8],
    full: &[u8],
) -> Result<Vec<OwnedFd>, CopyError> {
    let mut found = Vec::new();
    for source in sources {
        let fd = match fs::openat(source, name, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => continue,
            Err(Errno::NOTDIR | Errno::LOOP) => break,
            other => other.map_err(at("open", full))?,
        };
        let mut value = [0u8; 1];
        let opaque =
            fs::fgetxattr(&fd, privileges.opaque(), &mut value[..]).is_ok_and(|_| value == *b"y");
        found.push(fd);
        if opaque {
            break;
        }
    }
    Ok(found)
}
