//! The lane's dealings with the child: its start, the barriers, what it tells, how it ends.
use super::Lane;
use crate::control::{Received, is_ready, receive, release};
use crate::error::Error;
use crate::failure;
use crate::plan::ir::Barrier;
use crate::procfs;
use crate::spawn::{How, spawn};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tare_stage::report::Frame;

/// How long the orphan of a killed hop may take to its first barrier.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(5);

/// How long an ending child's socket may take to be closed.
const END_PATIENCE: Duration = Duration::from_secs(1);

impl Lane<'_> {
    pub(super) fn spawn(
        &mut self,
        namespaces: crate::plan::ir::Namespaces,
        into_cgroup: bool,
    ) -> Result<(), Error> {
        let joined = match (&self.around.join, into_cgroup) {
            (Some(join), true) => join.cgroup.exec_directory(join.below, join.init)?,
            _ => None,
        };
        let cgroup = match &joined {
            Some(fd) => Some(fd.as_fd()),
            None if into_cgroup => self.executor.directory(),
            None => None,
        };
        let mut handed = Vec::with_capacity(self.plan.handed.len());
        for slot in &self.plan.handed {
            match self.slots.get(usize::from(slot.0)).and_then(Option::as_ref) {
                Some(fd) => handed.push(fd.as_fd()),
                None => {
                    return Err(Error::system(
                        "hand over a slot that is empty",
                        tare_sys::Errno::EBADF,
                    ));
                }
            }
        }
        let how = How {
            namespaces,
            cgroup,
            stdio: self.around.stdio,
            first_fd: 3 + self.around.preserve_fds,
            handed,
            timed: timed(),
        };
        let spawned = spawn(&self.lowered, &how)?;
        self.child = Some(spawned);
        self.note()?;
        // The child has its copies: a joined namespace or a detached tree must not outlive it in the host.
        for slot in &self.plan.handed {
            let keep = self.state_files.iter().any(|(file, _)| file == slot);
            if let Some(place) = self.slots.get_mut(usize::from(slot.0)).filter(|_| !keep) {
                *place = None;
            }
        }
        Ok(())
    }

    /// Meets the child: waits for it, lets it go on, or both (at `hooks`, in two steps).
    pub(super) fn barrier(&mut self, barrier: Barrier) -> Result<(), Error> {
        let releases_later = barrier == Barrier::Hooks && !self.hooks_met;
        if barrier.child_signals() && !(barrier == Barrier::Hooks && self.hooks_met) {
            self.await_barrier(barrier)?;
            self.hooks_met |= barrier == Barrier::Hooks;
        }
        if barrier.child_waits() && !releases_later {
            let tasks = match barrier {
                Barrier::Placed => std::mem::take(&mut self.tasks),
                _ => Vec::new(),
            };
            release(self.control()?, barrier.number(), &tasks)?;
        }
        Ok(())
    }

    pub(super) fn await_barrier(&mut self, barrier: Barrier) -> Result<(), Error> {
        loop {
            let (frame, fd) = match receive(self.control()?)? {
                Received::Frame(frame, fd, sender) => {
                    self.know(frame, sender)?;
                    (frame, fd)
                }
                Received::End => return Err(self.died()),
            };
            match frame {
                Frame::Barrier { id } if id == barrier.number() => {
                    self.received = fd;
                    return Ok(());
                }
                Frame::Forked { .. } => {}
                Frame::Failure {
                    step,
                    errno,
                    detail,
                } => return Err(self.told(step, errno, detail)),
                Frame::Barrier { .. } => {
                    return Err(Error::system(
                        "meet the child: it is at another barrier",
                        tare_sys::Errno::EPROTO,
                    ));
                }
            }
        }
    }

    /// From a plan's fork on the frames come from another process than was spawned. The hop tells of it, or its own first frame does.
    fn know(&mut self, frame: Frame, sender: i32) -> Result<(), Error> {
        let pid = match frame {
            Frame::Forked { pid } => pid as i32,
            _ => sender,
        };
        if self.hop.is_none() && pid > 0 && pid != self.pid() && self.forks() {
            self.follow(pid)?;
        }
        Ok(())
    }

    fn forks(&self) -> bool {
        let mut ops = self.plan.child.iter().map(|step| &step.op);
        ops.any(|op| matches!(op, crate::plan::ir::ChildOp::Fork))
    }

    /// What the child says of itself, if the host's step failed because there is no child any more.
    pub(super) fn reason(&mut self, error: &Error) -> Option<Error> {
        let own = format!("/proc/{}/", self.pid());
        let gone = match error {
            Error::Missing { path, .. } => path.to_string_lossy().starts_with(&own),
            Error::System { errno, .. } if *errno == tare_sys::Errno::ESRCH => true,
            // The files of a process without memory belong to root: to another caller they are shut, not missing.
            Error::System { what, errno } if *errno == tare_sys::Errno::EACCES => {
                what.contains(&own) && procfs::is_dying(self.pid()).unwrap_or(false)
            }
            _ => false,
        };
        // A process that ends has lost its namespaces a moment before its end of the socket is closed.
        let patience = if gone { END_PATIENCE } else { Duration::ZERO };
        while is_ready(self.control().ok()?, patience).ok()? {
            match receive(self.control().ok()?).ok()? {
                Received::Frame(
                    Frame::Failure {
                        step,
                        errno,
                        detail,
                    },
                    _,
                    sender,
                ) => {
                    let frame = Frame::Failure {
                        step,
                        errno,
                        detail,
                    };
                    self.know(frame, sender).ok()?;
                    return Some(self.told(step, errno, detail));
                }
                Received::Frame(frame, _, sender) => self.know(frame, sender).ok()?,
                Received::End => return Some(self.died()),
            }
        }
        None
    }

    /// Kills and reaps whatever runs of the child.
    pub(super) fn end_child(&mut self) {
        if let Some(child) = &self.child {
            end(&child.pidfd);
        }
        // A hop that was killed may have made the final process, which then tells the barrier that it has come to.
        while self.forks() && self.hop.is_none() {
            let frame = self.control().and_then(|control| {
                if is_ready(control, ORPHAN_PATIENCE)? {
                    receive(control)
                } else {
                    Ok(Received::End)
                }
            });
            match frame {
                Ok(Received::Frame(frame, _, sender)) if self.know(frame, sender).is_ok() => {}
                _ => return,
            }
            if let (Some(_), Some(child)) = (&self.hop, &self.child) {
                end(&child.pidfd);
            }
        }
    }

    /// The final process is another one than was spawned: the hop's child, which is ours by CLONE_PARENT.
    pub(super) fn follow(&mut self, pid: i32) -> Result<(), Error> {
        let process = rustix::process::Pid::from_raw(pid)
            .ok_or_else(|| Error::system("follow the hop", tare_sys::Errno::ESRCH))?;
        // Not reaped by anyone but us, so the pid is still its own.
        let pidfd = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())
            .map_err(|errno| Error::system("open the process that the hop made", errno))?;
        if let Some(child) = &mut self.child {
            let hop = std::mem::replace(&mut child.pidfd, pidfd);
            child.pid = pid;
            let _ = crate::wait::wait_child(hop.as_fd());
            self.hop = Some(hop);
            self.note()?;
        }
        Ok(())
    }

    pub(super) fn control(&self) -> Result<BorrowedFd<'_>, Error> {
        self.child
            .as_ref()
            .map(|child| child.control.as_fd())
            .ok_or_else(|| {
                Error::system("meet a child that was not spawned", tare_sys::Errno::ECHILD)
            })
    }

    pub(super) fn told(&self, op: u32, errno: u32, detail: u32) -> Error {
        let step = self.lowered.steps.get(op as usize).copied().unwrap_or(0);
        failure::in_child_step(self.plan, step, tare_sys::Errno::new(errno as i32), detail)
    }

    /// The socket ended without a word.
    pub(super) fn died(&mut self) -> Error {
        let Some(child) = &self.child else {
            return Error::system("wait for the child", tare_sys::Errno::ECHILD);
        };
        let op = child
            .area
            .progress()
            .step
            .load(Ordering::Acquire)
            .saturating_sub(1);
        let step = self.lowered.steps.get(op as usize).copied().unwrap_or(0);
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
        let how = crate::wait::wait_child(child.pidfd.as_fd());
        failure::child_died(self.plan, step, how.ok())
    }

    /// After the last barrier: the child fails, dies, or becomes its program, which closes the socket.
    pub(super) fn await_program(&mut self) -> Result<(), Error> {
        match receive(self.control()?)? {
            Received::Frame(
                Frame::Failure {
                    step,
                    errno,
                    detail,
                },
                ..,
            ) => Err(self.told(step, errno, detail)),
            Received::Frame(..) => Err(Error::system(
                "wait for the program: an unknown frame",
                tare_sys::Errno::EPROTO,
            )),
            Received::End => {
                let at = self.child.as_ref().map_or(0, |child| {
                    child.area.progress().step.load(Ordering::Acquire)
                });
                // Killed in its last step or just after it looks the same as a program that was killed at once.
                if at as usize == self.lowered.steps.len() {
                    Ok(())
                } else {
                    Err(self.died())
                }
            }
        }
    }
}

fn timed() -> bool {
    #[cfg(feature = "proof")]
    let wanted = crate::times::wanted();
    #[cfg(not(feature = "proof"))]
    let wanted = false;
    wanted
}

fn end(pidfd: &OwnedFd) {
    let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
    let _ = crate::wait::wait_child(pidfd.as_fd());
}
