//! A directory with all that is in it, taken away.

use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};

/// Removes a name with all beneath it; never follows a link.
pub(crate) fn remove_all(parent: BorrowedFd, name: &[u8], depth: usize) -> Result<(), Errno> {
    match fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    // Deeper than any name that was let in.
    if depth > 2048 {
        return Err(Errno::NAMETOOLONG);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match fs::openat(parent, name, flags, Mode::empty()) {
        // Somebody else takes it away too.
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ACCESS) => {
            fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            fs::openat(parent, name, flags, Mode::empty())?
        }
        other => other?,
    };
    let mut names = Vec::new();
    for entry in fs::Dir::read_from(&directory)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            names.push(name.to_vec());
        }
    }
    for name in names {
        match remove_all(directory.as_fd(), &name, depth + 1) {
            Err(Errno::ACCESS) => {
                fs::fchmod(&directory, Mode::RWXU)?;
                remove_all(directory.as_fd(), &name, depth + 1)?;
            }
            other => other?,
        }
    }
    match fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}
