//! A container that exists: what it is and what can be done with it. One verb a file below `container/`.
use crate::error::Error;
use crate::procfs;
use crate::state::{ContainerState, Observed, Record, Status};
use crate::store::StateDir;
use crate::wait::{ExitStatus, wait_child};
use rustix::process::Pid;
use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

pub(crate) mod delete;
mod events;
mod exec;
mod kill;
mod ownership;
mod pause;
mod start;
mod update;

pub use update::RdtUpdate;

/// A container under a state root.
///
/// What it says of itself is asked of the kernel at each call; between two calls another process may change it.
#[derive(Debug)]
pub struct Container {
    pub(crate) dir: StateDir,
    pub(crate) record: Record,
    /// Init, when this process made it and so is its parent.
    pub(crate) child: Option<OwnedFd>,
    pub(crate) console: Option<OwnedFd>,
    pub(crate) warnings: Vec<String>,
}

impl Container {
    /// From its state directory.
    pub(crate) fn open(dir: StateDir) -> Result<Container, Error> {
        let record = read_record(&dir)?.unwrap_or_else(|| Record {
            id: dir.id().to_owned(),
            ..Record::default()
        });
        Ok(Container {
            dir,
            record,
            child: None,
            console: None,
            warnings: Vec::new(),
        })
    }

    /// The record, read anew where `create` had not written it when this handle was made.
    fn current(&self) -> Result<Cow<'_, Record>, Error> {
        if self.record.init_process_pid > 0 {
            return Ok(Cow::Borrowed(&self.record));
        }
        match read_record(&self.dir) {
            Ok(Some(record)) => Ok(Cow::Owned(record)),
            // `create` was killed: the handle is good for what there is.
            Ok(None) | Err(Error::Corrupt { .. }) => Ok(Cow::Borrowed(&self.record)),
            Err(error) => Err(error),
        }
    }

    /// The id.
    pub fn id(&self) -> &str {
        self.dir.id()
    }

    /// The record that the state directory keeps.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The state directory.
    pub fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// The configuration as `create` read it.
    ///
    /// # Errors
    /// When the kept copy is gone or damaged.
    pub fn spec(&self) -> Result<tare_oci::Spec, Error> {
        match self.dir.read_config() {
            Ok(bytes) => Ok(crate::config::load(&bytes)?),
            // The deletion of a stopped container takes the configuration first.
            Err(Error::Missing { .. }) if self.status()? == Status::Stopped => {
                Err(Error::NotFound {
                    id: self.id().to_owned(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The status.
    ///
    /// # Errors
    /// When /proc or the cgroup can't be read.
    pub fn status(&self) -> Result<Status, Error> {
        self.status_of(&*self.current()?)
    }

    fn status_of(&self, record: &Record) -> Result<Status, Error> {
        let has_pid = record.init_process_pid > 0;
        let alive =
            has_pid && procfs::is_alive(record.init_process_pid, record.init_process_start)?;
        let observed = Observed {
            has_pid,
            alive,
            has_start_fifo: alive && self.dir.has_start_fifo()?,
            locked: !has_pid && self.dir.is_locked()?,
            frozen: alive && tare_cgroup::Cgroup::open(record.cgroup()).frozen()?,
        };
        Ok(observed.status())
    }

    /// The state document.
    ///
    /// # Errors
    /// As [`Container::status`].
    pub fn state(&self) -> Result<ContainerState, Error> {
        let record = self.current()?;
        Ok(record.container_state(self.status_of(&record)?, self.dir.owner()?))
    }

    /// Host pid of init as recorded; it may have ended.
    pub fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.record.init_process_pid)
    }

    /// A handle on init: becomes readable when init ends.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has.
    pub fn pidfd(&self) -> Result<OwnedFd, Error> {
        if let Some(child) = &self.child {
            return child
                .try_clone()
                .map_err(|error| Error::system("duplicate a pidfd", &error));
        }
        procfs::open(self.record.init_process_pid, self.record.init_process_start)?.ok_or(
            Error::NotRunning {
                status: Status::Stopped,
            },
        )
    }

    /// Waits until init ends and reaps it. Only the process that created the container can.
    ///
    /// # Errors
    /// When init isn't a child of this process.
    pub fn wait(&self) -> Result<ExitStatus, Error> {
        let Some(child) = &self.child else {
            return Err(Error::Unsupported {
                what: "wait for init".to_owned(),
                why: "it is not a child of this process; poll its pidfd instead".to_owned(),
            });
        };
        wait_child(child.as_fd())
    }

    /// All processes of the container by host pid; empty once it is stopped.
    ///
    /// # Errors
    /// When the cgroup can't be read.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let mut pids = self.cgroup().pids()?;
        let record = &self.record;
        if pids.is_empty() && procfs::is_alive(record.init_process_pid, record.init_process_start)?
        {
            // Without a cgroup of its own only init is known.
            pids.push(record.init_process_pid);
        }
        Ok(pids)
    }

    /// Takes the pseudo-terminal's master that `create` or `run` kept (`Console::Keep`).
    pub fn console(&mut self) -> Option<OwnedFd> {
        self.console.take()
    }

    /// What `create` left out or noticed, for whoever wants to tell the user.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Where to bind the socket that the container's `NOTIFY_SOCKET` leads to, when `create` was given the host's.
    pub fn notify_socket(&self) -> Option<PathBuf> {
        (!self.record.tare.notify_socket.is_empty())
            .then(|| self.dir.path().join("notify/notify.sock"))
    }

    /// The container's cgroup.
    pub(crate) fn cgroup(&self) -> tare_cgroup::Cgroup {
        tare_cgroup::Cgroup::open(self.record.cgroup())
    }
}

/// The record; `None` while `create` is at work on it.
///
/// Twice, because `create` may end between the look at the record and that at the lock.
fn read_record(dir: &StateDir) -> Result<Option<Record>, Error> {
    for _ in 0..2 {
        if let Some(record) = dir.read()? {
            return Ok(Some(record));
        }
        if !dir.has_config()? {
            // `create` has yet to begin, or `delete` is at its end.
            return Err(Error::NotFound {
                id: dir.id().to_owned(),
            });
        }
        if dir.is_locked()? {
            return Ok(None);
        }
    }
    Err(Error::Corrupt {
        id: dir.id().to_owned(),
        path: dir.path().join("state.json"),
        why: "it is not there: creation or deletion was cut short".to_owned(),
    })
}
