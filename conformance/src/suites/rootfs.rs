//! The root file system: read-only, propagation, masked and read-only paths, devices seen in /dev.

use crate::case::cases;
use crate::inspect::{EACCES, ENOENT, EPERM, EROFS};
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

cases!("rootfs":
    readonly, readonly_keeps_mounts_writable, writable, propagation_default, propagation_shared, propagation_slave,
    propagation_unbindable, propagation_bad, pivoted, no_host_mounts, masked_file, masked_directory, masked_absent,
    masked_many, masked_symlink, readonly_path, readonly_path_of_a_file, readonly_absent, readonly_in_proc_sys,
    masked_is_empty_and_readonly, dev_symlink_does_not_reach_out, dev_null_symlink_masks_nothing_else,
    default_devices, default_devices_work, device_links, device_node, device_fifo, device_block, device_bad_major,
    device_over_existing, device_nested, device_mode_and_owner, device_access_denied, device_access_allowed, devices_list_v1,
    mknod_is_denied_by_group, device_cgroup_all, device_deny_one, console_absent_without_terminal,
);

fn readonly(s: &mut Sandbox) {
    s.spec.set("root.readonly", true);
    let report = s.inspect(&["create:/x", "create:/var/data/x", "create:/tmp/x"]);
    for probe in ["create:/x", "create:/var/data/x", "create:/tmp/x"] {
        assert_eq!(report.errno(probe), EROFS, "{probe}");
    }
    assert!(report.mount("/").has("ro"));
}

fn readonly_keeps_mounts_writable(s: &mut Sandbox) {
    s.spec
        .set("root.readonly", true)
        .mount("/mnt", "tmpfs", "tmpfs", &[]);
    let report = s.inspect(&["create:/mnt/x", "create:/dev/shm/x"]);
    assert_eq!(
        (
            report.errno("create:/mnt/x"),
            report.errno("create:/dev/shm/x")
        ),
        (0, 0)
    );
}

fn writable(s: &mut Sandbox) {
    let report = s.inspect(&["create:/made"]);
    assert_eq!(report.errno("create:/made"), 0);
    assert!(s.rootfs.join("made").exists());
}

fn propagation(s: &mut Sandbox, kind: &str) -> Vec<String> {
    s.spec.set("linux.rootfsPropagation", kind);
    s.inspect(&[]).mount("/").propagation
}

fn propagation_default(s: &mut Sandbox) {
    assert_eq!(
        s.inspect(&[]).mount("/").propagation,
        Vec::<String>::new(),
        "private here, where the host's / is"
    );
}

fn propagation_shared(s: &mut Sandbox) {
    let seen = propagation(s, "shared");
    assert!(
        seen.iter().any(|word| word.starts_with("shared:")),
        "{seen:?}"
    );
}

fn propagation_slave(s: &mut Sandbox) {
    for kind in ["slave", "rslave", "private", "rprivate"] {
        let seen = propagation(s, kind);
        assert!(
            !seen.iter().any(|word| word.starts_with("shared:")),
            "{kind}: {seen:?}"
        );
    }
}

fn propagation_unbindable(s: &mut Sandbox) {
    assert_eq!(propagation(s, "unbindable"), ["unbindable"]);
}

fn propagation_bad(s: &mut Sandbox) {
    s.spec.set("linux.rootfsPropagation", "sideways");
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("sideways"), "{}", output.stderr);
}

fn pivoted(s: &mut Sandbox) {
    let report = s.inspect(&["list:/", "lstat:/.pivot_root", "stat:/.."]);
    let names = report.probe("list:/")["names"].to_string();
    assert!(
        !names.contains("pivot") && !names.contains("oldroot"),
        "{names}"
    );
}

fn no_host_mounts(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    let mut points: Vec<String> = report
        .mounts()
        .into_iter()
        .map(|mount| mount.point)
        .collect();
    points.sort();
    assert_eq!(
        points,
        ["/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/sys"]
    );
}

fn masked_file(s: &mut Sandbox) {
    s.spec
        .set("linux.maskedPaths", json!(["/etc/hosts", "/proc/version"]));
    let report = s.inspect(&["read:/etc/hosts", "stat:/etc/hosts", "read:/proc/version"]);
    assert_eq!(report.read("/etc/hosts"), "");
    assert_eq!(report.read("/proc/version"), "");
    let seen = report.probe("stat:/etc/hosts");
    assert_eq!(
        (&seen["major"], &seen["minor"]),
        (&json!(1), &json!(3)),
        "it is /dev/null"
    );
}

fn masked_directory(s: &mut Sandbox) {
    s.spec
        .set("linux.maskedPaths", json!(["/var/data", "/sys/firmware"]));
    let report = s.inspect(&["list:/var/data", "list:/sys/firmware", "create:/var/data/x"]);
    assert_eq!(report.probe("list:/var/data")["names"], json!([]));
    assert_eq!(report.errno("create:/var/data/x"), EROFS);
    assert_eq!(report.mount("/var/data").kind, "tmpfs");
}

fn masked_is_empty_and_readonly(s: &mut Sandbox) {
    s.spec.set("linux.maskedPaths", json!(["/var/data"]));
    assert!(s.inspect(&[]).mount("/var/data").has("ro"));
    assert_eq!(
        fs::read_to_string(s.rootfs.join("var/data/file")).unwrap(),
        "lower\n"
    );
}

fn masked_absent(s: &mut Sandbox) {
    s.spec.set(
        "linux.maskedPaths",
        json!(["/nonexistent", "/proc/nonexistent"]),
    );
    s.run().ok();
    assert!(!s.rootfs.join("nonexistent").exists());
}

fn masked_many(s: &mut Sandbox) {
    let paths: Vec<String> = (0..40)
        .map(|number| format!("/var/masked{number}"))
        .collect();
    for path in &paths {
        fs::create_dir(s.rootfs.join(&path[1..])).unwrap();
    }
    s.spec.set("linux.maskedPaths", json!(paths));
    let report = s.inspect(&["create:/var/masked0/x", "create:/var/masked39/x"]);
    assert_eq!(
        (
            report.errno("create:/var/masked0/x"),
            report.errno("create:/var/masked39/x")
        ),
        (EROFS, EROFS)
    );
}

fn masked_symlink(s: &mut Sandbox) {
    symlink("/etc/passwd", s.rootfs.join("var/link")).unwrap();
    s.spec.set("linux.maskedPaths", json!(["/var/link"]));
    // Either it is refused or the mask stays inside; the target is not readable through it.
    s.spec.args(&["/bin/cat", "/var/link"]);
    assert_eq!(s.run().stdout, "");
}

fn readonly_path(s: &mut Sandbox) {
    s.spec
        .set("linux.readonlyPaths", json!(["/var", "/proc/sys"]));
    let report = s.inspect(&[
        "create:/var/x",
        "create:/var/data/x",
        "write:/proc/sys/kernel/hostname=x",
    ]);
    for probe in [
        "create:/var/x",
        "create:/var/data/x",
        "write:/proc/sys/kernel/hostname=x",
    ] {
        assert_eq!(report.errno(probe), EROFS, "{probe}");
    }
}

fn readonly_path_of_a_file(s: &mut Sandbox) {
    s.spec.set("linux.readonlyPaths", json!(["/etc/hosts"]));
    assert_eq!(
        s.inspect(&["write:/etc/hosts=x"])
            .errno("write:/etc/hosts=x"),
        EROFS
    );
}

fn readonly_absent(s: &mut Sandbox) {
    s.spec
        .set("linux.readonlyPaths", json!(["/nonexistent/path"]));
    s.run().ok();
}

fn readonly_in_proc_sys(s: &mut Sandbox) {
    let paths = [
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/sys",
        "/proc/sysrq-trigger",
    ];
    s.spec.set("linux.readonlyPaths", json!(paths));
    let seen = s.inspect(&[]).mount("/proc/sys");
    assert!(seen.has("ro"));
    assert!(seen.has("nosuid"), "the flags of /proc stay");
}

fn dev_symlink_does_not_reach_out(s: &mut Sandbox) {
    // CVE-2026-41579, CVE-2026-47766.
    let outside = s.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(format!("{outside}/ptmx"), "decoy").unwrap();
    fs::remove_dir(s.rootfs.join("dev")).unwrap();
    for target in [
        outside.clone(),
        format!("../../../../../../../../{outside}"),
    ] {
        let _ = fs::remove_file(s.rootfs.join("dev"));
        symlink(&target, s.rootfs.join("dev")).unwrap();
        s.spec
            .unmount("/dev")
            .unmount("/dev/pts")
            .unmount("/dev/shm");
        s.run();
        let names: Vec<_> = fs::read_dir(&outside)
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        assert_eq!(names, ["ptmx"], "made outside by link {target}");
        assert_eq!(
            fs::read_to_string(format!("{outside}/ptmx")).unwrap(),
            "decoy"
        );
    }
}

fn dev_null_symlink_masks_nothing_else(s: &mut Sandbox) {
    // CVE-2025-31133: the mask's source is the real null device, whatever the image holds.
    symlink("/etc/passwd", s.rootfs.join("dev/null")).unwrap();
    s.spec
        .unmount("/dev")
        .unmount("/dev/pts")
        .unmount("/dev/shm")
        .set("linux.maskedPaths", json!(["/etc/hosts"]));
    s.spec.args(&["/bin/cat", "/etc/hosts"]);
    let output = s.run();
    assert!(!output.stdout.contains("root:"), "{}", output.stdout);
}

const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

fn default_devices(s: &mut Sandbox) {
    let probes = DEFAULT_DEVICES.map(|(name, _, _)| format!("stat:/dev/{name}"));
    let report = s.inspect(&probes.each_ref().map(String::as_str));
    for ((name, major, minor), probe) in DEFAULT_DEVICES.iter().zip(&probes) {
        let seen = report.probe(probe);
        assert_eq!(
            (&seen["major"], &seen["minor"]),
            (&json!(major), &json!(minor)),
            "{name}"
        );
        assert_eq!(
            (&seen["mode"], &seen["uid"]),
            (&json!(0o666), &json!(0)),
            "{name}"
        );
    }
}

fn default_devices_work(s: &mut Sandbox) {
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": false, "access": "rwm"}]),
    );
    let report = s.inspect(&[
        "openrw:/dev/null",
        "openrw:/dev/zero",
        "openrw:/dev/full",
        "open:/dev/random",
        "open:/dev/urandom",
    ]);
    for probe in [
        "openrw:/dev/null",
        "openrw:/dev/zero",
        "openrw:/dev/full",
        "open:/dev/random",
        "open:/dev/urandom",
    ] {
        assert_eq!(report.errno(probe), 0, "{probe}");
    }
}

fn device_links(s: &mut Sandbox) {
    let report = s.inspect(&[
        "lstat:/dev/stdout",
        "lstat:/dev/stderr",
        "lstat:/dev/fd",
        "lstat:/dev/stdin",
    ]);
    assert_eq!(
        report.probe("lstat:/dev/stdout")["target"],
        "/proc/self/fd/1"
    );
    assert_eq!(
        report.probe("lstat:/dev/stderr")["target"],
        "/proc/self/fd/2"
    );
}

fn device_node(s: &mut Sandbox) {
    s.spec.push("linux.devices", json!({"path": "/dev/mynull", "type": "c", "major": 1, "minor": 3, "fileMode": 0o620, "uid": 7, "gid": 8}));
    let report = s.inspect(&["stat:/dev/mynull", "openrw:/dev/mynull"]);
    let seen = report.probe("stat:/dev/mynull");
    assert_eq!(
        [
            &seen["major"],
            &seen["minor"],
            &seen["mode"],
            &seen["uid"],
            &seen["gid"]
        ],
        [&json!(1), &json!(3), &json!(0o620), &json!(7), &json!(8)]
    );
}

fn device_mode_and_owner(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/plain", "type": "u", "major": 1, "minor": 5}),
    );
    let report = s.inspect(&["stat:/dev/plain"]);
    let seen = report.probe("stat:/dev/plain");
    assert_eq!(
        (&seen["kind"], &seen["minor"], &seen["uid"]),
        (&json!(0o020_000), &json!(5), &json!(0))
    );
}

fn device_fifo(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/pipe", "type": "p", "fileMode": 0o600}),
    );
    assert_eq!(
        s.inspect(&["stat:/dev/pipe"]).probe("stat:/dev/pipe")["kind"],
        0o010_000
    );
}

fn device_block(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/loopy", "type": "b", "major": 7, "minor": 0}),
    );
    let report = s.inspect(&["stat:/dev/loopy", "open:/dev/loopy"]);
    assert_eq!(report.probe("stat:/dev/loopy")["kind"], 0o060_000);
}

fn device_bad_major(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/odd", "type": "c", "major": -5, "minor": 3}),
    );
    s.run().fails_somehow();
}

fn device_over_existing(s: &mut Sandbox) {
    // The same node listed twice, and one that is a default: no error.
    for _ in 0..2 {
        s.spec.push(
            "linux.devices",
            json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}),
        );
    }
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]),
    );
    assert_eq!(
        s.inspect(&["openrw:/dev/null"]).errno("openrw:/dev/null"),
        0
    );
}

fn device_nested(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/sub/dir/zero", "type": "c", "major": 1, "minor": 5}),
    );
    assert_eq!(
        s.inspect(&["open:/dev/sub/dir/zero"])
            .errno("open:/dev/sub/dir/zero"),
        0
    );
}

fn device_access_denied(s: &mut Sandbox) {
    s.spec
        .push(
            "linux.devices",
            json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}),
        )
        .set(
            "linux.resources.devices",
            json!([{"allow": false, "access": "rwm"}]),
        );
    assert_eq!(
        s.inspect(&["open:/dev/kmsg"]).errno("open:/dev/kmsg"),
        EPERM
    );
}

fn device_access_allowed(s: &mut Sandbox) {
    s.spec
        .push("linux.devices", json!({"path": "/dev/loopy", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666}))
        .set(
            "linux.resources.devices",
            json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": 7, "minor": 0, "access": "r"}]),
        );
    let report = s.inspect(&["open:/dev/loopy", "openrw:/dev/loopy"]);
    assert_eq!(
        (
            report.errno("open:/dev/loopy"),
            report.errno("openrw:/dev/loopy")
        ),
        (0, EPERM)
    );
}

fn devices_list_v1(s: &mut Sandbox) {
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"},
               {"allow": true, "type": "c", "major": 4, "access": "rw"}]),
    );
    s.start_waiting();
    let list = s.cgroup_file("devices", "devices.list");
    let lines: Vec<&str> = list.lines().collect();
    for wanted in [
        "c 10:229 rwm",
        "c 1:3 rwm",
        "c 5:2 rwm",
        "c 136:* rwm",
        "c *:* m",
        "b *:* m",
    ] {
        assert!(lines.contains(&wanted), "{wanted}: {list}");
    }
    // mknod is allowed for all nodes, so the kernel or the runtime may have merged it in.
    assert!(
        lines.iter().any(|line| line.starts_with("c 4:* rw")),
        "{list}"
    );
    assert!(!lines.contains(&"a *:* rwm"), "{list}");
    s.stop();
}

fn mknod_is_denied_by_group(s: &mut Sandbox) {
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": false, "access": "rwm"}]),
    );
    let report = s.inspect(&["mknod:/tmp/mem,c,1,1"]);
    // The default rules allow mknod of any node and opening of few.
    assert_eq!(report.errno("mknod:/tmp/mem,c,1,1"), 0);
}

fn device_cgroup_all(s: &mut Sandbox) {
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": true, "access": "rwm"}]),
    );
    s.start_waiting();
    assert!(
        s.cgroup_file("devices", "devices.list")
            .contains("a *:* rwm")
    );
    s.stop();
}

fn device_deny_one(s: &mut Sandbox) {
    s.spec
        .push("linux.devices", json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}))
        .push("linux.devices", json!({"path": "/dev/loopy", "type": "b", "major": 7, "minor": 0, "fileMode": 0o666}))
        .set(
            "linux.resources.devices",
            json!([{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "rwm"}]),
        );
    let report = s.inspect(&["openrw:/dev/kmsg", "open:/dev/loopy"]);
    assert_eq!(
        (
            report.errno("openrw:/dev/kmsg"),
            report.errno("open:/dev/loopy")
        ),
        (EPERM, 0)
    );
}

fn console_absent_without_terminal(s: &mut Sandbox) {
    let report = s.inspect(&["lstat:/dev/console", "open:/dev/tty"]);
    assert_eq!(report.errno("lstat:/dev/console"), ENOENT);
    assert!(
        matches!(report.errno("open:/dev/tty"), 6 | EACCES),
        "no controlling terminal"
    );
}
