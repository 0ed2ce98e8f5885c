//! The state root: the directory of all containers, and how an id in it is claimed.
use super::{Lock, StateDir, check_id, directory_flags};
use crate::error::Error;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an error about the root calls it.
pub(crate) const STATE_ROOT: &str = "the state root";

/// How often a claim is tried while another call is on its way into or out of the directory; a millisecond each.
const CLAIM_TRIES: u32 = 50;

/// The directory of all containers of one root.
#[derive(Debug)]
pub(crate) struct StateRoot {
    fd: OwnedFd,
    path: PathBuf,
}

impl StateRoot {
    /// Opens the root; absent means that there is no container.
    pub(crate) fn open(path: &Path) -> Result<Option<StateRoot>, Error> {
        match rustix::fs::open(path, directory_flags(), Mode::empty()) {
            Ok(fd) => {
                trust(fd.as_fd(), path, "use the state root")?;
                Ok(Some(StateRoot {
                    fd,
                    path: path.to_owned(),
                }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::path(&format!("open {STATE_ROOT}"), path, errno)),
        }
    }

    /// Opens the root, making it and its parents where absent.
    pub(crate) fn create(path: &Path) -> Result<StateRoot, Error> {
        if let Some(root) = StateRoot::open(path)? {
            return Ok(root);
        }
        let mut made = PathBuf::new();
        for component in path.components() {
            made.push(component);
            match rustix::fs::mkdirat(CWD, &made, Mode::from_raw_mode(0o711)) {
                // The umask may have taken bits away: a child in a user namespace must be able to pass through.
                Ok(()) => {
                    rustix::fs::chmodat(CWD, &made, Mode::from_raw_mode(0o711), AtFlags::empty())
                        .map_err(|errno| Error::path("set the mode of", &made, errno))?
                }
                Err(Errno::EXIST) => {}
                // A parent on a read-only filesystem or in an automounted directory may be there all the same.
                Err(errno) => match rustix::fs::stat(&made) {
                    Ok(_) => {}
                    Err(_) => return Err(Error::path(&format!("make {STATE_ROOT}"), &made, errno)),
                },
            }
        }
        StateRoot::open(path)?.ok_or_else(|| Error::Missing {
            what: format!("make {STATE_ROOT}"),
            path: path.to_owned(),
        })
    }

    /// Makes the directory of a new container and locks it: of two callers with one id, one gets [`Error::Exists`].
    ///
    /// Whoever holds the lock of a directory that no container is in owns it; who made it does not matter. So there is no moment
    /// in which a killed `create` or `delete` leaves an id that can't be used, or one that another call takes for half a container.
    pub(crate) fn claim(&self, id: &str) -> Result<(StateDir, Lock), Error> {
        check_id(id)?;
        let claimed = self.claim_one(id);
        if !matches!(
            claimed,
            Ok(_) | Err(Error::Exists { .. } | Error::InvalidId { .. } | Error::Unsupported { .. })
        ) {
            // An empty one is nobody's; whoever is about to claim it makes it again.
            let _ = rustix::fs::unlinkat(&self.fd, id, AtFlags::REMOVEDIR);
        }
        claimed
    }

    fn claim_one(&self, id: &str) -> Result<(StateDir, Lock), Error> {
        let exists = || Error::Exists { id: id.to_owned() };
        for _ in 0..CLAIM_TRIES {
            // Short of descriptors it has to fail before there is a directory, not after.
            let reserved = self.reserve()?;
            self.make(id)?;
            drop(reserved);
            let dir = match self.dir(id) {
                // A `delete` was at its end.
                Err(Error::NotFound { .. }) if !self.is_something_else(id) => continue,
                Err(Error::NotFound { .. }) => return Err(exists()),
                other => other?,
            };
            if dir.is_inhabited()? {
                return Err(exists());
            }
            match dir.lock_now() {
                Ok(Some(lock)) => {
                    if dir.is_inhabited()? {
                        return Err(exists());
                    }
                    // The umask may have taken bits away: others must be able to pass through to the notify socket.
                    rustix::fs::fchmod(&dir.fd, Mode::from_raw_mode(0o711))
                        .map_err(|errno| Error::path("set the mode of", &dir.path, errno))?;
                    return Ok((dir, lock));
                }
                // Another `create`, which fills it at once; a `delete`, which removes it; or somebody who asks for the lock.
                Ok(None) => std::thread::sleep(Duration::from_millis(1)),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(exists())
    }

    /// Descriptors to let go of when they are needed: as many as a [`StateDir`] and its lock are, or its removal takes.
    pub(crate) fn reserve(&self) -> Result<[OwnedFd; 3], Error> {
        let one = || {
            self.fd
                .try_clone()
                .map_err(|error| Error::system("reserve descriptors", &error))
        };
        Ok([one()?, one()?, one()?])
    }

    /// Removes a directory without a container that nobody works on: what a killed call left.
    pub(crate) fn remove_uninhabited(&self, id: &str) -> Result<(), Error> {
        let dir = self.dir(id)?;
        match dir.lock_now()? {
            Some(lock) if !dir.is_inhabited()? => dir.remove(lock),
            _ => Ok(()),
        }
    }

    fn make(&self, id: &str) -> Result<(), Error> {
        match rustix::fs::mkdirat(&self.fd, id, Mode::from_raw_mode(0o711)) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(Errno::NAMETOOLONG) => Err(Error::InvalidId {
                id: id.chars().take(64).collect(),
                why: "is longer than the state root's filesystem allows",
            }),
            Err(errno) => Err(Error::path(
                "make the state directory",
                &self.path.join(id),
                errno,
            )),
        }
    }

    /// A file or a link of this name.
    fn is_something_else(&self, id: &str) -> bool {
        rustix::fs::statat(&self.fd, id, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) != FileType::Directory)
    }

    /// The directory of a container that is there.
    pub(crate) fn dir(&self, id: &str) -> Result<StateDir, Error> {
        check_id(id)?;
        let path = self.path.join(id);
        match rustix::fs::openat(
            &self.fd,
            id,
            directory_flags() | OFlags::NOFOLLOW,
            Mode::empty(),
        ) {
            Ok(fd) => {
                trust(fd.as_fd(), &path, "use the state directory")?;
                let root = self
                    .fd
                    .try_clone()
                    .map_err(|error| Error::system("duplicate an fd", &error))?;
                Ok(StateDir {
                    root,
                    fd,
                    id: id.to_owned(),
                    path,
                })
            }
            Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::LOOP) => {
                Err(Error::NotFound { id: id.to_owned() })
            }
            Err(errno) => Err(Error::path("open", &path, errno)),
        }
    }

    /// The ids of all state directories, sorted.
    pub(crate) fn ids(&self) -> Result<Vec<String>, Error> {
        let fail = |errno| Error::path("list", &self.path, errno);
        let mut ids = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            let directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
            if directory && check_id(name).is_ok() {
                ids.push(name.to_owned());
            }
        }
        ids.sort_unstable();
        Ok(ids)
    }
}

/// Refuses a directory that others can put records into: what a record says is done with the caller's rights, its poststop hooks
/// included. That the path led here through a link does not matter: /var/run is one.
fn trust(directory: BorrowedFd<'_>, path: &Path, what: &str) -> Result<(), Error> {
    let stat = rustix::fs::fstat(directory).map_err(|errno| Error::path("stat", path, errno))?;
    let caller = rustix::process::geteuid().as_raw();
    match doubt(stat.st_uid, stat.st_mode, caller) {
        None => Ok(()),
        Some(why) => Err(Error::Unsupported {
            what: format!("{what} {}", path.display()),
            why,
        }),
    }
}

/// Why a directory can't be trusted. The owner and root may do as they like, and so may the owner's group, if the owner lets it.
fn doubt(owner: u32, mode: u32, caller: u32) -> Option<String> {
    const STICKY: u32 = 0o1000;
    if owner != caller && owner != 0 {
        Some(format!(
            "it belongs to user {owner}, who could have you do anything by what is in it; call as that user, or use a directory of your own"
        ))
    } else if mode & 0o002 != 0 && mode & STICKY == 0 {
        Some(format!(
            "everybody may write to it (mode {:04o}), and so exchange what is in it; chmod o-w, or use another directory",
            mode & 0o7777
        ))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::doubt;

    #[test]
    fn a_directory_that_others_rule_is_refused() {
        for (owner, mode, caller, trusted) in [
            (0, 0o40711, 0, true),
            (0, 0o40755, 1000, true),
            (1000, 0o41700, 1000, true),
            (1000, 0o40775, 1000, true),
            (0, 0o41777, 0, true),
            (0, 0o40777, 0, false),
            (1000, 0o40702, 1000, false),
            (1000, 0o40700, 0, false),
            (1001, 0o40711, 1000, false),
            (65534, 0o40711, 0, false),
        ] {
            let doubt = doubt(owner, mode, caller);
            assert_eq!(
                doubt.is_none(),
                trusted,
                "{owner} {mode:o} {caller}: {doubt:?}"
            );
        }
    }
}
