//! What one fault left: compared with what was there before it, by things that only this part of the suite has.

use super::ground::Ground;
use crate::process;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What was there: the mounts of this mount namespace, which is ours alone, files, and children.
pub struct Before {
    mounts: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
    children: BTreeSet<i32>,
}

impl Before {
    pub fn now(ground: &Ground) -> Self {
        Self {
            mounts: mounts(),
            files: files(ground),
            children: children(),
        }
    }

    /// Names what is more than before. A runtime that has ended by itself has reaped its children: nothing is waited for.
    pub fn left(&self, ground: &Ground) -> Vec<String> {
        let mut found = Vec::new();
        for pid in children().difference(&self.children) {
            found.push(format!("process {}", process::describe(*pid)));
        }
        for line in mounts().difference(&self.mounts) {
            found.push(format!("mount {line}"));
        }
        for path in files(ground).difference(&self.files) {
            found.push(format!("file {}", path.display()));
        }
        for path in ground.cgroups() {
            found.push(format!("cgroup {}", path.display()));
        }
        if ground.interface_is_kept() {
            found
                .push("network namespace: the interface that was moved is still in one".to_owned());
        }
        found
    }

    /// Ends and removes all that is left, so that the next fault begins as this one did.
    pub fn restore(&self, ground: &Ground) {
        for pid in children().difference(&self.children) {
            for below in process::descendants(*pid) {
                process::kill(below, Signal::KILL);
            }
            process::kill(*pid, Signal::KILL);
        }
        process::eventually(Duration::from_secs(2), || {
            reap_new(&self.children);
            children() == self.children
        });
        ground.remove_cgroups();
        for line in mounts().difference(&self.mounts) {
            if let Some(point) = line.split(' ').nth(4) {
                let _ = unmount(point, UnmountFlags::DETACH);
            }
        }
        for path in files(ground).difference(&self.files) {
            let _ = fs::remove_dir_all(path);
            let _ = fs::remove_file(path);
        }
    }
}

/// Collects the children that have ended since.
pub fn reap_new(known: &BTreeSet<i32>) {
    for pid in children().difference(known) {
        process::reap(*pid, Duration::ZERO);
    }
}

/// Own children, alive or not collected yet.
pub fn children() -> BTreeSet<i32> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if matches!(waitid(WaitId::All, look), Err(rustix::io::Errno::CHILD)) {
        return BTreeSet::new();
    }
    let me = std::process::id() as i32;
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| process::parent(*pid) == Some(me))
        .collect()
}

fn mounts() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().map(str::to_owned).collect()
}

/// The part's own directories, without what is inside the container's root and what calls print.
fn files(ground: &Ground) -> BTreeSet<PathBuf> {
    let environment = &ground.sandbox.environment;
    let mut found = BTreeSet::new();
    // The terminals of the container that an exec goes into.
    let terminals = PathBuf::from(format!("/proc/{}/root/dev/pts", ground.init.get()));
    for directory in [
        terminals.as_path(),
        environment.directory.as_path(),
        &environment.root,
        &environment.temporary,
        &ground.sandbox.bundle,
    ] {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        for entry in entries {
            let path = entry.path();
            let printed = path
                .extension()
                .is_some_and(|end| end == "out" || end == "err");
            if !printed && path != environment.root {
                found.insert(path);
            }
        }
    }
    found
}
