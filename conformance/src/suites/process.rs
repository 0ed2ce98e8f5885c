//! process: user, groups, limits, capabilities, scheduling and the rest, seen by the program itself.

use crate::case::cases;
use crate::sandbox::Sandbox;
use crate::spec::DEFAULT_CAPABILITIES;
use serde_json::json;

cases!("process":
    additional_gids, no_groups_by_default, umask_default, umask_set, rlimits_each, rlimit_infinity, rlimit_above_hard, capabilities_default, capabilities_none, capabilities_absent, capabilities_all, capabilities_five_sets, capabilities_ambient_user, capabilities_for_another_user, no_new_privs_off, no_new_privs_on, oom_score, oom_score_default, home_from_passwd, home_of_unknown_user, home_kept, home_empty, home_without_passwd, env_duplicates, env_odd_bytes, many_arguments, large_environment, securebits_are_plain, no_parent_death_signal, dumpable, session_of_its_own, env_last_path_wins, setuid_gains_nothing, user_without_passwd,
);

fn additional_gids(s: &mut Sandbox) {
    s.spec.set(
        "process.user",
        json!({"uid": 1000, "gid": 1000, "additionalGids": [10, 20, 65533]}),
    );
    let report = s.inspect(&[]);
    assert_eq!(report.numbers("groups"), [10, 20, 65533]);
}

fn no_groups_by_default(s: &mut Sandbox) {
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(s.inspect(&[]).numbers("groups"), Vec::<i64>::new());
}

fn umask_default(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report"]);
    // The caller's own umask must not show: run under another.
    s.write_spec();
    let root = s.environment.root.display().to_string();
    let line = format!(
        "umask 007; exec {} --root {root} run -b {} {}",
        s.environment.runtime.display(),
        s.bundle_text(),
        s.id
    );
    let mut call = s.call(&[]).globals(["-c", &line]);
    call.program = "/bin/sh".into();
    assert_eq!(
        crate::inspect::Report::parse(&call.run().ok().stdout).number("umask"),
        0o22
    );
}

fn umask_set(s: &mut Sandbox) {
    s.spec.set("process.user.umask", 0o27);
    let report = s.inspect(&["mkdir:/tmp/made", "stat:/tmp/made"]);
    assert_eq!(report.number("umask"), 0o27);
    assert_eq!(report.probe("stat:/tmp/made")["mode"], 0o750);
}

fn rlimits_each(s: &mut Sandbox) {
    let limits = [
        ("CORE", 1000, 2000),
        ("CPU", 100, 200),
        ("DATA", 1 << 30, 1 << 31),
        ("FSIZE", 1 << 30, 1 << 31),
        ("LOCKS", 100, 200),
        ("MEMLOCK", 4096, 8192),
        ("MSGQUEUE", 1000, 2000),
        ("NICE", 0, 0),
        ("NOFILE", 100, 200),
        ("NPROC", 300, 400),
        ("RSS", 1 << 20, 1 << 21),
        ("RTPRIO", 0, 0),
        ("RTTIME", 1000, 2000),
        ("SIGPENDING", 10, 20),
        ("STACK", 1 << 20, 1 << 21),
        ("AS", 1 << 32, 1_i64 << 33),
    ];
    for (name, soft, hard) in limits {
        s.spec.push(
            "process.rlimits",
            json!({"type": format!("RLIMIT_{name}"), "soft": soft, "hard": hard}),
        );
    }
    let report = s.inspect(&[]);
    for (name, soft, hard) in limits {
        assert_eq!(report.limit(name), (soft, hard), "{name}");
    }
}

fn rlimit_infinity(s: &mut Sandbox) {
    s.spec.set(
        "process.rlimits",
        json!([{"type": "RLIMIT_CPU", "soft": u64::MAX, "hard": u64::MAX}]),
    );
    assert_eq!(s.inspect(&[]).limit("CPU"), (-1, -1));
}

fn rlimit_above_hard(s: &mut Sandbox) {
    s.spec.set(
        "process.rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]),
    );
    s.run().fails_somehow().exits(1);
}

fn mask(names: &[&str]) -> u64 {
    const ALL: [&str; 41] = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
        "MAC_OVERRIDE",
        "MAC_ADMIN",
        "SYSLOG",
        "WAKE_ALARM",
        "BLOCK_SUSPEND",
        "AUDIT_READ",
        "PERFMON",
        "BPF",
        "CHECKPOINT_RESTORE",
    ];
    let number = |name: &&str| {
        ALL.iter()
            .position(|known| *name == format!("CAP_{known}"))
            .expect("a known name")
    };
    names.iter().map(|name| 1_u64 << number(name)).sum()
}

fn capabilities_default(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        assert_eq!(
            report.capability_mask(set),
            mask(&DEFAULT_CAPABILITIES),
            "{set}"
        );
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(report.capability_mask(set), 0, "{set}");
    }
}

fn capabilities_none(s: &mut Sandbox) {
    s.spec.capabilities(&[]);
    let report = s.inspect(&["chown:/tmp,1,1"]);
    for set in ["CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert_eq!(report.capability_mask(set), 0, "{set}");
    }
    assert_eq!(report.errno("chown:/tmp,1,1"), crate::inspect::EPERM);
}

fn capabilities_absent(s: &mut Sandbox) {
    s.spec.remove("process.capabilities");
    s.run().ok();
}

fn capabilities_all(s: &mut Sandbox) {
    // All that this host's root really has.
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status
        .lines()
        .find_map(|line| line.strip_prefix("CapBnd:"))
        .unwrap()
        .trim();
    let bounding = u64::from_str_radix(bounding, 16).unwrap();
    let everything: Vec<&str> = [
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_NET_ADMIN",
        "CAP_SYS_MODULE",
        "CAP_SYS_RAWIO",
        "CAP_SYS_PTRACE",
        "CAP_SYS_ADMIN",
        "CAP_SYS_BOOT",
        "CAP_SYS_NICE",
        "CAP_SYS_TIME",
        "CAP_SYS_TTY_CONFIG",
        "CAP_MAC_OVERRIDE",
        "CAP_MAC_ADMIN",
        "CAP_SYSLOG",
        "CAP_WAKE_ALARM",
        "CAP_BLOCK_SUSPEND",
        "CAP_AUDIT_READ",
        "CAP_PERFMON",
        "CAP_BPF",
        "CAP_CHECKPOINT_RESTORE",
    ]
    .into_iter()
    .filter(|name| bounding & mask(&[name]) != 0)
    .collect();
    s.spec.capabilities(&everything);
    assert_eq!(s.inspect(&[]).capability_mask("CapEff"), mask(&everything));
}

fn capabilities_five_sets(s: &mut Sandbox) {
    s.spec.set(
        "process.capabilities",
        json!({
            "bounding": ["CAP_KILL", "CAP_CHOWN", "CAP_SETUID"],
            "permitted": ["CAP_KILL", "CAP_CHOWN"],
            "inheritable": ["CAP_KILL", "CAP_CHOWN"],
            "effective": ["CAP_KILL"],
            "ambient": ["CAP_KILL"]
        }),
    );
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    let report = s.inspect(&[]);
    // After execve as an ordinary user: permitted and effective are the ambient set.
    assert_eq!(
        report.capability_mask("CapBnd"),
        mask(&["CAP_KILL", "CAP_CHOWN", "CAP_SETUID"])
    );
    assert_eq!(
        report.capability_mask("CapInh"),
        mask(&["CAP_KILL", "CAP_CHOWN"])
    );
    assert_eq!(report.capability_mask("CapAmb"), mask(&["CAP_KILL"]));
    assert_eq!(report.capability_mask("CapPrm"), mask(&["CAP_KILL"]));
    assert_eq!(report.capability_mask("CapEff"), mask(&["CAP_KILL"]));
}

fn capabilities_ambient_user(s: &mut Sandbox) {
    let names = json!(["CAP_NET_BIND_SERVICE", "CAP_CHOWN"]);
    s.spec.set(
        "process.capabilities",
        json!({"bounding": names, "permitted": names, "inheritable": names, "effective": names, "ambient": names}),
    );
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    let report = s.inspect(&["chown:/etc/hosts,1000,1000"]);
    assert_eq!(
        report.capability_mask("CapEff"),
        mask(&["CAP_NET_BIND_SERVICE", "CAP_CHOWN"])
    );
    assert_eq!(report.errno("chown:/etc/hosts,1000,1000"), 0);
}

fn capabilities_for_another_user(s: &mut Sandbox) {
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    let report = s.inspect(&[]);
    assert_eq!(report.capability_mask("CapEff"), 0);
    assert_eq!(
        report.capability_mask("CapBnd"),
        mask(&DEFAULT_CAPABILITIES)
    );
}

fn no_new_privs_off(s: &mut Sandbox) {
    s.spec.set("process.noNewPrivileges", false);
    assert_eq!(s.inspect(&[]).status("NoNewPrivs"), "0");
}

fn no_new_privs_on(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).status("NoNewPrivs"), "1");
}

fn setuid_gains_nothing(s: &mut Sandbox) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::copy(s.rootfs.join("inspect"), s.rootfs.join("suid")).unwrap();
    std::fs::set_permissions(
        s.rootfs.join("suid"),
        std::fs::Permissions::from_mode(0o4755),
    )
    .unwrap();
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}))
        .args(&["/suid", "report"]);
    let with = crate::inspect::Report::parse(&s.run().ok().stdout);
    assert_eq!(with.numbers("uid"), [1000, 1000, 1000]);
    s.spec.set("process.noNewPrivileges", false);
    let without = crate::inspect::Report::parse(&s.run().ok().stdout);
    assert_eq!(without.numbers("uid"), [1000, 0, 0]);
}

fn oom_score(s: &mut Sandbox) {
    s.spec.set("process.oomScoreAdj", 500);
    assert_eq!(s.inspect(&[]).texts("oom_score_adj"), ["500"]);
}

fn oom_score_default(s: &mut Sandbox) {
    let ours = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap();
    assert_eq!(s.inspect(&[]).texts("oom_score_adj"), [ours.trim()]);
}

fn home_from_passwd(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).env("HOME"), Some("/root"));
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    assert_eq!(s.inspect(&[]).env("HOME"), Some("/home/user"));
}

fn home_of_unknown_user(s: &mut Sandbox) {
    s.spec.set("process.user", json!({"uid": 12345, "gid": 0}));
    assert_eq!(s.inspect(&[]).env("HOME"), Some("/"));
}

fn home_kept(s: &mut Sandbox) {
    s.spec.env("HOME=/given");
    let report = s.inspect(&[]);
    let homes: Vec<&str> = report
        .texts("env")
        .into_iter()
        .filter(|text| text.starts_with("HOME="))
        .collect();
    assert_eq!(homes, ["HOME=/given"]);
}

fn home_empty(s: &mut Sandbox) {
    s.spec.env("HOME=");
    assert_eq!(s.inspect(&[]).env("HOME"), Some("/root"));
}

fn home_without_passwd(s: &mut Sandbox) {
    std::fs::remove_file(s.rootfs.join("etc/passwd")).unwrap();
    assert_eq!(s.inspect(&[]).env("HOME"), Some("/"));
}

fn user_without_passwd(s: &mut Sandbox) {
    std::fs::remove_dir_all(s.rootfs.join("etc")).unwrap();
    s.spec.set("process.user", json!({"uid": 77, "gid": 88}));
    assert_eq!(s.inspect(&[]).numbers("uid"), [77; 3]);
}

fn env_duplicates(s: &mut Sandbox) {
    s.spec.env("TWICE=first").env("TWICE=second");
    let report = s.inspect(&[]);
    let seen: Vec<&str> = report
        .texts("env")
        .into_iter()
        .filter(|text| text.starts_with("TWICE="))
        .collect();
    assert_eq!(seen, ["TWICE=second"]);
}

fn env_last_path_wins(s: &mut Sandbox) {
    s.spec
        .set("process.env", json!(["PATH=/nowhere", "PATH=/bin"]))
        .args(&["echo", "found"]);
    assert_eq!(s.run().ok().stdout, "found\n");
}

fn env_odd_bytes(s: &mut Sandbox) {
    s.spec
        .env("SPACED=a b\tc\nd")
        .env("QUOTED=\"'\\")
        .env("EQUALS=a=b=c");
    let report = s.inspect(&[]);
    assert_eq!(report.env("SPACED"), Some("a b\tc\nd"));
    assert_eq!(report.env("QUOTED"), Some("\"'\\"));
    assert_eq!(report.env("EQUALS"), Some("a=b=c"));
}

fn many_arguments(s: &mut Sandbox) {
    let words: Vec<String> = (0..5000).map(|number| format!("word{number}")).collect();
    let mut arguments = vec!["/bin/echo"];
    arguments.extend(words.iter().map(String::as_str));
    s.spec.args(&arguments);
    assert_eq!(s.run().ok().trimmed(), words.join(" "));
}

fn large_environment(s: &mut Sandbox) {
    let value = "v".repeat(100_000);
    s.spec.env(&format!("LARGE={value}"));
    for number in 0..1000 {
        s.spec.env(&format!("MANY_{number}=x"));
    }
    let report = s.inspect(&[]);
    assert_eq!(report.env("LARGE").map(str::len), Some(100_000));
    assert_eq!(report.env("MANY_999"), Some("x"));
}

fn securebits_are_plain(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).number("securebits"), 0);
}

fn no_parent_death_signal(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).number("pdeathsig"), 0);
}

fn dumpable(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).number("dumpable"), 1);
}

fn session_of_its_own(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    assert_eq!((report.number("sid"), report.number("pgid")), (1, 1));
}
