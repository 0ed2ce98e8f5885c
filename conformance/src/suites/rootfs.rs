//! The root file system: read-only, propagation, masked and read-only paths, devices seen in /dev.

use crate::case::cases;
use crate::inspect::EROFS;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

cases!("rootfs":
    readonly, readonly_keeps_mounts_writable, writable, propagation_default, propagation_shared, propagation_slave, propagation_unbindable, propagation_bad, pivoted, no_host_mounts, masked_file, masked_directory, masked_absent, masked_many, masked_symlink, readonly_path, readonly_path_of_a_file, readonly_absent, readonly_in_proc_sys, masked_is_empty_and_readonly, dev_symlink_does_not_reach_out, dev_null_symlink_masks_nothing_else,
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
