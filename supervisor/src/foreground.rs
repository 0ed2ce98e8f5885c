//! Staying with a process until it ends: signals handed on, terminal relayed, orphans reaped, readiness forwarded.
use crate::terminal::{Channel, RawTerminal, hand_on_size};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, waitid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use tare_runtime::{Error, ExitStatus, Signal, SignalReceiver};

/// What a foreground command attends to; `E` is how the command fails.
pub struct Foreground<'a, E> {
    /// All signals, blocked before the process was made so that none is lost.
    pub signals: &'a SignalReceiver,
    /// Readable when the process has ended.
    pub pidfd: OwnedFd,
    /// Host pid of the process.
    pub pid: i32,
    /// Reaps the process.
    pub wait: &'a dyn Fn() -> Result<ExitStatus, Error>,
    /// Sends it a signal.
    pub kill: &'a dyn Fn(Signal) -> Result<(), Error>,
    /// Its terminal's master.
    pub console: Option<OwnedFd>,
    /// Whether what is typed goes to its terminal.
    pub input: bool,
    /// Where its readiness arrives.
    pub notify: Option<Notify<'a, E>>,
    /// Whether orphans end up with us.
    pub reap: bool,
}

/// A socket that a process tells its readiness to.
pub struct Notify<'a, E> {
    /// Readable when something was told.
    pub fd: BorrowedFd<'a>,
    /// Hands it on; the host pid of the process goes with it. Whether nothing more is to come.
    pub forward: &'a dyn Fn(i32) -> Result<bool, E>,
}

/// A system call on our own side that failed.
#[derive(Debug)]
pub struct SystemError {
    /// What was tried.
    pub what: &'static str,
    /// The kernel's answer.
    pub errno: Errno,
}

impl std::fmt::Display for SystemError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{}: {}",
            self.what,
            tare_runtime::Errno::new(self.errno.raw_os_error())
        )
    }
}

impl std::error::Error for SystemError {}

impl<E: From<Error> + From<SystemError>> Foreground<'_, E> {
    /// Attends until the process ends; gives how.
    pub fn attend(mut self) -> Result<ExitStatus, E> {
        // Without input the terminal keeps its keys: Ctrl-C is a signal to us, which we hand on.
        let raw = (self.console.is_some() && self.input).then(RawTerminal::enter);
        if let Some(master) = &self.console {
            hand_on_size(master.as_fd());
            rustix::io::ioctl_fionbio(master, true).map_err(|errno| SystemError {
                what: "terminal",
                errno,
            })?;
        }
        let (mut inward, mut outward) = (Channel::default(), Channel::default());
        let mut ended = false;
        while !ended {
            ended = self.turn(&mut inward, &mut outward)?;
        }
        if let Some(master) = self.console.take() {
            finish_output(master.as_fd(), &mut outward);
        }
        let status = (self.wait)()?;
        drop(raw);
        Ok(status)
    }

    /// One wait; tells whether the process has ended.
    fn turn(&mut self, inward: &mut Channel, outward: &mut Channel) -> Result<bool, E> {
        let none = PollFlags::empty();
        let when = |yes: bool, flags: PollFlags| if yes { flags } else { none };
        let mut fds = vec![
            PollFd::new(self.signals, PollFlags::IN),
            PollFd::new(&self.pidfd, PollFlags::IN),
        ];
        if let Some(notify) = &self.notify {
            fds.push(PollFd::new(&notify.fd, PollFlags::IN));
        }
        let console_at = fds.len();
        let (stdin, stdout) = (rustix::stdio::stdin(), rustix::stdio::stdout());
        if let Some(master) = &self.console {
            let wanted = when(inward.wants_output(), PollFlags::OUT)
                | when(outward.wants_input(), PollFlags::IN);
            // A flagless entry would still report a hang-up, again and again.
            if !wanted.is_empty() {
                fds.push(PollFd::new(master, wanted));
            }
            if self.input && inward.wants_input() {
                fds.push(PollFd::new(&stdin, PollFlags::IN));
            }
            if outward.wants_output() {
                fds.push(PollFd::new(&stdout, PollFlags::OUT));
            }
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(SystemError {
                    what: "poll",
                    errno,
                }
                .into());
            }
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        let any = |index: usize| ready.get(index).is_some_and(|flags| !flags.is_empty());
        if any(0) {
            self.take_signals()?;
        }
        if self.notify.is_some() && any(2) {
            self.take_notification()?;
        }
        if let Some(master) = &self.console
            && ready[console_at..].iter().any(|flags| !flags.is_empty())
        {
            relay(master.as_fd(), inward, outward, (stdin, stdout), self.input);
        }
        Ok(any(1))
    }

    fn take_notification(&mut self) -> Result<(), E> {
        if let Some(notify) = &self.notify
            && (notify.forward)(self.pid)?
        {
            self.notify = None;
        }
        Ok(())
    }

    fn take_signals(&self) -> Result<(), E> {
        while let Some(signal) = self.signals.next()? {
            match signal.number() {
                CHILD => {
                    if self.reap {
                        self.reap_orphans();
                    }
                }
                WINDOW_CHANGE => {
                    if let Some(master) = &self.console {
                        hand_on_size(master.as_fd());
                    }
                }
                // Ours: a reader that went away, and what runtimes use among their own threads.
                PIPE | URGENT => {}
                _ => match (self.kill)(signal) {
                    // It has just ended.
                    Ok(()) | Err(Error::NotRunning { .. }) => {}
                    Err(error) => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    fn reap_orphans(&self) {
        while let Some(pid) = next_zombie(self.pid) {
            // Gone already is as good.
            let _ = rustix::process::waitpid(Some(pid), WaitOptions::NOHANG);
        }
    }
}

/// A child of ours that has ended and isn't the one we attend to.
fn next_zombie(own: i32) -> Option<rustix::process::Pid> {
    let children = std::fs::read_to_string("/proc/thread-self/children").ok()?;
    children
        .split_ascii_whitespace()
        .filter_map(|text| text.parse().ok())
        .filter(|pid| *pid != own)
        .filter_map(rustix::process::Pid::from_raw)
        .find(|pid| {
            // Looked at, not reaped: the process itself is left for `wait`.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            matches!(waitid(WaitId::Pid(*pid), options), Ok(Some(_)))
        })
}

/// Moves what can be moved without waiting.
fn relay(
    master: BorrowedFd<'_>,
    inward: &mut Channel,
    outward: &mut Channel,
    own: (BorrowedFd<'_>, BorrowedFd<'_>),
    input: bool,
) {
    let ready = |fd: BorrowedFd<'_>, flags: PollFlags| {
        let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
        poll(
            &mut fds,
            Some(&rustix::event::Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            }),
        )
        .is_ok_and(|count| count > 0)
    };
    if outward.wants_input() && ready(master, PollFlags::IN) {
        outward.fill(master);
    }
    if outward.wants_output() && ready(own.1, PollFlags::OUT) {
        outward.drain(own.1);
    }
    if input && inward.wants_input() && ready(own.0, PollFlags::IN) {
        inward.fill(own.0);
    }
    if inward.wants_output() && ready(master, PollFlags::OUT) {
        inward.drain(master);
    }
}

/// What the program wrote before it ended.
fn finish_output(master: BorrowedFd<'_>, outward: &mut Channel) {
    let stdout = rustix::stdio::stdout();
    loop {
        while outward.wants_output() {
            outward.drain(stdout);
        }
        let mut fds = [PollFd::from_borrowed_fd(master, PollFlags::IN)];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let more = poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
            && fds[0].revents().contains(PollFlags::IN);
        if !more || outward.ended {
            return;
        }
        outward.fill(master);
    }
}

const PIPE: i32 = 13;
const CHILD: i32 = 17;
const URGENT: i32 = 23;
const WINDOW_CHANGE: i32 = 28;
