//! Removing cgroups: children first, with a bounded retry, since a cgroup stays busy for a moment after its last process died.
use crate::Error;
use crate::directory::Directory;
use rustix::fs::Dir;
use rustix::io::Errno;
use std::time::Duration;

/// 1 + 2 + 4 ... 512 ms: about a second in all.
const TRIES: u32 = 11;

/// Removes one directory; an absent one is fine.
pub(crate) fn one(path: &str) -> Result<(), Error> {
    let mut wait = Duration::from_millis(1);
    for attempt in 1..=TRIES {
        match rustix::fs::rmdir(path) {
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            Err(Errno::BUSY | Errno::AGAIN) if attempt < TRIES => {
                std::thread::sleep(wait);
                wait *= 2;
            }
            Err(errno) => {
                let hint = if errno == Errno::BUSY {
                    "; processes or cgroups are still in it"
                } else {
                    ""
                };
                return Err(Error::Io {
                    what: "remove cgroup",
                    path: path.to_string(),
                    errno,
                    hint: hint.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Removes a cgroup and the cgroups that were made inside.
pub(crate) fn tree(path: &str) -> Result<(), Error> {
    match rustix::fs::rmdir(path) {
        Ok(()) | Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        // Busy with children or with a process that is about to go: look.
        Err(_) => {}
    }
    for child in children(path) {
        tree(&child)?;
    }
    one(path)
}

/// Paths of the direct children.
pub(crate) fn children(path: &str) -> Vec<String> {
    let Ok(directory) = Directory::open(path) else {
        return Vec::new();
    };
    let Ok(entries) = Dir::read_from(directory.fd()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy();
        if entry.file_type() == rustix::fs::FileType::Directory && name != "." && name != ".." {
            found.push(format!("{path}/{name}"));
        }
    }
    found
}
