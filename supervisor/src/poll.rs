//! One wait for many descriptors: epoll(7), level-triggered, with the caller's numbers as names.
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// That there is something to read, or the other end is gone.
    Read,
    /// That there is room to write, or the other end is gone.
    Write,
    /// Both.
    Both,
    /// Only that the other end is gone.
    End,
}

/// A descriptor that is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// The name that it was added with.
    pub token: u64,
    /// Reading will not block.
    pub read: bool,
    /// Writing will not block.
    pub write: bool,
    /// Both directions are closed, or broken.
    pub gone: bool,
}

/// An epoll instance.
#[derive(Debug)]
pub struct Poll {
    fd: OwnedFd,
}

/// So many are told of at a time; the others at the next wait.
const BATCH: usize = 32;

impl Poll {
    /// Makes one.
    ///
    /// # Errors
    /// When no fd is left.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll {
            fd: epoll::create(CreateFlags::CLOEXEC)?,
        })
    }

    /// Waits for this descriptor too, until it is removed or all copies of it are closed.
    ///
    /// # Errors
    /// EPERM for what is always ready (a regular file), EEXIST, ENOSPC.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.fd,
            fd,
            EventData::new_u64(token),
            flags(interest),
        )?)
    }

    /// Waits for something else of it from now on.
    ///
    /// # Errors
    /// ENOENT.
    pub fn change(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.fd,
            fd,
            EventData::new_u64(token),
            flags(interest),
        )?)
    }

    /// Waits no longer for it.
    ///
    /// # Errors
    /// ENOENT.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.fd, fd)?)
    }

    /// Sleeps until something is ready or the time is over, when nothing is returned.
    ///
    /// # Errors
    /// Of epoll_wait(2), but not EINTR.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<Vec<Ready>> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        let mut events = Vec::with_capacity(BATCH);
        match epoll::wait(
            &self.fd,
            rustix::buffer::spare_capacity(&mut events),
            timeout.as_ref(),
        ) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(events.iter().map(ready).collect())
    }
}

fn flags(interest: Interest) -> EventFlags {
    match interest {
        Interest::Read => EventFlags::IN | EventFlags::RDHUP,
        Interest::Write => EventFlags::OUT,
        Interest::Both => EventFlags::IN | EventFlags::RDHUP | EventFlags::OUT,
        Interest::End => EventFlags::empty(),
    }
}

fn ready(event: &epoll::Event) -> Ready {
    let (flags, gone) = (event.flags, EventFlags::HUP | EventFlags::ERR);
    Ready {
        token: event.data.u64(),
        read: flags.intersects(EventFlags::IN | EventFlags::RDHUP | gone),
        write: flags.intersects(EventFlags::OUT | gone),
        gone: flags.intersects(gone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn tells_what_is_ready_and_sleeps_else() {
        let poll = Poll::new().unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        poll.add(&reader, 3, Interest::Read).unwrap();
        let short = Some(Duration::from_millis(1));
        assert_eq!(poll.wait(short).unwrap(), []);
        writer.write_all(b"x").unwrap();
        let both = poll.wait(None).unwrap();
        assert_eq!(
            both,
            [Ready {
                token: 3,
                read: true,
                write: false,
                gone: false
            }]
        );
        poll.change(&reader, 4, Interest::End).unwrap();
        assert_eq!(poll.wait(short).unwrap(), []);
        drop(writer);
        assert_eq!(poll.wait(None).unwrap()[0].token, 4);
        poll.remove(&reader).unwrap();
        assert_eq!(poll.wait(short).unwrap(), []);
    }
}
