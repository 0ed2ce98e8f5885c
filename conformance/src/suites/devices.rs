//! linux.devices and device rules: nodes in /dev and what may be opened.

use crate::case::cases;
use crate::inspect::{EACCES, ENOENT, EPERM};
use crate::limits::{block_device, need_v1};
use crate::sandbox::Sandbox;
use serde_json::json;

cases!("devices":
    default_devices, default_devices_work, device_links, device_node, device_fifo, device_block, device_bad_major, device_over_existing, device_nested, device_mode_and_owner, device_access_denied, device_access_allowed, devices_list_v1, mknod_is_denied_by_group, device_cgroup_all, device_deny_one, console_absent_without_terminal,
);

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
        json!({"path": "/dev/disk", "type": "b", "major": 7, "minor": 0}),
    );
    let report = s.inspect(&["stat:/dev/disk", "open:/dev/disk"]);
    assert_eq!(report.probe("stat:/dev/disk")["kind"], 0o060_000);
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
    let (major, minor) = block_device();
    s.spec
        .push("linux.devices", json!({"path": "/dev/disk", "type": "b", "major": major, "minor": minor, "fileMode": 0o666}))
        .set(
            "linux.resources.devices",
            json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "b", "major": major, "minor": minor, "access": "r"}]),
        );
    let report = s.inspect(&["open:/dev/disk", "openrw:/dev/disk"]);
    assert_eq!(
        (
            report.errno("open:/dev/disk"),
            report.errno("openrw:/dev/disk")
        ),
        (0, EPERM)
    );
}

fn devices_list_v1(s: &mut Sandbox) {
    need_v1("devices");
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
    need_v1("devices");
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
    let (major, minor) = block_device();
    s.spec
        .push("linux.devices", json!({"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}))
        .push("linux.devices", json!({"path": "/dev/disk", "type": "b", "major": major, "minor": minor, "fileMode": 0o666}))
        .set(
            "linux.resources.devices",
            json!([{"allow": true, "access": "rwm"}, {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "rwm"}]),
        );
    let report = s.inspect(&["openrw:/dev/kmsg", "open:/dev/disk"]);
    assert_eq!(
        (
            report.errno("openrw:/dev/kmsg"),
            report.errno("open:/dev/disk")
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
