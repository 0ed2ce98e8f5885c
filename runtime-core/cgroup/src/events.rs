//! Out-of-memory events, as something to poll.
use crate::directory::Directory;
use crate::{Cgroup, Error};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, inotify};
use rustix::io::Errno;

/// What an [`OomWatch`] saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomEvent {
    /// The kernel killed in the container for want of memory (v1: the limit was hit and the killer may have run).
    Oom,
    /// The cgroup has gone, or (v2) has no process left: nothing more will come.
    Gone,
}

/// A source of out-of-memory events: poll its fd for reading, then ask [`OomWatch::read`].
#[derive(Debug)]
pub struct OomWatch {
    fd: OwnedFd,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// An eventfd registered in `cgroup.event_control`.
    V1 { path: String },
    /// inotify on `memory.events` and `cgroup.events`.
    V2 { path: String, kills: u64 },
}

impl Cgroup {
    /// Watches for out-of-memory kills.
    ///
    /// Errors: [`Error::NoController`] without a memory cgroup.
    pub fn oom(&self) -> Result<OomWatch, Error> {
        if let Some(directory) = self.optional("memory")? {
            return v1(&directory);
        }
        let directory = self.optional("")?.ok_or(Error::NoController {
            what: "events",
            controller: "memory",
        })?;
        v2(&directory)
    }

    /// How many processes the kernel killed in the container for want of memory; 0 where it doesn't count.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        if let Some(directory) = self.optional("memory")? {
            return Ok(count(
                &directory
                    .optional_text("memory.oom_control")?
                    .unwrap_or_default(),
            ));
        }
        match self.optional("")? {
            Some(directory) => Ok(count(
                &directory
                    .optional_text("memory.events")?
                    .unwrap_or_default(),
            )),
            None => Ok(0),
        }
    }
}

impl OomWatch {
    /// What happened since the last call; None for a change that is no such event. Doesn't block.
    pub fn read(&mut self) -> Result<Option<OomEvent>, Error> {
        match &mut self.source {
            Source::V1 { path } => {
                let mut counter = [0; 8];
                match rustix::io::read(&self.fd, &mut counter) {
                    Err(Errno::AGAIN) => return Ok(None),
                    Err(errno) => return Err(Error::io("read", "eventfd", errno)),
                    Ok(_) => {}
                }
                // The kernel also signals when the cgroup is removed.
                let there = rustix::fs::access(
                    format!("{path}/cgroup.event_control"),
                    rustix::fs::Access::EXISTS,
                )
                .is_ok();
                Ok(Some(if there { OomEvent::Oom } else { OomEvent::Gone }))
            }
            Source::V2 { path, kills } => {
                take_one(&self.fd)?;
                let Ok(directory) = Directory::open(path) else {
                    return Ok(Some(OomEvent::Gone));
                };
                let now = count(
                    &directory
                        .optional_text("memory.events")?
                        .unwrap_or_default(),
                );
                if now > *kills {
                    *kills = now;
                    return Ok(Some(OomEvent::Oom));
                }
                let populated = directory
                    .optional_text("cgroup.events")?
                    .unwrap_or_default();
                Ok(populated
                    .lines()
                    .any(|line| line == "populated 0")
                    .then_some(OomEvent::Gone))
            }
        }
    }
}

impl AsFd for OomWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn v1(directory: &Directory) -> Result<OomWatch, Error> {
    let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
        .map_err(|errno| Error::io("make", "eventfd", errno))?;
    let control = directory.file("memory.oom_control");
    let oom = directory
        .open_file("memory.oom_control", OFlags::RDONLY)
        .map_err(|errno| Error::io("open", control, errno))?;
    let registration = format!("{} {}", fd.as_raw_fd(), oom.as_raw_fd());
    let file = "cgroup.event_control";
    directory
        .write(file, &registration)
        .map_err(|errno| Error::io("write", directory.file(file), errno))?;
    Ok(OomWatch {
        fd,
        source: Source::V1 {
            path: directory.path().to_string(),
        },
    })
}

fn v2(directory: &Directory) -> Result<OomWatch, Error> {
    let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
    let fd = inotify::init(flags).map_err(|errno| Error::io("make", "inotify", errno))?;
    for file in ["memory.events", "cgroup.events"] {
        let path = directory.file(file);
        inotify::add_watch(&fd, &path, inotify::WatchFlags::MODIFY).map_err(
            |errno| match errno {
                Errno::NOENT => Error::NoController {
                    what: "events",
                    controller: "memory",
                },
                errno => Error::io("watch", path, errno),
            },
        )?;
    }
    let kills = count(
        &directory
            .optional_text("memory.events")?
            .unwrap_or_default(),
    );
    Ok(OomWatch {
        fd,
        source: Source::V2 {
            path: directory.path().to_string(),
            kills,
        },
    })
}

/// Takes one event only: the kill and the end of the last process each make one, and the second has to wake the next poll.
fn take_one(fd: &OwnedFd) -> Result<(), Error> {
    // An event of a watched file carries no name.
    let mut event = [0; 16];
    loop {
        match rustix::io::read(fd, &mut event) {
            Err(Errno::INTR) => {}
            Ok(_) | Err(Errno::AGAIN) => return Ok(()),
            Err(errno) => return Err(Error::io("read", "inotify", errno)),
        }
    }
}

/// `oom_kill N` of v2's memory.events and of v1's memory.oom_control.
pub(crate) fn count(text: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix("oom_kill "))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}
