//! The one race helper: two names that change places by renameat2(RENAME_EXCHANGE) as fast as the kernel does it.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

const FLIP: u8 = 0;
const REST: u8 = 1;
const RESTING: u8 = 2;
const STOP: u8 = 3;

/// Flips from its making to its end; then both names mean again what they meant at first.
pub struct Flipper {
    state: Arc<AtomicU8>,
    flips: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flipper {
    pub fn new(one: impl Into<PathBuf>, other: impl Into<PathBuf>) -> Self {
        let (one, other) = (one.into(), other.into());
        let state = Arc::new(AtomicU8::new(FLIP));
        let flips = Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (state, flips) = (Arc::clone(&state), Arc::clone(&flips));
            move || work(&one, &other, &state, &flips)
        });
        Self {
            state,
            flips,
            thread: Some(thread),
        }
    }

    /// Holds still with both names as they were at first.
    pub fn rest(&self) {
        self.state.store(REST, Ordering::SeqCst);
        while self.state.load(Ordering::SeqCst) == REST {
            std::thread::yield_now();
        }
    }

    /// Goes on after `rest`.
    pub fn go_on(&self) {
        self.state.store(FLIP, Ordering::SeqCst);
    }

    /// How often the names have changed places.
    pub fn flips(&self) -> u64 {
        self.flips.load(Ordering::Relaxed)
    }
}

impl Drop for Flipper {
    fn drop(&mut self) {
        self.state.store(STOP, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(one: &Path, other: &Path, state: &AtomicU8, flips: &AtomicU64) {
    // A mount point of this namespace can't be renamed: that flip does not count.
    let flip = || {
        let done = renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok();
        flips.fetch_add(u64::from(done), Ordering::Relaxed);
    };
    let restore = || {
        for _ in 0..1000 {
            if flips.load(Ordering::Relaxed).is_multiple_of(2) {
                break;
            }
            flip();
        }
    };
    loop {
        match state.load(Ordering::SeqCst) {
            FLIP => flip(),
            REST => {
                restore();
                let _ = state.compare_exchange(REST, RESTING, Ordering::SeqCst, Ordering::SeqCst);
            }
            RESTING => std::thread::sleep(std::time::Duration::from_micros(200)),
            _ => break,
        }
    }
    restore();
}
