//! Removing cgroups: children first, with a bounded retry, since a cgroup stays busy for a moment after its last process died.
use crate::directory::DIRECTORY;
use crate::{Error, walk};
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, unlinkat};
use rustix::io::Errno;
use std::time::Duration;

/// 1 + 2 + 4 ... 512 ms: about a second in all.
const TRIES: u32 = 11;

/// Removes one directory; an absent one is fine.
pub(crate) fn one(path: &str) -> Result<(), Error> {
    patiently(CWD, path).map_err(|errno| busy(path, errno))
}

/// Removes a cgroup and the cgroups that were made inside.
pub(crate) fn tree(path: &str) -> Result<(), Error> {
    // Most have none; one that is busy has some, or a process that is about to go.
    if let Ok(()) | Err(Errno::NOENT | Errno::NODEV) = rustix::fs::rmdir(path) {
        return Ok(());
    }
    below(path).map_err(|errno| busy(path, errno))?;
    one(path)
}

fn below(path: &str) -> Result<(), Errno> {
    let mut here = match rustix::fs::open(path, DIRECTORY, Mode::empty()) {
        Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
        other => other?,
    };
    let mut names = Vec::new();
    loop {
        // Down into the first child that has to be emptied before it can go.
        let stays = |name: &std::ffi::CString| unlinkat(&here, name, AtFlags::REMOVEDIR).is_err();
        match walk::children(&here).into_iter().find(stays) {
            Some(name) => match rustix::fs::openat(&here, &name, DIRECTORY, Mode::empty()) {
                Ok(child) => {
                    here = child;
                    names.push(name);
                }
                Err(Errno::NOENT | Errno::NODEV) => {}
                Err(errno) => return Err(errno),
            },
            None => {
                let Some(name) = names.pop() else {
                    return Ok(());
                };
                here = walk::up(&here)?;
                patiently(here.as_fd(), &name)?;
            }
        }
    }
}

fn patiently(
    parent: rustix::fd::BorrowedFd<'_>,
    name: impl rustix::path::Arg + Copy,
) -> Result<(), Errno> {
    let mut wait = Duration::from_millis(1);
    for attempt in 1..=TRIES {
        match unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT | Errno::NODEV) => return Ok(()),
            Err(Errno::BUSY | Errno::AGAIN) if attempt < TRIES => {
                std::thread::sleep(wait);
                wait *= 2;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn busy(path: &str, errno: Errno) -> Error {
    let hint = if errno == Errno::BUSY {
        "; processes or cgroups are still in it"
    } else {
        ""
    };
    Error::Io {
        what: "remove cgroup",
        path: path.to_string(),
        errno,
        hint: hint.to_string(),
    }
}
