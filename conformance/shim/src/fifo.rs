//! Fifos as containerd makes them for a process's streams, and the threads that read them.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub fn make(path: &Path) -> PathBuf {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o700), 0)
        .expect("the case's own directory");
    path.to_owned()
}

#[derive(Default)]
struct Shared {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

/// Reads a fifo until its writers are gone. The shim must open it: until then nothing is read.
#[derive(Clone)]
pub struct Reader(Arc<Shared>);

impl Reader {
    /// Reads as fast as it comes.
    pub fn open(path: &Path) -> Self {
        Self::with(path, |_| {})
    }

    /// Calls `between` after each piece, with its length.
    pub fn with(path: &Path, mut between: impl FnMut(usize) + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let reader = Self(Arc::clone(&shared));
        // Without waiting for a writer, as containerd does: else a short life could be over before the thread has it open.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(path, flags, Mode::empty()).expect("a fifo"));
        std::thread::spawn(move || {
            let mut piece = vec![0; 64 << 10];
            loop {
                // Hangs up only when there was a writer.
                let _ = poll(&mut [PollFd::new(&file, PollFlags::IN)], None);
                match file.read(&mut piece) {
                    Ok(0) => break,
                    Ok(count) => {
                        shared.lock().0.extend_from_slice(&piece[..count]);
                        shared.changed.notify_all();
                        between(count);
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            shared.lock().1 = true;
            shared.changed.notify_all();
        });
        reader
    }

    /// All of it, when the writers are gone within the limit.
    #[track_caller]
    pub fn whole(&self, limit: Duration) -> Vec<u8> {
        let ended = self.until(limit, |_, ended| ended);
        let state = self.0.lock();
        assert!(
            ended,
            "the fifo is still open after {limit:?}, {} bytes came",
            state.0.len()
        );
        state.0.clone()
    }

    #[track_caller]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.whole(Duration::from_secs(10))).into_owned()
    }

    /// What came so far, as soon as it contains `word`.
    #[track_caller]
    pub fn await_word(&self, word: &str) -> String {
        let seen = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(word);
        let found = self.until(Duration::from_secs(10), |bytes, ended| ended || seen(bytes));
        let text = self.so_far();
        assert!(
            found && text.contains(word),
            "no {word:?} came, but {text:?}"
        );
        text
    }

    pub fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().0).into_owned()
    }

    pub fn count(&self) -> usize {
        self.0.lock().0.len()
    }

    fn until(&self, limit: Duration, holds: impl Fn(&[u8], bool) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut state = self.0.lock();
        loop {
            if holds(&state.0, state.1) {
                return true;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return false;
            };
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.expect("no thread panics with it").0;
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<u8>, bool)> {
        self.state.lock().expect("no thread panics with it")
    }
}

/// The writing end of a process's input; waits until the shim has opened its own.
#[track_caller]
pub fn writer(path: &Path) -> File {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        // Without a reader this says ENXIO.
        match rustix::fs::open(path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(file) => {
                rustix::io::ioctl_fionbio(&file, false).expect("a fifo");
                return File::from(file);
            }
            Err(error) => assert!(Instant::now() < end, "{}: {error}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
