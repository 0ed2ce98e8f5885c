//! mounts: every option, propagation, kinds of destination, and what must be refused.

use crate::case::{cases, skip};
use crate::inspect::EROFS;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

cases!("mounts":
    usual_ones, bind_file, bind_directory, bind_makes_file, bind_makes_nested_directory, bind_ro, destination_relative, destination_unclean, destination_dot_dot, destination_symlink_inside, destination_symlink_absolute, destination_symlink_leaf, destination_is_the_root, proc_symlink_refused, sys_symlink_refused, order_is_kept, stacked, over_rootfs_file, mqueue, devpts, shm, sysfs_rw, proc_subset, proc_over_tmpfs_is_refused, inside_proc_is_refused, source_relative_to_bundle, source_symlink, many_mounts, label_chars_in_paths, cgroup_v1, cgroup_v1_rw_with_cgroupns, cgroup_v2, cgroup_v2_rw, no_mounts_at_all, host_sees_nothing, overlay, dev_bind,
);

fn usual_ones(s: &mut Sandbox) {
    let report = s.inspect(&["lstat:/dev/fd", "lstat:/dev/stdin", "lstat:/dev/ptmx"]);
    assert_eq!(report.mount("/proc").kind, "proc");
    assert_eq!(report.mount("/sys").kind, "sysfs");
    assert!(report.mount("/sys").has("ro"));
    assert_eq!(report.mount("/dev/pts").kind, "devpts");
    assert_eq!(report.mount("/").point, "/");
    assert_eq!(report.probe("lstat:/dev/fd")["target"], "/proc/self/fd");
    assert_eq!(
        report.probe("lstat:/dev/stdin")["target"],
        "/proc/self/fd/0"
    );
    let ptmx = report.probe("lstat:/dev/ptmx")["target"]
        .as_str()
        .unwrap_or_default();
    assert!(matches!(ptmx, "pts/ptmx" | "/dev/pts/ptmx"), "{ptmx}");
}

fn bind_file(s: &mut Sandbox) {
    fs::write(s.path("file"), "bound").unwrap();
    let source = s.path("file");
    s.spec.bind(source, "/etc/hosts", &[]);
    assert_eq!(s.inspect(&["read:/etc/hosts"]).read("/etc/hosts"), "bound");
}

fn bind_directory(s: &mut Sandbox) {
    let source = s.path("dir");
    fs::create_dir(&source).unwrap();
    s.spec
        .bind(&source, "/mnt", &[])
        .args(&["/bin/touch", "/mnt/made"]);
    s.run().ok();
    assert!(fs::metadata(format!("{source}/made")).is_ok());
}

fn bind_makes_file(s: &mut Sandbox) {
    fs::write(s.path("file"), "bound").unwrap();
    let source = s.path("file");
    s.spec.bind(source, "/new/dir/file", &["ro"]);
    assert_eq!(
        s.inspect(&["read:/new/dir/file"]).read("/new/dir/file"),
        "bound"
    );
    assert!(s.rootfs.join("new/dir/file").is_file());
}

fn bind_makes_nested_directory(s: &mut Sandbox) {
    s.spec.bind("/usr/share", "/a/b/c", &["ro"]);
    assert!(s.inspect(&[]).is_mounted("/a/b/c"));
    let made = fs::metadata(s.rootfs.join("a/b")).unwrap();
    assert_eq!(made.permissions().mode() & 0o777, 0o755);
}

fn bind_ro(s: &mut Sandbox) {
    let source = s.path("dir");
    fs::create_dir(&source).unwrap();
    s.spec.bind(&source, "/mnt", &["ro"]);
    let report = s.inspect(&["create:/mnt/x"]);
    assert!(report.mount("/mnt").has("ro"));
    assert_eq!(report.errno("create:/mnt/x"), EROFS);
}

fn destination_relative(s: &mut Sandbox) {
    s.spec.mount("mnt", "tmpfs", "tmpfs", &[]);
    assert!(s.inspect(&[]).is_mounted("/mnt"));
}

fn destination_unclean(s: &mut Sandbox) {
    s.spec.mount("//mnt/./x//y/", "tmpfs", "tmpfs", &[]);
    assert!(s.inspect(&[]).is_mounted("/mnt/x/y"));
}

fn destination_dot_dot(s: &mut Sandbox) {
    s.spec.mount("/mnt/../../../../mnt", "tmpfs", "tmpfs", &[]);
    assert!(s.inspect(&[]).is_mounted("/mnt"));
}

fn destination_symlink_inside(s: &mut Sandbox) {
    symlink("var", s.rootfs.join("link")).unwrap();
    s.spec.mount("/link/data", "tmpfs", "tmpfs", &[]);
    assert!(s.inspect(&[]).is_mounted("/var/data"));
}

fn destination_symlink_absolute(s: &mut Sandbox) {
    // CVE-2019-18837: an absolute link is followed inside the root file system only.
    let outside = s.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, s.rootfs.join("link")).unwrap();
    s.spec.mount("/link/target", "tmpfs", "tmpfs", &[]);
    let report = s.inspect(&[]);
    assert!(
        report.is_mounted(&format!("{outside}/target")),
        "it lands at the same path below the root"
    );
    assert!(
        fs::read_dir(&outside).unwrap().next().is_none(),
        "nothing was made outside"
    );
}

fn destination_symlink_leaf(s: &mut Sandbox) {
    symlink("../../../../../../mnt", s.rootfs.join("var/link")).unwrap();
    s.spec.mount("/var/link", "tmpfs", "tmpfs", &[]);
    assert!(s.inspect(&[]).is_mounted("/mnt"));
}

fn destination_is_the_root(s: &mut Sandbox) {
    s.spec.mount("/", "tmpfs", "tmpfs", &[]);
    // Whatever the answer, the host's root is not covered.
    s.run();
    assert!(fs::metadata("/bin").is_ok());
}

fn proc_symlink_refused(s: &mut Sandbox) {
    for target in ["var/data", "/var/data"] {
        let _ = fs::remove_dir(s.rootfs.join("proc"));
        let _ = fs::remove_file(s.rootfs.join("proc"));
        symlink(target, s.rootfs.join("proc")).unwrap();
        let output = s.run().fails_somehow().exits(1);
        assert!(output.stderr.contains("proc"), "{}", output.stderr);
    }
}

fn sys_symlink_refused(s: &mut Sandbox) {
    for target in ["var/data", "/var/data"] {
        let _ = fs::remove_dir(s.rootfs.join("sys"));
        let _ = fs::remove_file(s.rootfs.join("sys"));
        symlink(target, s.rootfs.join("sys")).unwrap();
        let output = s.run().fails_somehow().exits(1);
        assert!(output.stderr.contains("sys"), "{}", output.stderr);
    }
}

fn order_is_kept(s: &mut Sandbox) {
    s.spec
        .mount("/mnt", "tmpfs", "outer", &[])
        .mount("/mnt/inner", "tmpfs", "inner", &[]);
    let points: Vec<String> = s
        .inspect(&[])
        .mounts()
        .into_iter()
        .map(|mount| mount.point)
        .collect();
    let at = |wanted: &str| points.iter().position(|point| point == wanted);
    assert!(
        at("/mnt") < at("/mnt/inner") && at("/mnt").is_some(),
        "{points:?}"
    );
}

fn stacked(s: &mut Sandbox) {
    s.spec
        .mount("/mnt", "tmpfs", "one", &["size=1m"])
        .mount("/mnt", "tmpfs", "two", &["size=2m"]);
    let report = s.inspect(&["statfs:/mnt"]);
    assert_eq!(report.probe("statfs:/mnt")["bytes"], 2 << 20);
    assert_eq!(report.mount("/mnt").source, "two");
}

fn over_rootfs_file(s: &mut Sandbox) {
    fs::write(s.path("file"), "x").unwrap();
    let source = s.path("file");
    s.spec.bind(&source, "/var/data", &[]);
    // A file over a directory cannot be.
    s.run().fails_somehow().exits(1);
}

fn mqueue(s: &mut Sandbox) {
    s.spec.mount(
        "/dev/mqueue",
        "mqueue",
        "mqueue",
        &["nosuid", "noexec", "nodev"],
    );
    assert_eq!(s.inspect(&[]).mount("/dev/mqueue").kind, "mqueue");
}

fn devpts(s: &mut Sandbox) {
    let report = s.inspect(&["list:/dev/pts", "stat:/dev/pts/ptmx", "openrw:/dev/ptmx"]);
    assert_eq!(report.probe("stat:/dev/pts/ptmx")["mode"], 0o666);
    assert_eq!(report.errno("openrw:/dev/ptmx"), 0);
    assert_eq!(
        report.probe("list:/dev/pts")["names"],
        json!(["ptmx"]),
        "a new instance"
    );
}

fn shm(s: &mut Sandbox) {
    let report = s.inspect(&["statfs:/dev/shm", "stat:/dev/shm"]);
    assert_eq!(report.probe("statfs:/dev/shm")["bytes"], 65536 * 1024);
    assert_eq!(report.probe("stat:/dev/shm")["mode"], 0o1777);
}

fn sysfs_rw(s: &mut Sandbox) {
    s.spec.unmount("/sys").mount("/sys", "sysfs", "sysfs", &[]);
    assert!(s.inspect(&[]).mount("/sys").has("rw"));
}

fn proc_subset(s: &mut Sandbox) {
    s.spec.unmount("/proc");
    s.spec.push(
        "mounts",
        json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["hidepid=2"]}),
    );
    let seen = s.inspect(&[]).mount("/proc");
    assert!(
        seen.super_options
            .iter()
            .any(|option| option.starts_with("hidepid=")),
        "{seen:?}"
    );
}

fn proc_over_tmpfs_is_refused(s: &mut Sandbox) {
    // CVE-2019-16884: a fake /proc would swallow labels and masks.
    s.spec
        .unmount("/proc")
        .mount("/proc", "tmpfs", "tmpfs", &[]);
    s.run().fails_somehow().exits(1);
    let source = s.path("fake");
    fs::create_dir(&source).unwrap();
    s.spec.unmount("/proc").bind(&source, "/proc", &[]);
    s.run().fails_somehow().exits(1);
}

fn inside_proc_is_refused(s: &mut Sandbox) {
    s.spec.mount("/proc/sys", "tmpfs", "tmpfs", &[]);
    s.run().fails_somehow().exits(1);
    fs::write(s.path("loadavg"), "0.1 0.2 0.3\n").unwrap();
    let source = s.path("loadavg");
    s.spec
        .unmount("/proc/sys")
        .bind(source, "/proc/loadavg", &[]);
    assert_eq!(
        s.inspect(&["read:/proc/loadavg"]).read("/proc/loadavg"),
        "0.1 0.2 0.3",
        "lxcfs does this"
    );
}

fn source_relative_to_bundle(s: &mut Sandbox) {
    fs::create_dir(s.bundle.join("beside")).unwrap();
    fs::write(s.bundle.join("beside/file"), "from the bundle").unwrap();
    s.spec.bind("beside", "/mnt", &[]);
    assert_eq!(
        s.inspect(&["read:/mnt/file"]).read("/mnt/file"),
        "from the bundle"
    );
}

fn source_symlink(s: &mut Sandbox) {
    fs::write(s.path("real"), "through").unwrap();
    symlink(s.path("real"), s.path("link")).unwrap();
    let source = s.path("link");
    s.spec.bind(source, "/mnt/file", &[]);
    assert_eq!(s.inspect(&["read:/mnt/file"]).read("/mnt/file"), "through");
}

fn many_mounts(s: &mut Sandbox) {
    for number in 0..100 {
        s.spec
            .mount(&format!("/mnt/{number}"), "tmpfs", "tmpfs", &["size=4k"]);
    }
    let report = s.inspect(&[]);
    assert!((0..100).all(|number| report.is_mounted(&format!("/mnt/{number}"))));
}

fn label_chars_in_paths(s: &mut Sandbox) {
    let source = s.path("odd, name:with spaces\\and ünï");
    fs::create_dir(&source).unwrap();
    fs::write(format!("{source}/file"), "odd").unwrap();
    s.spec.bind(&source, "/mnt/a b,c", &[]);
    assert_eq!(
        s.inspect(&["read:/mnt/a b,c/file"]).read("/mnt/a b,c/file"),
        "odd"
    );
}

fn cgroup_v1(s: &mut Sandbox) {
    if !std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        skip("no cgroup v1");
    }
    s.spec.mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    );
    let report = s.inspect(&[
        "read:/sys/fs/cgroup/memory/cgroup.procs",
        "mkdir:/sys/fs/cgroup/memory/x",
    ]);
    assert_eq!(report.read("/sys/fs/cgroup/memory/cgroup.procs"), "1");
    assert_eq!(report.errno("mkdir:/sys/fs/cgroup/memory/x"), EROFS);
    assert!(report.mount("/sys/fs/cgroup/memory").has("ro"));
}

fn cgroup_v1_rw_with_cgroupns(s: &mut Sandbox) {
    if !std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        skip("no cgroup v1");
    }
    s.spec.namespace("cgroup", None).mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime"],
    );
    let report = s.inspect(&[
        "mkdir:/sys/fs/cgroup/pids/inner",
        "read:/sys/fs/cgroup/pids/cgroup.procs",
        "write:/sys/fs/cgroup/pids/inner/x=1",
    ]);
    assert_eq!(report.read("/sys/fs/cgroup/pids/cgroup.procs"), "1");
    assert_eq!(report.errno("mkdir:/sys/fs/cgroup/pids/inner"), 0);
}

fn cgroup_v2(s: &mut Sandbox) {
    if !crate::limits::is_v2() {
        skip("cgroup v1 is mounted");
    }
    s.spec.namespace("cgroup", None).mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime", "ro"],
    );
    let report = s.inspect(&["read:/sys/fs/cgroup/cgroup.procs", "mkdir:/sys/fs/cgroup/x"]);
    assert_eq!(report.read("/sys/fs/cgroup/cgroup.procs"), "1");
    assert_eq!(report.errno("mkdir:/sys/fs/cgroup/x"), EROFS);
}

fn cgroup_v2_rw(s: &mut Sandbox) {
    if !crate::limits::is_v2() {
        skip("cgroup v1 is mounted");
    }
    s.spec.namespace("cgroup", None).mount(
        "/sys/fs/cgroup",
        "cgroup",
        "cgroup",
        &["nosuid", "noexec", "nodev", "relatime"],
    );
    let report = s.inspect(&["mkdir:/sys/fs/cgroup/inner"]);
    assert_eq!(report.errno("mkdir:/sys/fs/cgroup/inner"), 0);
}

fn no_mounts_at_all(s: &mut Sandbox) {
    s.spec.remove("mounts").args(&["/bin/echo", "bare"]);
    assert_eq!(s.run().ok().stdout, "bare\n");
}

fn host_sees_nothing(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &[]);
    s.start_waiting();
    let seen = crate::leaks::mounts(&s.environment.directory);
    assert!(seen.is_empty(), "{seen:?}");
    s.stop();
}

fn overlay(s: &mut Sandbox) {
    for name in ["lower", "upper", "work"] {
        fs::create_dir(s.path(name)).unwrap();
    }
    fs::write(s.path("lower/file"), "below").unwrap();
    let options = [
        format!("lowerdir={}", s.path("lower")),
        format!("upperdir={}", s.path("upper")),
        format!("workdir={}", s.path("work")),
    ];
    s.spec.mount(
        "/mnt",
        "overlay",
        "overlay",
        &options.each_ref().map(String::as_str),
    );
    let report = s.inspect(&["read:/mnt/file", "create:/mnt/new"]);
    assert_eq!(report.read("/mnt/file"), "below");
    assert!(fs::metadata(s.path("upper/new")).is_ok());
}

fn dev_bind(s: &mut Sandbox) {
    // /dev bound from outside: default nodes are not made there.
    let source = s.path("dev");
    fs::create_dir(&source).unwrap();
    s.spec
        .unmount("/dev")
        .unmount("/dev/pts")
        .unmount("/dev/shm")
        .bind(&source, "/dev", &[]);
    s.run().ok();
    assert!(
        fs::symlink_metadata(format!("{source}/ptmx")).is_err()
            || fs::symlink_metadata(format!("{source}/null")).is_ok()
    );
}
