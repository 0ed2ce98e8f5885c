//! Namespaces: new, by path, absent, of all eight kinds; user maps, time offsets, host and domain name, sysctl.

use crate::case::{cases, skip};
use crate::inspect::{EPERM, EROFS};
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::chown;

cases!("namespaces":
    by_path_of_each_kind, by_path_pid, by_path_mount, by_path_user, wrong_kind_of_path, host_ones, without_mount, without_mount_readonly, cgroup_new, cgroup_root_is_the_container, time_offsets, time_offsets_without_namespace, time_by_path, hostname_set, hostname_without_uts, hostname_empty, domainname, user_map, user_map_of_a_range, user_many_maps, user_setgroups, user_without_maps, user_capabilities, user_with_devices, user_with_proc_and_sys, user_joined_with_network, network_host, ipc_is_separate, user_exec, user_rootfs_owner,
);

fn link(pid: i32, kind: &str) -> String {
    fs::read_link(format!("/proc/{pid}/ns/{kind}"))
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

const KINDS: [(&str, &str); 4] = [
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("cgroup", "cgroup"),
];

fn by_path_of_each_kind(s: &mut Sandbox) {
    let mut holder = s.sibling("holder");
    holder.spec.namespace("cgroup", None);
    holder.start_waiting();
    s.spec.remove("hostname");
    for (kind, short) in KINDS {
        s.spec
            .namespace(kind, Some(&format!("/proc/{}/ns/{short}", holder.pid())));
    }
    let report = s.inspect(&[]);
    for (_, short) in KINDS {
        assert_eq!(report.namespace(short), link(holder.pid(), short));
    }
    assert_eq!(report.text("hostname"), "tare");
    holder.stop();
}

fn by_path_pid(s: &mut Sandbox) {
    let mut holder = s.sibling("holder");
    holder.start_waiting();
    s.spec
        .namespace("pid", Some(&format!("/proc/{}/ns/pid", holder.pid())));
    let report = s.inspect(&[]);
    assert_eq!(report.namespace("pid"), link(holder.pid(), "pid"));
    assert!(report.number("pid") > 1);
    holder.stop();
}

fn by_path_mount(s: &mut Sandbox) {
    let mut holder = s.sibling("holder");
    holder.start_waiting();
    s.spec
        .namespace("mount", Some(&format!("/proc/{}/ns/mnt", holder.pid())));
    // It is allowed by the specification; what a runtime does with it, it does without touching the host.
    let output = s.run();
    assert!(output.code == 0 || !output.stderr.is_empty());
    holder.stop();
}

fn userns(s: &mut Sandbox) {
    userns_of(s, 100_000, 65536);
}

/// A new user namespace whose root is `host` outside.
pub fn userns_of(s: &mut crate::sandbox::Container, host: u32, size: u32) {
    s.spec
        .namespace("user", None)
        .set(
            "linux.uidMappings",
            json!([{"containerID": 0, "hostID": host, "size": size}]),
        )
        .set(
            "linux.gidMappings",
            json!([{"containerID": 0, "hostID": host, "size": size}]),
        );
    s.spec.unmount("/dev/pts").mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &[
            "nosuid",
            "noexec",
            "newinstance",
            "ptmxmode=0666",
            "mode=0620",
        ],
    );
    for directory in ["", "tmp", "var", "var/data", "proc", "dev", "sys"] {
        chown(s.rootfs.join(directory), Some(host), Some(host)).unwrap();
    }
    // The map's root has to reach the root file system.
    let mut above = s.rootfs.parent();
    while let Some(directory) = above.filter(|path| path.starts_with(&s.environment.directory)) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).unwrap();
        above = directory.parent();
    }
}

fn by_path_user(s: &mut Sandbox) {
    let mut holder = s.sibling("holder");
    userns_of(&mut holder, 100_000, 65536);
    holder.start_waiting();
    userns(s);
    s.spec
        .remove("linux.uidMappings")
        .remove("linux.gidMappings");
    s.spec
        .namespace("user", Some(&format!("/proc/{}/ns/user", holder.pid())));
    let report = s.inspect(&[]);
    assert_eq!(report.namespace("user"), link(holder.pid(), "user"));
    assert_eq!(report.numbers("uid"), [0, 0, 0]);
    holder.stop();
}

fn user_joined_with_network(s: &mut Sandbox) {
    // A pod: user, network, ipc and uts of the first container, joined by the second.
    let mut holder = s.sibling("holder");
    userns_of(&mut holder, 100_000, 65536);
    holder.start_waiting();
    userns(s);
    s.spec
        .remove("hostname")
        .remove("linux.uidMappings")
        .remove("linux.gidMappings");
    for (kind, short) in [
        ("user", "user"),
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
    ] {
        s.spec
            .namespace(kind, Some(&format!("/proc/{}/ns/{short}", holder.pid())));
    }
    let report = s.inspect(&[]);
    for short in ["user", "net", "ipc", "uts"] {
        assert_eq!(report.namespace(short), link(holder.pid(), short));
    }
    holder.stop();
}

fn wrong_kind_of_path(s: &mut Sandbox) {
    s.spec.namespace("network", Some("/proc/self/ns/uts"));
    s.run().fails_somehow().exits(1);
    s.spec.namespace("network", Some("/etc/hostname"));
    s.run().fails_somehow().exits(1);
}

fn host_ones(s: &mut Sandbox) {
    s.spec.remove("hostname");
    for kind in ["network", "ipc", "uts", "pid"] {
        s.spec.without_namespace(kind);
    }
    s.spec
        .unmount("/sys")
        .mount("/sys", "none", "/sys", &["rbind", "ro"]);
    let report = s.inspect(&[]);
    for kind in ["net", "ipc", "uts", "pid"] {
        assert_eq!(
            report.namespace(kind),
            link(std::process::id() as i32, kind)
        );
    }
}

fn network_host(s: &mut Sandbox) {
    s.spec.without_namespace("network");
    let report = s.inspect(&[]);
    assert_eq!(
        report.namespace("net"),
        link(std::process::id() as i32, "net")
    );
}

fn without_mount(s: &mut Sandbox) {
    s.spec.without_namespace("mount");
    s.start_waiting();
    let own = link(std::process::id() as i32, "mnt");
    assert_eq!(link(s.pid(), "mnt"), own);
    // What was mounted stays in sight of the container, and of a process that joins it.
    let seen = s.exec(&[
        "/bin/sh",
        "-c",
        "test -e /proc/self/stat && test -c /dev/null && test -e /inspect",
    ]);
    seen.ok();
    assert_eq!(
        crate::leaks::mounts(&s.environment.directory),
        [] as [std::path::PathBuf; 0],
        "the container's mounts are the host's"
    );
    s.stop();
}

fn without_mount_readonly(s: &mut Sandbox) {
    s.spec
        .without_namespace("mount")
        .set("root.readonly", json!(true));
    let report = s.inspect(&["create:/made"]);
    assert_eq!(report.errno("create:/made"), EROFS);
    assert!(crate::leaks::mounts(&s.environment.directory).is_empty());
}

fn cgroup_new(s: &mut Sandbox) {
    s.spec.namespace("cgroup", None);
    let report = s.inspect(&[]);
    assert_ne!(
        report.namespace("cgroup"),
        link(std::process::id() as i32, "cgroup")
    );
}

fn cgroup_root_is_the_container(s: &mut Sandbox) {
    s.spec.namespace("cgroup", None);
    for line in s.inspect(&[]).texts("cgroup") {
        assert!(line.ends_with(":/"), "{line}");
    }
}

fn time_offsets(s: &mut Sandbox) {
    s.spec.namespace("time", None).set(
        "linux.timeOffsets",
        json!({"monotonic": {"secs": 7_200_000, "nanosecs": 5}, "boottime": {"secs": 1_209_600_000}}),
    );
    let report = s.inspect(&["clock:"]);
    assert!(report.probe("clock:")["monotonic"].as_i64().unwrap() > 7_200_000);
    assert!(report.probe("clock:")["boottime"].as_i64().unwrap() > 1_209_600_000);
    assert_ne!(
        report.namespace("time"),
        link(std::process::id() as i32, "time")
    );
}

fn time_offsets_without_namespace(s: &mut Sandbox) {
    s.spec
        .set("linux.timeOffsets", json!({"monotonic": {"secs": 1}}));
    s.run().fails_somehow().exits(1);
}

fn time_by_path(s: &mut Sandbox) {
    let mut holder = s.sibling("holder");
    holder.spec.namespace("time", None).set(
        "linux.timeOffsets",
        json!({"monotonic": {"secs": 3_600_000}}),
    );
    holder.start_waiting();
    s.spec
        .namespace("time", Some(&format!("/proc/{}/ns/time", holder.pid())));
    let report = s.inspect(&["clock:"]);
    assert_eq!(report.namespace("time"), link(holder.pid(), "time"));
    assert!(report.probe("clock:")["monotonic"].as_i64().unwrap() > 3_600_000);
    holder.stop();
}

fn hostname_set(s: &mut Sandbox) {
    let name = "a-long.host.name-of-63-characters-or-less-but-more-than-usual12";
    s.spec.set("hostname", name);
    assert_eq!(s.inspect(&[]).text("hostname"), name);
}

fn hostname_without_uts(s: &mut Sandbox) {
    s.spec.without_namespace("uts");
    let output = s.run().fails_somehow().exits(1);
    assert!(
        output.stderr.to_lowercase().contains("uts"),
        "{}",
        output.stderr
    );
}

fn hostname_empty(s: &mut Sandbox) {
    s.spec.remove("hostname");
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(s.inspect(&[]).text("hostname"), host.trim());
}

fn domainname(s: &mut Sandbox) {
    s.spec.set("domainname", "example.test");
    assert_eq!(s.inspect(&[]).text("domainname"), "example.test");
}

fn user_map(s: &mut Sandbox) {
    userns(s);
    let report = s.inspect(&[]);
    assert_eq!(report.numbers("uid"), [0, 0, 0]);
    let words: Vec<&str> = report.texts("uid_map")[0].split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536"]);
    let words: Vec<&str> = report.texts("gid_map")[0].split_whitespace().collect();
    assert_eq!(words, ["0", "100000", "65536"]);
}

fn user_map_of_a_range(s: &mut Sandbox) {
    userns(s);
    s.spec.set(
        "process.user",
        json!({"uid": 500, "gid": 600, "additionalGids": [7]}),
    );
    s.start_waiting();
    let status = fs::read_to_string(format!("/proc/{}/status", s.pid())).unwrap();
    assert!(status.contains("Uid:\t100500\t"), "{status}");
    assert!(
        status.contains("Gid:\t100600\t") && status.contains("Groups:\t100007"),
        "{status}"
    );
    s.stop();
}

fn user_many_maps(s: &mut Sandbox) {
    userns(s);
    let maps: Vec<_> = (0..200_u32)
        .map(|n| json!({"containerID": n, "hostID": 100_000 + n * 2, "size": 1}))
        .collect();
    s.spec
        .set("linux.uidMappings", json!(maps))
        .set("linux.gidMappings", json!(maps));
    let report = s.inspect(&[]);
    assert_eq!(report.texts("uid_map").len(), 200);
}

fn user_setgroups(s: &mut Sandbox) {
    userns(s);
    assert_eq!(
        s.inspect(&[]).texts("setgroups"),
        ["allow"],
        "root made the map: groups may be set"
    );
}

fn user_without_maps(s: &mut Sandbox) {
    s.spec.namespace("user", None);
    s.run().fails_somehow().exits(1);
}

fn user_capabilities(s: &mut Sandbox) {
    userns(s);
    s.spec.capabilities(&["CAP_SYS_ADMIN", "CAP_CHOWN"]);
    let report = s.inspect(&[
        "mount:none,/mnt,tmpfs",
        "sethostname:inside",
        "syscall:165,0,0,0,0,0",
    ]);
    assert_eq!(report.capability_mask("CapEff"), 1 << 21 | 1);
    assert_eq!(report.errno("mount:none,/mnt,tmpfs"), 0);
    assert_eq!(report.errno("sethostname:inside"), 0);
}

fn user_with_devices(s: &mut Sandbox) {
    // No mknod in a user namespace: nodes are bound from the host.
    userns(s);
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o666}),
    );
    if fs::metadata("/dev/fuse").is_err() {
        skip("no /dev/fuse");
    }
    let report = s.inspect(&[
        "stat:/dev/null",
        "openrw:/dev/null",
        "stat:/dev/fuse",
        "openrw:/dev/tty",
    ]);
    assert_eq!(report.probe("stat:/dev/null")["minor"], 3);
    assert_eq!(report.errno("openrw:/dev/null"), 0);
    assert_eq!(report.probe("stat:/dev/fuse")["major"], 10);
}

fn user_with_proc_and_sys(s: &mut Sandbox) {
    userns(s);
    s.spec
        .set("linux.maskedPaths", json!(["/proc/keys", "/sys/firmware"]))
        .set("linux.readonlyPaths", json!(["/proc/sys"]));
    let report = s.inspect(&["read:/proc/keys"]);
    assert!(report.mount("/proc/sys").has("ro"));
    assert_eq!(report.read("/proc/keys"), "");
}

fn user_exec(s: &mut Sandbox) {
    userns(s);
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    assert_eq!(report.namespace("user"), link(s.pid(), "user"));
    assert_eq!(report.numbers("uid"), [0; 3]);
    assert_eq!(
        s.exec_inspect(&["--user", "33:44"], &[]).numbers("gid"),
        [44; 3]
    );
    s.stop();
}

fn user_rootfs_owner(s: &mut Sandbox) {
    userns(s);
    let report = s.inspect(&["create:/made", "stat:/made", "chown:/etc/hosts,5,5"]);
    assert_eq!(report.probe("stat:/made")["uid"], 0);
    assert_eq!(
        report.errno("chown:/etc/hosts,5,5"),
        EPERM,
        "the host's root owns it, which is not in the map"
    );
}

fn ipc_is_separate(s: &mut Sandbox) {
    let report = s.inspect(&["read:/proc/sysvipc/shm"]);
    assert_eq!(report.read("/proc/sysvipc/shm").lines().count(), 1);
}
