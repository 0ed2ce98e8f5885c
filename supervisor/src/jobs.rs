//! Work that blocks, done beside a loop that must not: a thread for each job, gone when the job is done.
//!
//! At rest there is one thread. A job that never ends holds up no other.
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// The jobs in hand; poll its fd for reading, then take what is [`Jobs::done`].
#[derive(Debug)]
pub struct Jobs<T> {
    bell: Arc<OwnedFd>,
    sender: Sender<T>,
    receiver: Receiver<T>,
    running: usize,
}

/// Enough for the host's side of a container's creation: address space, of which only what is touched takes memory.
const STACK: usize = 512 << 10;

impl<T: Send + 'static> Jobs<T> {
    /// None in hand.
    ///
    /// # Errors
    /// When no fd is left.
    pub fn new() -> io::Result<Jobs<T>> {
        let (sender, receiver) = channel();
        Ok(Jobs {
            bell: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?),
            sender,
            receiver,
            running: 0,
        })
    }

    /// Begins a job. A job that panics counts as running for ever: build with `panic = "abort"`.
    ///
    /// # Errors
    /// When no thread can be made; the job is dropped then.
    pub fn begin(&mut self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<()> {
        let (bell, sender) = (Arc::clone(&self.bell), self.sender.clone());
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn(move || {
                // Nobody receives any more when the loop has ended.
                let _ = sender.send(job());
                // A full counter is readable as it is.
                let _ = rustix::io::write(&*bell, &1u64.to_ne_bytes());
            })?;
        self.running += 1;
        Ok(())
    }

    /// The results of those that have ended since the last call.
    pub fn done(&mut self) -> Vec<T> {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.bell, &mut count);
        let done: Vec<T> = self.receiver.try_iter().collect();
        self.running -= done.len();
        done
    }

    /// How many are in hand.
    pub fn running(&self) -> usize {
        self.running
    }
}

impl<T> AsFd for Jobs<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interest, Poll};

    #[test]
    fn results_come_as_jobs_end_whatever_others_do() {
        let mut jobs = Jobs::new().unwrap();
        let poll = Poll::new().unwrap();
        poll.add(&jobs, 0, Interest::Read).unwrap();
        let (go, wait) = channel::<()>();
        jobs.begin(move || {
            let _ = wait.recv();
            "late"
        })
        .unwrap();
        jobs.begin(|| "soon").unwrap();
        poll.wait(None).unwrap();
        assert_eq!((jobs.done(), jobs.running()), (vec!["soon"], 1));
        go.send(()).unwrap();
        poll.wait(None).unwrap();
        assert_eq!((jobs.done(), jobs.running()), (vec!["late"], 0));
    }
}
