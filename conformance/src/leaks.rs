//! What a case left behind, found by things that only it can own: its ids, its directory, its descendants.

use crate::process;
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the leaks of one case (or, by a shorter tag, of a whole run) would show.
pub struct Watch<'a> {
    /// Prefix of the container ids.
    pub tag: &'a str,
    pub directory: &'a Path,
    /// State roots of the runtime, which have to be empty at the end.
    pub roots: &'a [PathBuf],
    /// Directory given to the runtime as TMPDIR.
    pub temporary: Option<&'a Path>,
    /// Number of descriptors that this process had at the start.
    pub descriptors: Option<usize>,
}

/// Names each leak; gives the kernel a moment first, because it tears down asynchronously.
pub fn find(watch: &Watch) -> Vec<String> {
    let mut found = Vec::new();
    process::eventually(Duration::from_secs(3), || {
        process::reap_all();
        found = look(watch);
        found.is_empty()
    });
    found
}

/// Removes by force what `find` found, so that one failing case does not disturb the next.
pub fn clear(watch: &Watch) {
    let me = std::process::id() as i32;
    for _ in 0..3 {
        for pid in process::descendants(me) {
            process::kill(pid, Signal::KILL);
        }
        for directory in cgroups(watch.tag) {
            // v1: a frozen process cannot die.
            let _ = fs::write(directory.join("freezer.state"), "THAWED");
            for pid in fs::read_to_string(directory.join("cgroup.procs"))
                .unwrap_or_default()
                .lines()
            {
                if let Ok(pid) = pid.parse() {
                    process::kill(pid, Signal::KILL);
                }
            }
        }
        process::eventually(Duration::from_millis(500), || {
            process::reap_all();
            process::descendants(me).is_empty()
        });
        for mount in mounts(watch.directory).into_iter().rev() {
            let _ = unmount(mount.as_path(), UnmountFlags::DETACH);
        }
        for directory in cgroups(watch.tag).into_iter().rev() {
            let _ = fs::remove_dir(directory);
        }
    }
}

pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// Mount points of this mount namespace below `directory`, outermost first.
pub fn mounts(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from);
    points
        .filter(|point| point.starts_with(directory))
        .collect()
}

/// Control group directories that carry one of the ids, in every hierarchy, parents first.
pub fn cgroups(tag: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            let path = entry.path();
            if path.ancestors().any(|part| {
                part.file_name()
                    .is_some_and(|name| carries(&name.to_string_lossy(), tag))
            }) {
                found.push(path.clone());
            }
            pending.push(path);
        }
    }
    found.sort();
    found
}

/// Whether `name` holds `tag` and not merely a longer number (`tc-1-2` is not in `tc-1-23`).
fn carries(name: &str, tag: &str) -> bool {
    name.match_indices(tag).any(|(at, _)| {
        tag.ends_with('-')
            || !name[at + tag.len()..].starts_with(|next: char| next.is_ascii_digit())
    })
}

fn look(watch: &Watch) -> Vec<String> {
    let mut found = Vec::new();
    for pid in process::descendants(std::process::id() as i32) {
        found.push(format!("process {}", process::describe(pid)));
    }
    for path in cgroups(watch.tag) {
        found.push(format!("cgroup {}", path.display()));
    }
    for path in mounts(watch.directory) {
        found.push(format!("mount {}", path.display()));
    }
    for root in watch.roots {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            found.push(format!("state {}", entry.path().display()));
        }
    }
    for entry in watch
        .temporary
        .and_then(|path| fs::read_dir(path).ok())
        .into_iter()
        .flatten()
        .flatten()
    {
        found.push(format!("temporary file {}", entry.path().display()));
    }
    if let Some(before) = watch.descriptors
        && descriptors() > before
    {
        found.push(format!(
            "open descriptors of the harness: {} before, {} after",
            before,
            descriptors()
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::carries;

    #[test]
    fn a_tag_is_not_a_prefix_of_a_longer_number() {
        assert!(carries("tc-1-2", "tc-1-2"));
        assert!(carries("crio-tc-1-2-b.scope", "tc-1-2"));
        assert!(!carries("tc-1-23", "tc-1-2"));
        assert!(carries("tc-1-23", "tc-1-"));
    }
}
