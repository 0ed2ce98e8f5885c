//! Where a container's groups are and which file holds which limit, on cgroup v1 and v2 and below systemd.

use crate::case::skip;
use crate::process;
use crate::sandbox::Container;
use std::fs;
use std::path::{Path, PathBuf};

const MOUNT: &str = "/sys/fs/cgroup";

/// One limit: the controller and its file on v1, the file on v2.
pub struct Place(&'static str, &'static str, &'static str);

pub const MEMORY: Place = Place("memory", "memory.limit_in_bytes", "memory.max");
pub const RESERVATION: Place = Place("memory", "memory.soft_limit_in_bytes", "memory.low");
pub const SWAP: Place = Place("memory", "memory.memsw.limit_in_bytes", "memory.swap.max");
pub const PIDS: Place = Place("pids", "pids.max", "pids.max");
pub const SHARES: Place = Place("cpu", "cpu.shares", "cpu.weight");
pub const BURST: Place = Place("cpu", "cpu.cfs_burst_us", "cpu.max.burst");
pub const IDLE: Place = Place("cpu", "cpu.idle", "cpu.idle");
pub const CPUS: Place = Place("cpuset", "cpuset.cpus", "cpuset.cpus");
pub const HUGE_PAGES: Place = Place("hugetlb", "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max");
pub const FROZEN: Place = Place("freezer", "freezer.state", "cgroup.freeze");

/// Whether v2 is mounted where v1's controllers are elsewhere.
pub fn is_v2() -> bool {
    Path::new(MOUNT).join("cgroup.controllers").exists()
}

/// Ends the case where no hierarchy offers the controller.
pub fn need(controller: &str) {
    let offered = fs::read_to_string(Path::new(MOUNT).join("cgroup.controllers"));
    let on_v2 = offered.is_ok_and(|text| text.split_whitespace().any(|name| name == controller));
    if !on_v2 && !v1(controller).join("cgroup.procs").exists() {
        skip(format!("no controller {controller} here"));
    }
}

/// Ends the case where v1 does not have the controller.
pub fn need_v1(controller: &str) {
    if is_v2() || !v1(controller).join("cgroup.procs").exists() {
        skip(format!("no v1 hierarchy {controller} here"));
    }
}

/// Ends the case where the kernel is older.
pub fn need_kernel(major: u32, minor: u32) {
    if !kernel_at_least(major, minor) {
        skip(format!(
            "Linux {} is older than {major}.{minor}",
            rustix::system::uname().release().to_string_lossy()
        ));
    }
}

pub fn kernel_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy().into_owned();
    let mut numbers = release
        .split(['.', '-'])
        .filter_map(|part| part.parse::<u32>().ok());
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    found >= (major, minor)
}

/// Ends the case where limits of swap can't be set.
pub fn need_swap_limit() {
    need("memory");
    if !is_v2() && !v1("memory").join("memory.memsw.limit_in_bytes").exists() {
        skip("no swap accounting");
    }
}

/// A block device of this machine that can be throttled.
pub fn block_device() -> (u64, u64) {
    let found = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let text = fs::read_to_string(entry.path().join("dev")).ok()?;
            let (major, minor) = text.trim().split_once(':')?;
            (!name.starts_with("loop") && !name.starts_with("ram"))
                .then_some((major.parse().ok()?, minor.parse().ok()?))
        });
    found.unwrap_or_else(|| skip("no block device"))
}

fn v1(controller: &str) -> PathBuf {
    Path::new(MOUNT).join(controller)
}

impl Container {
    /// The group below a hierarchy's root, as the case's cgroup driver names it.
    pub fn group(&self) -> String {
        if self.environment.systemd {
            format!("system.slice/tare-{}.scope", self.id)
        } else {
            self.id.clone()
        }
    }

    /// The directory of this container's group: the controller's on v1, the only one on v2.
    pub fn cgroup(&self, controller: &str) -> PathBuf {
        if is_v2() {
            Path::new(MOUNT).join(self.group())
        } else {
            v1(controller).join(self.group())
        }
    }

    /// A file of a v1 controller or of the v2 group, trimmed.
    #[track_caller]
    pub fn cgroup_file(&self, controller: &str, name: &str) -> String {
        let path = self.cgroup(controller).join(name);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        text.trim().to_owned()
    }

    #[track_caller]
    pub fn limit(&self, place: &Place) -> String {
        self.cgroup_file(place.0, if is_v2() { place.2 } else { place.1 })
    }

    /// The limit is the first value on v1, the second on v2.
    #[track_caller]
    pub fn expect_limits(&self, place: &Place, on_v1: &str, on_v2: &str) {
        let expected = if is_v2() { on_v2 } else { on_v1 };
        assert_eq!(self.limit(place), expected, "{} / {}", place.1, place.2);
    }

    /// The limit is the same on both.
    #[track_caller]
    pub fn expect_limit(&self, place: &Place, value: impl ToString) {
        let value = value.to_string();
        self.expect_limits(place, &value, &value);
    }

    /// There is no limit: `max`, or a number beyond any memory.
    #[track_caller]
    pub fn expect_unlimited(&self, place: &Place) {
        let text = self.limit(place);
        let number = text.parse::<u64>();
        assert!(text == "max" || number.is_ok_and(|n| n > 1 << 60), "{text}");
    }

    /// Waits until the group holds no process; systemd removes it then.
    pub fn group_empties(&self) -> bool {
        process::eventually(std::time::Duration::from_secs(3), || {
            process::reap_all();
            match fs::read_to_string(self.cgroup("pids").join("cgroup.procs")) {
                Ok(text) => text.is_empty(),
                Err(_) => self.environment.systemd,
            }
        })
    }
}

/// Ends the case where systemd decides on the group's path.
pub fn need_own_path(container: &Container) {
    if container.environment.systemd {
        skip("systemd makes the path: it is slice:prefix:name");
    }
}
