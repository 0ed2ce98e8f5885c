//! The scenarios: a kernel, a userland, what is pid 1, and the suites that run; each is one boot.

/// Where a kernel comes from: Debian's cloud kernel of a release.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Release {
    /// 5.10: no mount_setattr, no idmapped mounts, no cgroup.kill.
    Bullseye,
    /// 6.1
    Bookworm,
    /// 6.12
    Trixie,
}

impl Release {
    pub fn codename(self) -> &'static str {
        match self {
            Release::Bullseye => "bullseye",
            Release::Bookworm => "bookworm",
            Release::Trixie => "trixie",
        }
    }
}

/// What is installed in a root file system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Userland {
    pub name: &'static str,
    pub release: Release,
    pub packages: &'static [&'static str],
}

const COMMON: &[&str] = &[
    "apparmor",
    "busybox-static",
    "dbus",
    "dbus-user-session",
    "iproute2",
    "libpam-systemd",
    "libseccomp2",
    "passwd",
    "procps",
    "strace",
    "systemd",
    "systemd-sysv",
    "uidmap",
];

const TRIXIE: Userland = Userland {
    name: "trixie",
    release: Release::Trixie,
    packages: COMMON,
};

pub struct Scenario {
    pub name: &'static str,
    pub shows: &'static str,
    pub kernel: Release,
    pub userland: Userland,
    /// Whether systemd is pid 1; else a shell script that mounts and runs the suites.
    pub systemd: bool,
    /// Further words of the kernel's command line.
    pub command_line: &'static str,
    /// Names of guest/suites/NAME.sh, in this order.
    pub suites: &'static [&'static str],
    /// Whether it runs in the gate.
    pub gate: bool,
    /// Seconds after which a boot is ended.
    pub limit: u64,
}

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "v2-plain",
        shows: "Linux 6.12, cgroup v2 alone, no systemd",
        kernel: Release::Trixie,
        userland: TRIXIE,
        systemd: false,
        command_line: "",
        suites: &["cgroup-v2", "conformance"],
        gate: true,
        limit: 1800,
    },
    Scenario {
        name: "linux-6.1",
        shows: "Linux 6.1, cgroup v2 alone, no systemd",
        kernel: Release::Bookworm,
        userland: TRIXIE,
        systemd: false,
        command_line: "",
        suites: &["cgroup-v2", "conformance"],
        gate: false,
        limit: 1800,
    },
    Scenario {
        name: "linux-5.10",
        shows: "Linux 5.10, cgroup v2 alone, no systemd: what newer kernels have falls back",
        kernel: Release::Bullseye,
        userland: TRIXIE,
        systemd: false,
        command_line: "",
        suites: &["cgroup-v2", "crates", "conformance"],
        gate: false,
        limit: 2400,
    },
];

/// The kernel's command line; the guest's scripts read the words that begin with `tare.`.
pub fn command_line(scenario: &Scenario, cases: &str) -> String {
    let init = if scenario.systemd { "systemd" } else { "plain" };
    let mut words = vec![
        "console=ttyS0".to_owned(),
        "panic=-1".to_owned(),
        "net.ifnames=0".to_owned(),
        format!("tare.init={init}"),
        format!("tare.suites={}", scenario.suites.join(",")),
    ];
    if !cases.is_empty() {
        words.push(format!("tare.cases={cases}"));
    }
    if !scenario.command_line.is_empty() {
        words.push(scenario.command_line.to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guest_is_told_what_to_run() {
        assert_eq!(
            command_line(&ALL[0], "mounts/"),
            "console=ttyS0 panic=-1 net.ifnames=0 tare.init=plain tare.suites=cgroup-v2,conformance tare.cases=mounts/"
        );
    }

    #[test]
    fn every_suite_has_its_script() {
        for scenario in ALL {
            for suite in scenario.suites {
                let script = format!("{}/guest/suites/{suite}.sh", env!("CARGO_MANIFEST_DIR"));
                assert!(std::fs::exists(&script).unwrap(), "{script}");
            }
        }
    }

    #[test]
    fn names_differ() {
        let mut names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
