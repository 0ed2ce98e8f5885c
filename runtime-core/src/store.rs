//! The state directory: `ROOT/ID/`, reached by directory fds, claimed by mkdir, locked by flock, removed last.
//!
//! | file | what |
//! |---|---|
//! | `state.json` | [`Record`], put in place by rename |
//! | `config.json` | the bundle's configuration as `create` read it |
//! | `init` | symbolic link to `PID:START` of the first process, for `delete --force` after a killed `create` |
//! | `exec.fifo`, `result.fifo` | while the container waits for `start` |
//! | `notify/` | the container's notify socket |
use crate::error::Error;
use crate::state::Record;
use rustix::fs::{AtFlags, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

mod root;

pub(crate) use root::{STATE_ROOT, StateRoot};

const STATE_FILE: &str = "state.json";
const CONFIG_FILE: &str = "config.json";
const INIT_LINK: &str = "init";
/// The fifo that a created container waits on.
pub(crate) const EXEC_FIFO: &str = "exec.fifo";
/// The fifo that tells how the program's execution went.
pub(crate) const RESULT_FIFO: &str = "result.fifo";
/// A state file larger than this is not ours.
const STATE_FILE_MAX: u64 = 64 << 20;
/// The longest name that a directory entry can have.
const ID_MAX: usize = 1024;

/// Refuses what can't be a container's id.
pub fn check_id(id: &str) -> Result<(), Error> {
    let why = if id.is_empty() {
        "is empty"
    } else if id == "." || id == ".." {
        "is a directory's own name"
    } else if id.len() > ID_MAX {
        "is longer than 1024 characters"
    } else if !id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte))
    {
        "has a character other than letters, digits, '_', '+', '-' and '.'"
    } else {
        return Ok(());
    };
    Err(Error::InvalidId {
        id: id.chars().take(64).collect(),
        why,
    })
}

/// A lock on one container, held until dropped. Released by the kernel when its holder dies.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing it releases the lock")] OwnedFd);

/// The directory of one container.
#[derive(Debug)]
pub(crate) struct StateDir {
    root: OwnedFd,
    fd: OwnedFd,
    id: String,
    path: PathBuf,
}

impl StateDir {
    /// The container's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The directory's path, for messages and for files that others open by path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The directory.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let fd = self.lock_fd()?;
        loop {
            match rustix::fs::flock(&fd, FlockOperation::LockExclusive) {
                Ok(()) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::path("lock", &self.path, errno)),
            }
        }
        self.still_there(Lock(fd))
    }

    /// Waits for the lock no longer than `limit`.
    pub(crate) fn lock_within(&self, limit: Duration) -> Result<Lock, Error> {
        let fd = self.lock_fd()?;
        let begin = Instant::now();
        loop {
            match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return self.still_there(Lock(fd)),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) if begin.elapsed() < limit => {
                    std::thread::sleep(Duration::from_millis(5))
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Busy {
                        id: self.id.clone(),
                    });
                }
                Err(errno) => return Err(Error::path("lock", &self.path, errno)),
            }
        }
    }

    /// The lock, if nobody holds it.
    fn lock_now(&self) -> Result<Option<Lock>, Error> {
        match self.lock_within(Duration::ZERO) {
            Ok(lock) => Ok(Some(lock)),
            Err(Error::Busy { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is a container in it: `create` keeps the configuration first, `delete` removes the record last, and what
    /// has neither is a directory that one of the two has just made, or is about to remove.
    pub(crate) fn is_inhabited(&self) -> Result<bool, Error> {
        Ok(self.has_config()? || self.has(STATE_FILE)?)
    }

    /// Whether `create` has kept the configuration.
    pub(crate) fn has_config(&self) -> Result<bool, Error> {
        self.has(CONFIG_FILE)
    }

    /// Whether somebody holds the lock.
    pub(crate) fn is_locked(&self) -> Result<bool, Error> {
        match rustix::fs::flock(self.lock_fd()?, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(Error::path("lock", &self.path, errno)),
        }
    }

    /// Reads the record. `None`: there is none yet, or no more.
    pub(crate) fn read(&self) -> Result<Option<Record>, Error> {
        let Some(bytes) = self.read_file(STATE_FILE)? else {
            return Ok(None);
        };
        parse(&bytes, &self.id)
            .map(Some)
            .map_err(|why| self.corrupt(why))
    }

    /// Writes the record: a reader sees the old one or the new one, whole.
    pub(crate) fn write(&self, record: &Record) -> Result<(), Error> {
        self.draft(record)?;
        self.put_draft()
    }

    /// Writes the record where nobody looks for it.
    pub(crate) fn draft(&self, record: &Record) -> Result<(), Error> {
        let bytes = serde_json::to_vec(record).map_err(|error| self.corrupt(error.to_string()))?;
        self.write_aside(STATE_FILE, &bytes).map(drop)
    }

    /// Puts the record that was drafted in its place.
    pub(crate) fn put_draft(&self) -> Result<(), Error> {
        self.put(&temporary(STATE_FILE), STATE_FILE)
    }

    /// The configuration that `create` kept.
    pub(crate) fn read_config(&self) -> Result<Vec<u8>, Error> {
        self.read_file(CONFIG_FILE)?.ok_or_else(|| Error::Missing {
            what: "read".to_owned(),
            path: self.path.join(CONFIG_FILE),
        })
    }

    /// Keeps the configuration for `exec`.
    pub(crate) fn write_config(&self, bytes: &[u8]) -> Result<(), Error> {
        self.write_file(CONFIG_FILE, bytes)
    }

    /// Notes the first process and its start time: in a link, which is one system call and never half written.
    pub(crate) fn note_init(&self, pid: i32, start: u64) -> Result<(), Error> {
        let make = || rustix::fs::symlinkat(format!("{pid}:{start}"), &self.fd, INIT_LINK);
        // There is one when a hop has made the final process.
        let made = match make() {
            Err(Errno::EXIST) => {
                unlink(self.fd.as_fd(), INIT_LINK, AtFlags::empty()).and_then(|()| make())
            }
            other => other,
        };
        made.map_err(|errno| Error::path("make", &self.path.join(INIT_LINK), errno))
    }

    /// The noted first process: pid and start time.
    pub(crate) fn noted_init(&self) -> Result<Option<(i32, u64)>, Error> {
        let target = match rustix::fs::readlinkat(&self.fd, INIT_LINK, Vec::new()) {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::INVAL) => return Ok(None),
            Err(errno) => return Err(Error::path("read", &self.path.join(INIT_LINK), errno)),
        };
        let words = target.to_str().ok().and_then(|text| text.split_once(':'));
        Ok(words.and_then(|(pid, start)| Some((pid.parse().ok()?, start.parse().ok()?))))
    }

    /// When `config.json` was written, since the epoch; `None` where it is absent.
    pub(crate) fn config_written(&self) -> Result<Option<Duration>, Error> {
        match rustix::fs::statat(&self.fd, CONFIG_FILE, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Duration::new(
                u64::try_from(stat.st_mtime).unwrap_or(0),
                u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::path("stat", &self.path.join(CONFIG_FILE), errno)),
        }
    }

    /// Whether the container waits for `start`.
    pub(crate) fn has_start_fifo(&self) -> Result<bool, Error> {
        self.has(EXEC_FIFO)
    }

    fn has(&self, name: &str) -> Result<bool, Error> {
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(Error::path("stat", &self.path.join(name), errno)),
        }
    }

    /// User id of the directory's owner.
    pub(crate) fn owner(&self) -> Result<u32, Error> {
        rustix::fs::fstat(&self.fd)
            .map(|stat| stat.st_uid)
            .map_err(|errno| Error::path("stat", &self.path, errno))
    }

    /// Removes the directory and all in it, `state.json` last: an interrupted removal can be repeated.
    pub(crate) fn remove(self, _lock: Lock) -> Result<(), Error> {
        empty(self.fd.as_fd(), &self.path, &[STATE_FILE], 8)?;
        unlink(self.fd.as_fd(), STATE_FILE, AtFlags::empty())
            .map_err(|errno| Error::path("remove", &self.path.join(STATE_FILE), errno))?;
        unlink(self.root.as_fd(), &self.id, AtFlags::REMOVEDIR)
            .map_err(|errno| Error::path("remove", &self.path, errno))
    }

    fn lock_fd(&self) -> Result<OwnedFd, Error> {
        // A description of its own, so that two threads of one process lock each other out too.
        match rustix::fs::openat(&self.fd, ".", directory_flags(), Mode::empty()) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => Err(Error::NotFound {
                id: self.id.clone(),
            }),
            Err(errno) => Err(Error::path("open", &self.path, errno)),
        }
    }

    /// Whoever waited for a lock may have waited for a `delete`.
    fn still_there(&self, lock: Lock) -> Result<Lock, Error> {
        match rustix::fs::fstat(&self.fd) {
            Ok(stat) if stat.st_nlink > 0 => Ok(lock),
            Ok(_) => Err(Error::NotFound {
                id: self.id.clone(),
            }),
            Err(errno) => Err(Error::path("stat", &self.path, errno)),
        }
    }

    fn read_file(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        let path = || self.path.join(name);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let fd = match rustix::fs::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::path("open", &path(), errno)),
        };
        // Most records fit, so that one read does.
        let mut bytes = Vec::with_capacity(8 << 10);
        File::from(fd)
            .take(STATE_FILE_MAX)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::path("read", &path(), &error))?;
        Ok(Some(bytes))
    }

    fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let temporary = self.write_aside(name, bytes)?;
        self.put(&temporary, name)
    }

    /// Writes a file beside its place. A leftover is `remove`'s, which takes it with the rest.
    fn write_aside(&self, name: &str, bytes: &[u8]) -> Result<String, Error> {
        let temporary = temporary(name);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fail = |error: &std::io::Error| Error::path("write", &self.path.join(name), error);
        let fd = rustix::fs::openat(
            &self.fd,
            temporary.as_str(),
            flags,
            Mode::from_raw_mode(0o600),
        )
        .map_err(|errno| fail(&errno.into()))?;
        match File::from(fd).write_all(bytes) {
            Ok(()) => Ok(temporary),
            Err(error) => {
                let _ = rustix::fs::unlinkat(&self.fd, temporary.as_str(), AtFlags::empty());
                Err(fail(&error))
            }
        }
    }

    fn put(&self, temporary: &str, name: &str) -> Result<(), Error> {
        rustix::fs::renameat(&self.fd, temporary, &self.fd, name).map_err(|errno| {
            let _ = rustix::fs::unlinkat(&self.fd, temporary, AtFlags::empty());
            Error::path("write", &self.path.join(name), errno)
        })
    }

    fn corrupt(&self, why: String) -> Error {
        Error::Corrupt {
            id: self.id.clone(),
            path: self.path.join(STATE_FILE),
            why,
        }
    }
}

fn temporary(name: &str) -> String {
    format!(".{name}.{}", std::process::id())
}

/// The record of the container `id`, or why these bytes are none.
pub(crate) fn parse(bytes: &[u8], id: &str) -> Result<Record, String> {
    match serde_json::from_slice::<Record>(bytes) {
        Ok(record) if record.id == id => Ok(record),
        Ok(record) => Err(format!("it belongs to {:?}", record.id)),
        Err(error) => Err(format!("not valid JSON for a state: {error}")),
    }
}

fn directory_flags() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

/// Removes all entries but `keep`, to a depth that none of our directories exceeds.
fn empty(fd: BorrowedFd<'_>, path: &Path, keep: &[&str], depth: u32) -> Result<(), Error> {
    let fail = |errno| Error::path("remove what is in", path, errno);
    let entries: Vec<_> = Dir::read_from(fd)
        .map_err(fail)?
        .collect::<Result<_, _>>()
        .map_err(fail)?;
    for entry in entries {
        let name = entry.file_name();
        let bytes = name.to_bytes();
        if bytes == b"." || bytes == b".." || keep.iter().any(|kept| kept.as_bytes() == bytes) {
            continue;
        }
        match unlink(fd, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::ISDIR) if depth > 0 => {
                let inner = rustix::fs::openat(
                    fd,
                    name,
                    directory_flags() | OFlags::NOFOLLOW,
                    Mode::empty(),
                )
                .map_err(fail)?;
                empty(inner.as_fd(), path, &[], depth - 1)?;
                unlink(fd, name, AtFlags::REMOVEDIR).map_err(fail)?;
            }
            Err(errno) => return Err(fail(errno)),
        }
    }
    Ok(())
}

fn unlink<P: rustix::path::Arg>(fd: BorrowedFd<'_>, name: P, flags: AtFlags) -> Result<(), Errno> {
    match rustix::fs::unlinkat(fd, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
