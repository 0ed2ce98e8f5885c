//! What an attack must not have done: files of the host that must stay as they are, mounts that must not appear, descriptors.

use crate::case::harm;
use crate::inspect::Report;
use crate::leaks;
use crate::sandbox::{Container, Sandbox};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A directory of the host beside the container, with a file in it, that nobody may touch.
pub struct Outside {
    pub path: String,
    before: Vec<String>,
    mounts: Vec<PathBuf>,
    directory: PathBuf,
    mounted: bool,
}

impl Outside {
    pub fn new(s: &Sandbox) -> Self {
        Self::make(s, false)
    }

    /// On a mount of its own that tells its peers: what a container that shares its mounts with the host mounts there, the host
    /// sees.
    pub fn shared(s: &Sandbox) -> Self {
        Self::make(s, true)
    }

    fn make(s: &Sandbox, shared: bool) -> Self {
        let path = s.path("outside");
        fs::create_dir(&path).expect("an empty directory");
        if shared {
            mount("outside", &path, "tmpfs", MountFlags::empty(), None)
                .expect("attacks run as root in a mount namespace of their own");
            mount_change(&path, MountPropagationFlags::SHARED).expect("own mount");
        }
        fs::write(format!("{path}/decoy"), "decoy").expect("own directory");
        let mut outside = Self {
            before: Vec::new(),
            mounts: Vec::new(),
            directory: s.environment.directory.clone(),
            mounted: shared,
            path,
        };
        outside.accept();
        outside
    }

    /// Takes what is there now as what must stay.
    pub fn accept(&mut self) {
        self.before = tree(Path::new(&self.path));
        self.mounts = leaks::mounts(&self.directory);
    }

    /// Ends the attack as successful unless all is as it was.
    pub fn untouched(&self) {
        let mounts = leaks::mounts(&self.directory);
        if mounts != self.mounts {
            harm(format!("the host has other mounts: {mounts:?}"));
        }
        let now = tree(Path::new(&self.path));
        if now != self.before {
            harm(format!("the host's files changed: {now:?}"));
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if self.mounted {
            for point in leaks::mounts(Path::new(&self.path)).into_iter().rev() {
                let _ = unmount(point.as_path(), UnmountFlags::DETACH);
            }
        }
    }
}

/// One line an entry: name, kind and mode, owner, device, content.
pub fn tree(directory: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let Ok(stat) = fs::symlink_metadata(&path) else {
            continue;
        };
        let content = if stat.is_file() {
            fs::read_to_string(&path).unwrap_or_default()
        } else {
            String::new()
        };
        lines.push(format!(
            "{} {:o} {}:{} {:x} {content}",
            path.strip_prefix(directory).unwrap_or(&path).display(),
            stat.mode(),
            stat.uid(),
            stat.gid(),
            stat.rdev()
        ));
        if stat.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        }
    }
    lines.sort();
    lines
}

/// Runs the inspector once as the container's program: its report, or None if the start failed, which an attack may achieve.
pub fn start(s: &mut Container, probes: &[&str]) -> Option<Report> {
    s.spec.args(&[&["/inspect", "report"], probes].concat());
    let output = s.run();
    if output.code != 0 {
        assert!(
            !output.stderr.trim().is_empty(),
            "{}: failed without a word",
            output.line
        );
        return None;
    }
    let report = Report::parse(&output.stdout);
    only_stdio(&report);
    Some(report)
}

/// No descriptor of the host's has come along.
pub fn only_stdio(report: &Report) {
    let descriptors = report.0["fds"].as_object().expect("a report lists them");
    let numbers: Vec<&str> = descriptors.keys().map(String::as_str).collect();
    if numbers != ["0", "1", "2"] {
        harm(format!("descriptors in the container: {descriptors:?}"));
    }
}

/// At least one of a race's starts has to come about, or nothing was shown.
pub fn some_started(started: usize, starts: usize) {
    assert!(
        started > 0,
        "not one of {starts} starts came about: the attack stops the service and shows nothing"
    );
}
