//! What a case works in: directory, state root, root filesystem, ids of its own; and what it left at the end.

use crate::args::Options;
use crate::process;
use rustix::process::{Signal, getpid, set_child_subreaper};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CLONE_NEWNS: u32 = 0x2_0000;
/// The library keeps one file a process: the sealed copy of the container's first program.
const KEPT: &str = "/memfd:tare-init (deleted)";

pub struct World {
    pub options: Options,
    pub directory: PathBuf,
    pub state_root: PathBuf,
    pub root_filesystem: PathBuf,
    /// Prefix of every container id.
    pub tag: String,
    descriptors: BTreeMap<String, usize>,
    mounts: String,
}

impl World {
    /// A mount namespace of its own, so that the mounts after are the mounts before; orphans come to this process.
    pub fn new(name: &str, options: &Options) -> Result<World, String> {
        let fail = |what: &str, error: String| format!("{what}: {error}");
        if !rustix::process::geteuid().is_root() {
            return Err("needs root".to_owned());
        }
        tare_sys::ns::unshare(CLONE_NEWNS)
            .map_err(|errno| fail("unshare the mount namespace", errno.to_string()))?;
        let private = rustix::mount::MountPropagationFlags::PRIVATE
            | rustix::mount::MountPropagationFlags::REC;
        rustix::mount::mount_change("/", private)
            .map_err(|errno| fail("make all mounts private", errno.to_string()))?;
        set_child_subreaper(Some(getpid()))
            .map_err(|errno| fail("become a subreaper", errno.to_string()))?;
        let directory = options.directory.clone();
        let root_filesystem = directory.join("rootfs");
        make_root(&root_filesystem)
            .map_err(|error| fail("make the root filesystem", error.to_string()))?;
        // Test users and mapped ids must pass through.
        for path in [&directory, &root_filesystem] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755))
                .map_err(|error| error.to_string())?;
        }
        let tag = tag_of(&directory);
        println!("  {name}: ids {tag}N");
        Ok(World {
            options: options.clone(),
            state_root: directory.join("state"),
            root_filesystem,
            tag,
            descriptors: descriptors(),
            mounts: mounts(),
            directory,
        })
    }

    /// The world of a case that another process of this program has made.
    pub fn joined(options: &Options) -> World {
        let directory = options.directory.clone();
        World {
            options: options.clone(),
            state_root: directory.join("state"),
            root_filesystem: directory.join("rootfs"),
            tag: tag_of(&directory),
            descriptors: BTreeMap::new(),
            mounts: String::new(),
            directory,
        }
    }

    pub fn id(&self, number: usize) -> String {
        format!("{}{number}", self.tag)
    }

    pub fn runtime(&self) -> tare_runtime::Runtime {
        tare_runtime::Runtime::new(&self.state_root)
    }

    /// Names what is still there (the kernel gets a moment: it tears down by and by), then removes all of it.
    pub fn finish(&self) -> Vec<String> {
        let mut found = Vec::new();
        process::eventually(Duration::from_secs(5), || {
            process::reap_all();
            found = self.look();
            found.is_empty()
        });
        World::clear(&self.directory);
        found
    }

    /// Everything that only this case can own.
    pub fn look(&self) -> Vec<String> {
        let mut found = Vec::new();
        for pid in process::descendants(std::process::id() as i32) {
            found.push(format!("process {}", process::describe(pid)));
        }
        for path in cgroups(&self.tag) {
            found.push(format!("cgroup {}", path.display()));
        }
        for entry in fs::read_dir(&self.state_root)
            .into_iter()
            .flatten()
            .flatten()
        {
            found.push(format!("state directory {}", entry.path().display()));
        }
        found.extend(self.changes_here());
        found
    }

    /// Mounts and descriptors of this process that were not there at the beginning.
    pub fn changes_here(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (target, count) in descriptors() {
            let before = self.descriptors.get(&target).copied().unwrap_or(0);
            let kept = usize::from(target == KEPT);
            if count > before + kept {
                found.push(format!(
                    "descriptor {target}: {before} before, {count} after"
                ));
            }
        }
        let mounts = mounts();
        for line in mounts
            .lines()
            .filter(|line| !self.mounts.lines().any(|before| before == *line))
        {
            found.push(format!("mount {line}"));
        }
        found
    }

    /// By force: for a case that failed or was killed.
    pub fn clear(directory: &Path) {
        let tag = tag_of(directory);
        for _ in 0..50 {
            let groups = cgroups(&tag);
            if groups.is_empty() {
                break;
            }
            for group in groups.iter().rev() {
                let _ = fs::write(group.join("freezer.state"), "THAWED");
                let pids = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
                for pid in pids.lines().filter_map(|line| line.parse().ok()) {
                    process::kill(pid, Signal::KILL);
                }
                let _ = fs::remove_dir(group);
            }
            process::reap_all();
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = fs::remove_dir_all(directory);
    }
}

fn tag_of(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    format!("{}-n", name.trim_start_matches("tare-"))
}

/// Debian's static busybox and what the kernel needs to mount on.
fn make_root(directory: &Path) -> std::io::Result<()> {
    for name in ["bin", "dev", "proc", "sys", "tmp", "etc", "root"] {
        fs::create_dir_all(directory.join(name))?;
    }
    fs::copy("/bin/busybox", directory.join("bin/busybox"))?;
    for applet in [
        "sh", "sleep", "true", "cat", "hostname", "readlink", "grep", "mkdir",
    ] {
        symlink("busybox", directory.join("bin").join(applet))?;
    }
    fs::write(
        directory.join("etc/passwd"),
        "root:x:0:0:root:/root:/bin/sh\n",
    )
}

/// What each descriptor of this process is, and how many of a kind; numbers of sockets and pipes left out.
fn descriptors() -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
    {
        // The descriptor of this very listing is gone by now.
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        let target = target.to_string_lossy().into_owned();
        let kind = target
            .split_once(":[")
            .map_or(target.as_str(), |(kind, _)| kind);
        if !kind.starts_with("/proc/") || !kind.ends_with("/fd") {
            *all.entry(kind.to_owned()).or_insert(0) += 1;
        }
    }
    all
}

fn mounts() -> String {
    fs::read_to_string("/proc/thread-self/mountinfo").unwrap_or_default()
}

/// Control groups of this case in every hierarchy, parents first.
pub fn cgroups(tag: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![(PathBuf::from("/sys/fs/cgroup"), 0)];
    while let Some((directory, depth)) = pending.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let ours = entry.file_name().to_string_lossy().contains(tag);
            if ours {
                found.push(entry.path());
            }
            if ours || depth < 4 {
                pending.push((entry.path(), depth + 1));
            }
        }
    }
    found.sort();
    found
}
