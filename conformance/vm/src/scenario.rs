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
    "jq",
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

const SELINUX: Userland = Userland {
    name: "trixie-selinux",
    release: Release::Trixie,
    packages: &[
        "busybox-static",
        "dbus",
        "iproute2",
        "libseccomp2",
        "policycoreutils",
        "procps",
        "selinux-policy-default",
        "strace",
        "systemd",
        "systemd-sysv",
    ],
};

/// The rivals of the bench, as this release has them.
const BENCH: Userland = Userland {
    name: "trixie-bench",
    release: Release::Trixie,
    packages: &["busybox-static", "crun", "iproute2", "libseccomp2", "runc"],
};

/// The newest release whose systemd still boots with cgroup v1.
const BOOKWORM: Userland = Userland {
    name: "bookworm",
    release: Release::Bookworm,
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
    /// What of the conformance suite this machine can show that the others don't; None: all of it.
    pub part: Option<&'static str>,
    /// Further suites, which the gate leaves out.
    pub beyond_gate: &'static [&'static str],
    /// What the gate runs of the conformance suite; None: the scenario is not in the gate.
    pub gate: Option<&'static str>,
    /// Seconds after which a boot is ended.
    pub limit: u64,
}

/// The cases whose outcome hangs on control groups and on who makes them.
const GROUPS: &str = "basic/,lifecycle/,exec/,kill/,cgroups/,update/,observe/,devices/,streams/,trace/,rootless/,shared-host/";

pub const ALL: &[Scenario] = &[
    Scenario {
        name: "v2-plain",
        shows: "Linux 6.12, cgroup v2 alone, no systemd",
        kernel: Release::Trixie,
        userland: TRIXIE,
        systemd: false,
        command_line: "",
        suites: &["cgroup-v2", "conformance"],
        part: None,
        beyond_gate: &["faults", "shim"],
        gate: Some(
            "basic/,cgroups/,update/,observe/,trace/,kill/,devices/,exec/,mounts/cgroup,rootless/runs,rootless/range-by,rootless/delegated,rootless/no-delegation,rootless/three-deep,rootless/masks,streams/state",
        ),
        limit: 2400,
    },
    Scenario {
        name: "v2-systemd",
        shows: "Linux 6.12, systemd makes the groups, AppArmor in force, a user's session with delegation",
        kernel: Release::Trixie,
        userland: TRIXIE,
        systemd: true,
        command_line: "apparmor=1 security=apparmor",
        suites: &[
            "apparmor",
            "user",
            "cgroup-systemd",
            "conformance-systemd",
            "units",
        ],
        part: None,
        beyond_gate: &[],
        gate: Some("basic/,cgroups/,update/,trace/,kill/,lifecycle/"),
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
        part: None,
        beyond_gate: &[],
        gate: None,
        limit: 1800,
    },
    Scenario {
        name: "selinux",
        shows: "Linux 6.12, SELinux with Debian's default policy, permissive",
        kernel: Release::Trixie,
        userland: SELINUX,
        systemd: true,
        command_line: "security=selinux selinux=1 enforcing=0",
        suites: &["selinux"],
        part: None,
        beyond_gate: &[],
        gate: None,
        limit: 1800,
    },
    Scenario {
        name: "v1-plain",
        shows: "Linux 6.1, every controller on cgroup v1, no systemd",
        kernel: Release::Bookworm,
        userland: TRIXIE,
        systemd: false,
        command_line: "tare.cgroup=v1",
        suites: &["cgroup-v1", "conformance"],
        part: None,
        beyond_gate: &[],
        gate: None,
        limit: 1800,
    },
    Scenario {
        name: "v1-systemd",
        shows: "Linux 6.1, systemd 252 with cgroup v1 alone",
        kernel: Release::Bookworm,
        userland: BOOKWORM,
        systemd: true,
        command_line: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1",
        suites: &["conformance-systemd", "units"],
        part: Some(GROUPS),
        beyond_gate: &[],
        gate: None,
        limit: 1800,
    },
    Scenario {
        name: "hybrid",
        shows: "Linux 6.1, systemd 252 with cgroup v1 and an empty v2 beside it",
        kernel: Release::Bookworm,
        userland: BOOKWORM,
        systemd: true,
        command_line: "systemd.unified_cgroup_hierarchy=0",
        suites: &["conformance-systemd", "units"],
        part: Some(GROUPS),
        beyond_gate: &[],
        gate: None,
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
        part: None,
        beyond_gate: &[],
        gate: None,
        limit: 2400,
    },
    Scenario {
        name: "bench",
        shows: "Linux 6.12, cgroup v2 alone, no systemd: the bench (benches/bench-v2.sh)",
        kernel: Release::Trixie,
        userland: BENCH,
        systemd: false,
        command_line: "",
        suites: &["bench"],
        part: None,
        beyond_gate: &[],
        gate: None,
        limit: 1800,
    },
];

impl Scenario {
    /// Whether it runs only when the filter is its name: `make vm` has not got its programs.
    pub fn on_demand(&self) -> bool {
        self.suites.contains(&"bench")
    }
}

impl Scenario {
    /// What runs in one boot.
    pub fn chosen_suites(&self, gate: bool, filter: &str) -> Vec<&'static str> {
        let further = if gate { &[] } else { self.beyond_gate };
        let all = self.suites.iter().chain(further).copied();
        all.filter(|suite| suite.contains(filter)).collect()
    }
}

/// The kernel's command line; the guest's scripts read the words that begin with `tare.`.
pub fn command_line(scenario: &Scenario, suites: &[&str], cases: &str, gate: bool) -> String {
    let init = if scenario.systemd { "systemd" } else { "plain" };
    let mut words = vec![
        "console=ttyS0".to_owned(),
        "panic=-1".to_owned(),
        // The check counts ticks against loops, and panics where a busy host lets too few come.
        "no_timer_check".to_owned(),
        "net.ifnames=0".to_owned(),
        "systemd.show_status=0".to_owned(),
        // Set-uid programs and devices of a root file system in /tmp are to work as they do on this machine.
        "systemd.mask=tmp.mount".to_owned(),
        format!("tare.init={init}"),
        format!("tare.suites={}", suites.join(",")),
    ];
    if !cases.is_empty() {
        words.push(format!("tare.cases={cases}"));
    }
    if let Some(part) = if gate { scenario.gate } else { scenario.part } {
        words.push(format!("tare.part={part}"));
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
            command_line(&ALL[0], &ALL[0].chosen_suites(false, ""), "mounts/", false),
            "console=ttyS0 panic=-1 no_timer_check net.ifnames=0 systemd.show_status=0 systemd.mask=tmp.mount tare.init=plain tare.suites=cgroup-v2,conformance,faults,shim tare.cases=mounts/"
        );
        let gate = command_line(&ALL[0], &ALL[0].chosen_suites(true, ""), "", true);
        assert!(
            gate.contains(" tare.suites=cgroup-v2,conformance tare.part="),
            "{gate}"
        );
        assert_eq!(ALL[0].chosen_suites(false, "shim"), ["shim"]);
    }

    #[test]
    fn every_suite_has_its_script() {
        for scenario in ALL {
            for suite in scenario.chosen_suites(false, "") {
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
