//! What this machine lacks: some results can only fail where a controller or a security module is missing.

use std::fs;
use std::path::Path;

/// Facts of the host that conditions ask for.
#[derive(Debug, Default, Clone)]
pub struct Host {
    /// Controllers of the mounted v1 hierarchies.
    pub controllers: Vec<String>,
    pub leaf_weight: bool,
    pub apparmor: bool,
    pub selinux: bool,
    /// Root's bounding set holds every capability of the kernel.
    pub all_capabilities: bool,
}

impl Host {
    pub fn probe() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let last = fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap_or_default();
        Self {
            controllers: v1_controllers(&mounts),
            leaf_weight: Path::new("/sys/fs/cgroup/blkio/blkio.leaf_weight").exists(),
            apparmor: fs::read_to_string("/sys/module/apparmor/parameters/enabled")
                .is_ok_and(|text| text.trim() == "Y"),
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            all_capabilities: holds_all(&status, last.trim()),
        }
    }

    /// The suite's programs for control groups know v1 only.
    pub fn has_v1(&self) -> bool {
        !self.controllers.is_empty()
    }

    /// Whether a `when` of the list holds here; None: no such condition.
    pub fn holds(&self, when: &str) -> Option<bool> {
        if let Some(name) = when.strip_prefix("no v1 controller ") {
            return Some(!self.controllers.iter().any(|have| have == name));
        }
        match when {
            "" => Some(true),
            "cgroup v1" => Some(self.has_v1()),
            "no blkio.leaf_weight" => Some(!self.leaf_weight),
            "no apparmor" => Some(!self.apparmor),
            "no selinux" => Some(!self.selinux),
            "capabilities withheld" => Some(!self.all_capabilities),
            _ => None,
        }
    }
}

/// The controllers of mounted v1 hierarchies: they stand among the super block's options.
fn v1_controllers(mountinfo: &str) -> Vec<String> {
    mountinfo
        .lines()
        .filter_map(|line| line.split_once(" - cgroup "))
        .filter_map(|(_, tail)| tail.rsplit(' ').next())
        .flat_map(|options| options.split(','))
        .filter(|option| !option.contains('='))
        .map(str::to_owned)
        .collect()
}

fn holds_all(status: &str, last: &str) -> bool {
    let bounding = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    let last: Option<u32> = last.parse().ok();
    match (bounding, last) {
        (Some(have), Some(last)) if last < 63 => have == (1 << (last + 1)) - 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_come_from_the_super_block() {
        let text = "30 29 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    31 29 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                    32 29 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let host = Host {
            controllers: v1_controllers(text),
            ..Host::default()
        };
        assert_eq!(host.holds("no v1 controller cpu"), Some(false));
        assert_eq!(host.holds("no v1 controller net_cls"), Some(true));
        assert_eq!(host.holds("no v1 controller systemd"), Some(true));
    }

    #[test]
    fn a_whole_bounding_set() {
        assert!(holds_all("Name:\tx\nCapBnd:\t000001ffffffffff\n", "40"));
        assert!(!holds_all("CapBnd:\t000001fffeffffff\n", "40"));
        assert!(!holds_all("", "40"));
    }

    #[test]
    fn an_unknown_condition_is_no_condition() {
        assert_eq!(Host::default().holds("on tuesdays"), None);
    }
}
