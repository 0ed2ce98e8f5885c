//! A process that a fault lets stand still, under a name of its own, so that it can be killed or stopped from outside.

use super::left::children;
use crate::process;
use crate::runtime::Running;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

/// Waits until a child of the runtime stands still. A runtime that has ended has left it to us.
///
/// None: the runtime has ended, and of the children that are not `known` there is none.
pub fn find(running: &Running, known: &BTreeSet<i32>) -> Option<i32> {
    let own = std::process::id() as i32;
    let end = Instant::now() + process::patient(Duration::from_secs(10));
    while Instant::now() < end {
        let ended = !process::is_alive(running.pid());
        let below = process::children(running.pid());
        let parked = below.into_iter().chain(process::children(own)).find(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim() == "tare-parked" && process::is_alive(*pid)
        });
        if parked.is_some() {
            return parked;
        }
        if ended && children() == *known {
            return None;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    panic!("no process stands still at the step: the fault did not strike");
}

/// Kills it.
pub fn kill(running: &Running, known: &BTreeSet<i32>) {
    if let Some(pid) = find(running, known) {
        process::kill(pid, Signal::KILL);
    }
}

/// Stops it.
pub fn stop(running: &Running, known: &BTreeSet<i32>) -> i32 {
    let pid = find(running, known).expect("the fault did not strike");
    process::kill(pid, Signal::STOP);
    pid
}
