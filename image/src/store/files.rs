//! Small files: made whole by a rename, named at random, locked.

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Writes a file beside its place and renames it there. Not synced: a reader takes what is no whole document for absent.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = path.with_file_name(format!(".{}", random()));
    let write = || {
        let mut options = fs::File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(content)?;
        fs::rename(&temporary, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// A directory with all above it, for its owner alone.
pub(super) fn make_all(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Opens a file, which is made where it is missing, and waits for its lock.
pub(super) fn lock(path: &Path, operation: FlockOperation) -> io::Result<OwnedFd> {
    loop {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
        let fd = open(path, flags, Mode::RUSR | Mode::WUSR)?;
        loop {
            match flock(&fd, operation) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?,
            }
        }
        // It may have been taken away while we waited: then the lock is of no file that others would find.
        let held = rustix::fs::fstat(&fd)?;
        match rustix::fs::stat(path) {
            Ok(found) if (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino) => {
                return Ok(fd);
            }
            _ => {}
        }
    }
}

/// A name that nobody else has.
pub(super) fn random() -> String {
    let mut bytes = [0u8; 8];
    let got = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    if got != Ok(8) {
        let time = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
        bytes = (time.as_nanos() as u64 ^ u64::from(std::process::id()) << 32).to_ne_bytes();
    }
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

/// The names in a directory, sorted; nothing where there is none.
pub(super) fn names(path: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        // Others' names are not ours to speak of.
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Removes a file or a directory with all in it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = open(parent, flags, Mode::empty())?;
    let name = std::os::unix::ffi::OsStrExt::as_bytes(name);
    Ok(crate::unpack::remove_all(
        std::os::fd::AsFd::as_fd(&parent),
        name,
        0,
    )?)
}
