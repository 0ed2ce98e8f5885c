//! An interrupt ends what is under way in order: what was begun is taken away. What does not end soon is ended all the same, and the
//! next command takes away what it left.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal as Number, getpid, kill_process};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tare_runtime::SignalReceiver;

/// How long an orderly end may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Watches for interrupts until it is dropped. Made before other threads of this process, as their signals are watched too.
pub struct Interrupt {
    shared: Arc<Shared>,
    /// Closed, it ends the thread.
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Dropped last, by the thread that made it.
    _signals: Arc<SignalReceiver>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    signal: AtomicU8,
}

impl Interrupt {
    /// None where the kernel gives no descriptor: then an interrupt ends the process as it always does.
    pub fn watch() -> Option<Self> {
        let signals = Arc::new(SignalReceiver::new().ok()?);
        let (ended, end) = pipe_with(PipeFlags::CLOEXEC).ok()?;
        let shared = Arc::new(Shared::default());
        let (theirs, fd) = (Arc::clone(&shared), Arc::clone(&signals));
        let thread = std::thread::Builder::new().spawn(move || attend(&theirs, &fd, &ended));
        Some(Self {
            shared,
            end: Some(end),
            thread: Some(thread.ok()?),
            _signals: signals,
        })
    }

    /// Set by an interrupt.
    pub fn stop(&self) -> &AtomicBool {
        &self.shared.stop
    }

    /// The exit status of an interrupted command, as a shell has it; None: nothing came.
    pub fn status(&self) -> Option<u8> {
        let signal = self.shared.signal.load(Relaxed);
        (signal != 0).then_some(128 + signal)
    }
}

fn attend(shared: &Shared, signals: &SignalReceiver, ended: &OwnedFd) {
    let mut deadline: Option<Instant> = None;
    loop {
        let mut fds = [
            PollFd::new(signals, PollFlags::IN),
            PollFd::new(ended, PollFlags::IN),
        ];
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, left.as_ref()) {
            Ok(0) => exit(shared),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        if !fds[1].revents().is_empty() {
            return;
        }
        while let Ok(Some(signal)) = signals.next() {
            match Number::from_named_raw(signal.number()) {
                Some(ending @ (Number::INT | Number::TERM | Number::HUP | Number::QUIT)) => {
                    let number = u8::try_from(ending.as_raw()).unwrap_or(0);
                    let second = shared.signal.swap(number, Relaxed) != 0;
                    if second {
                        exit(shared);
                    }
                    shared.stop.store(true, Relaxed);
                    deadline = Some(Instant::now() + PATIENCE);
                }
                // Suspended from the terminal; it goes on from here.
                Some(Number::TSTP) => {
                    let _ = kill_process(getpid(), Number::STOP);
                }
                _ => {}
            }
        }
    }
}

fn exit(shared: &Shared) -> ! {
    std::process::exit(128 + i32::from(shared.signal.load(Relaxed)))
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
