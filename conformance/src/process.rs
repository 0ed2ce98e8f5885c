//! Processes of this machine: bounded waits, signals by pid, descendants and what /proc says of them.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, wait, waitpid,
};
use std::fs;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How many times longer than usual this run waits.
static PATIENCE: AtomicU32 = AtomicU32::new(1);

pub fn be_patient(times: u32) {
    PATIENCE.store(times, Ordering::Relaxed);
}

/// A time limit on this machine.
pub fn patient(limit: Duration) -> Duration {
    limit * PATIENCE.load(Ordering::Relaxed)
}

/// Waits until `child` ends; None when `limit` passes first (the child still runs).
pub fn wait_child(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    ended_within(child.id() as i32, limit).then(|| child.wait().expect("own child"))
}

/// Reaps a re-parented child (a container's init) and gives its exit code, 128 + N when killed by signal N.
/// None: it did not end within `limit`, or it is no child of this process.
pub fn reap(pid: i32, limit: Duration) -> Option<i32> {
    if !ended_within(pid, limit) {
        return None;
    }
    let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::NOHANG).ok()??;
    status
        .exit_status()
        .or_else(|| status.terminating_signal().map(|signal| 128 + signal))
}

/// Collects every child that has already ended.
pub fn reap_all() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

fn ended_within(pid: i32, limit: Duration) -> bool {
    let limit = patient(limit);
    let Some(pid) = Pid::from_raw(pid) else {
        return false;
    };
    let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
        return true;
    };
    let timeout = Timespec {
        tv_sec: limit.as_secs() as i64,
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    let mut watched = [PollFd::new(&descriptor, PollFlags::IN)];
    loop {
        match poll(&mut watched, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return false,
            _ => return true,
        }
    }
}

pub fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // Only a race with its end can fail here, and then there is nothing left to do.
        let _ = kill_process(pid, signal);
    }
}

/// Field 3 of /proc/PID/stat: R, S, D, Z, T...; None when the process is gone.
pub fn state(pid: i32) -> Option<char> {
    stat_fields(pid)?.first()?.chars().next()
}

pub fn parent(pid: i32) -> Option<i32> {
    stat_fields(pid)?.get(1)?.parse().ok()
}

pub fn is_alive(pid: i32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

fn stat_fields(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, tail) = text.rsplit_once(')')?;
    Some(tail.split_whitespace().map(str::to_owned).collect())
}

/// The children of a process with one thread.
pub fn children(pid: i32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = text.split_ascii_whitespace();
    pids.filter_map(|pid| pid.parse().ok()).collect()
}

/// All living or dead but unreaped descendants of `ancestor`.
pub fn descendants(ancestor: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> = fs::read_dir("/proc")
        .expect("/proc is mounted")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, parent(pid)?)))
        .collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while next < found.len() {
        let current = found[next];
        found.extend(
            parents
                .iter()
                .filter(|(_, p)| *p == current)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    found.remove(0);
    found
}

/// A short description for messages: pid, state and command line.
pub fn describe(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&line).replace('\0', " ");
    format!("{pid} [{}] {}", state(pid).unwrap_or('-'), words.trim())
}

/// Polls until `condition` holds, at most `limit`; says whether it came to hold.
pub fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + patient(limit);
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
