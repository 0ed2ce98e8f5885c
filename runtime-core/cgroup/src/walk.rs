//! Walking a cgroup and those below it. A container can nest them deeper than a path name may be long, so this goes from directory
//! to directory and holds one open at a time.
use crate::Error;
use crate::directory::DIRECTORY;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Dir, FileType, Mode, openat};
use rustix::io::Errno;
use std::ffi::CString;

/// Calls `visit` for the cgroup and then for each one below; an absent one, or one that goes away meanwhile, is passed over.
pub(crate) fn each(
    path: &str,
    mut visit: impl FnMut(BorrowedFd<'_>) -> Result<(), Errno>,
) -> Result<(), Error> {
    let fail = |errno| Error::io("read cgroup", path, errno);
    let mut here = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        Err(errno) => return Err(fail(errno)),
    };
    visit(here.as_fd()).map_err(fail)?;
    let mut levels = vec![children(&here)];
    while let Some(pending) = levels.last_mut() {
        match pending.pop() {
            Some(name) => match openat(&here, &name, DIRECTORY, Mode::empty()) {
                Ok(child) => {
                    here = child;
                    visit(here.as_fd()).map_err(fail)?;
                    levels.push(children(&here));
                }
                Err(Errno::NOENT | Errno::NODEV) => {}
                Err(errno) => return Err(fail(errno)),
            },
            None => {
                levels.pop();
                if !levels.is_empty() {
                    here = up(&here).map_err(fail)?;
                }
            }
        }
    }
    Ok(())
}

/// The directory above: cgroup directories can't be moved to another parent.
pub(crate) fn up(here: &OwnedFd) -> Result<OwnedFd, Errno> {
    openat(here, "..", DIRECTORY, Mode::empty())
}

/// Names of the cgroups directly below.
pub(crate) fn children(here: &OwnedFd) -> Vec<CString> {
    let Ok(entries) = Dir::read_from(here) else {
        return Vec::new();
    };
    let is_child = |entry: &rustix::fs::DirEntry| {
        entry.file_type() == FileType::Directory
            && !matches!(entry.file_name().to_bytes(), b"." | b"..")
    };
    entries
        .flatten()
        .filter(is_child)
        .map(|entry| entry.file_name().to_owned())
        .collect()
}
