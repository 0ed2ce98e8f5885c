//! Options of mounts, each as mountinfo and statfs show it inside.

use crate::case::{cases, skip};
use crate::inspect::{EACCES, EROFS, Mount, Report};
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;

cases!("mount-options":
    tmpfs_size_and_mode, tmpfs_uid_gid, tmpfs_nr_inodes, ro, rw_is_default, nosuid, nodev, noexec, noatime, relatime, strictatime, nodiratime, sync, dirsync, lazytime_and_iversion, clearing_forms, last_option_wins, nosymfollow, bind_nosuid_nodev_noexec, propagation_private, propagation_shared, propagation_unbindable, tmpcopyup, tmpcopyup_keeps_owners, unknown_option_is_data, unknown_type, remount_of_a_bind, ro_tmpfs_keeps_mountpoints, label_without_selinux,
);

/// A tmpfs with `options` at /mnt, as seen inside.
fn tmpfs_with(s: &mut Sandbox, options: &[&str]) -> Mount {
    s.spec
        .unmount("/mnt")
        .mount("/mnt", "tmpfs", "tmpfs", options);
    s.inspect(&[]).mount("/mnt")
}

fn tmpfs_size_and_mode(s: &mut Sandbox) {
    s.spec
        .mount("/mnt", "tmpfs", "tmpfs", &["size=1m", "mode=1735"]);
    let report = s.inspect(&["statfs:/mnt", "stat:/mnt"]);
    assert_eq!(report.probe("statfs:/mnt")["bytes"], 1 << 20);
    assert_eq!(report.probe("stat:/mnt")["mode"], 0o1735);
}

fn tmpfs_uid_gid(s: &mut Sandbox) {
    s.spec.mount(
        "/mnt",
        "tmpfs",
        "tmpfs",
        &["uid=1000", "gid=2000", "mode=700"],
    );
    let report = s.inspect(&["stat:/mnt"]);
    let seen = report.probe("stat:/mnt");
    assert_eq!(
        (&seen["uid"], &seen["gid"], &seen["mode"]),
        (&json!(1000), &json!(2000), &json!(0o700))
    );
}

fn tmpfs_nr_inodes(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &["nr_inodes=123"]);
    assert_eq!(
        s.inspect(&["statfs:/mnt"]).probe("statfs:/mnt")["files"],
        123
    );
}

fn ro(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &["ro"]);
    let report = s.inspect(&["create:/mnt/x"]);
    assert!(report.mount("/mnt").has("ro"));
    assert_eq!(report.errno("create:/mnt/x"), EROFS);
}

fn rw_is_default(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &[]);
    let report = s.inspect(&["create:/mnt/x"]);
    assert_eq!(report.errno("create:/mnt/x"), 0);
}

fn nosuid(s: &mut Sandbox) {
    assert!(tmpfs_with(s, &["nosuid"]).has("nosuid"));
    assert!(!tmpfs_with(s, &[]).has("nosuid"));
}

fn nodev(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &["nodev"]);
    s.spec.args(&[
        "/bin/sh",
        "-c",
        "mknod=/inspect; /inspect report mknod:/mnt/null,c,1,3",
    ]);
    let report = Report::parse(&s.run().ok().stdout);
    assert!(report.mount("/mnt").has("nodev"));
}

fn noexec(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &["noexec"]);
    s.spec.args(&[
        "/bin/sh",
        "-c",
        "cp /inspect /mnt/copy; /inspect report exec:/mnt/copy,exit,0",
    ]);
    let report = Report::parse(&s.run().ok().stdout);
    assert!(report.mount("/mnt").has("noexec"));
    assert_eq!(report.errno("exec:/mnt/copy,exit,0"), EACCES);
}

fn noatime(s: &mut Sandbox) {
    assert!(tmpfs_with(s, &["noatime"]).has("noatime"));
}

fn relatime(s: &mut Sandbox) {
    assert!(tmpfs_with(s, &["relatime"]).has("relatime"));
}

fn strictatime(s: &mut Sandbox) {
    let seen = tmpfs_with(s, &["strictatime"]);
    assert!(!seen.has("relatime") && !seen.has("noatime"), "{seen:?}");
}

fn nodiratime(s: &mut Sandbox) {
    assert!(tmpfs_with(s, &["nodiratime"]).has("nodiratime"));
}

fn sync(s: &mut Sandbox) {
    let seen = tmpfs_with(s, &["sync"]);
    assert!(seen.super_has("sync"), "{seen:?}");
}

fn dirsync(s: &mut Sandbox) {
    let seen = tmpfs_with(s, &["dirsync"]);
    assert!(seen.super_has("dirsync"), "{seen:?}");
}

fn lazytime_and_iversion(s: &mut Sandbox) {
    for options in [
        ["iversion"],
        ["noiversion"],
        ["async"],
        ["mand"],
        ["nomand"],
        ["silent"],
        ["loud"],
    ] {
        s.spec
            .unmount("/mnt")
            .mount("/mnt", "tmpfs", "tmpfs", &options);
        let output = s.run();
        assert!(output.code == 0, "{options:?}: {}", output.stderr);
    }
}

fn clearing_forms(s: &mut Sandbox) {
    let seen = tmpfs_with(
        s,
        &[
            "ro", "nosuid", "nodev", "noexec", "noatime", "rw", "suid", "dev", "exec", "atime",
        ],
    );
    for option in ["ro", "nosuid", "nodev", "noexec", "noatime"] {
        assert!(!seen.has(option), "{option}: {seen:?}");
    }
}

fn last_option_wins(s: &mut Sandbox) {
    assert!(tmpfs_with(s, &["rw", "ro"]).has("ro"));
    assert!(tmpfs_with(s, &["exec", "noexec"]).has("noexec"));
}

fn nosymfollow(s: &mut Sandbox) {
    s.spec.bind("/usr/share", "/mnt", &["nosymfollow"]);
    let seen = s.inspect(&[]).mount("/mnt");
    assert!(seen.has("nosymfollow"), "{seen:?}");
}

fn bind_nosuid_nodev_noexec(s: &mut Sandbox) {
    s.spec.bind(
        "/usr/share",
        "/mnt",
        &["nosuid", "nodev", "noexec", "noatime"],
    );
    let seen = s.inspect(&[]).mount("/mnt");
    for option in ["nosuid", "nodev", "noexec", "noatime", "rw"] {
        assert!(seen.has(option), "{option}: {seen:?}");
    }
}

fn propagation_private(s: &mut Sandbox) {
    assert_eq!(
        tmpfs_with(s, &["private"]).propagation,
        Vec::<String>::new()
    );
}

fn propagation_shared(s: &mut Sandbox) {
    let seen = tmpfs_with(s, &["shared"]);
    assert!(
        seen.propagation
            .iter()
            .any(|word| word.starts_with("shared:")),
        "{seen:?}"
    );
    let seen = tmpfs_with(s, &["rshared"]);
    assert!(
        seen.propagation
            .iter()
            .any(|word| word.starts_with("shared:")),
        "{seen:?}"
    );
}

fn propagation_unbindable(s: &mut Sandbox) {
    let seen = tmpfs_with(s, &["unbindable"]);
    assert!(
        seen.propagation.iter().any(|word| word == "unbindable"),
        "{seen:?}"
    );
}

fn tmpcopyup(s: &mut Sandbox) {
    s.spec.mount("/var/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let report = s.inspect(&[
        "read:/var/data/file",
        "stat:/var/data/file",
        "write:/var/data/file=upper",
    ]);
    assert_eq!(report.mount("/var/data").kind, "tmpfs");
    assert_eq!(report.read("/var/data/file"), "lower");
    assert_eq!(report.probe("stat:/var/data/file")["mode"], 0o640);
    assert_eq!(report.errno("write:/var/data/file=upper"), 0);
    assert_eq!(
        fs::read_to_string(s.rootfs.join("var/data/file")).unwrap(),
        "lower\n"
    );
}

fn tmpcopyup_keeps_owners(s: &mut Sandbox) {
    let data = s.rootfs.join("var/data");
    std::os::unix::fs::symlink("nowhere", data.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        data.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    for name in ["file", "link", "fifo"] {
        std::os::unix::fs::lchown(data.join(name), Some(1000), Some(1001)).unwrap();
    }
    s.spec.mount("/var/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let report = s.inspect(&[
        "lstat:/var/data/file",
        "lstat:/var/data/link",
        "lstat:/var/data/fifo",
    ]);
    for (name, mode) in [("file", 0o640), ("link", 0o777), ("fifo", 0o600)] {
        let seen = report.probe(&format!("lstat:/var/data/{name}"));
        assert_eq!(
            (&seen["uid"], &seen["gid"], &seen["mode"]),
            (&1000.into(), &1001.into(), &mode.into()),
            "{name}"
        );
    }
}

fn unknown_option_is_data(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &["frobnicate=yes"]);
    let output = s.run().fails_somehow().exits(1);
    assert!(
        output.stderr.contains("/mnt"),
        "the mount is named: {}",
        output.stderr
    );
}

fn unknown_type(s: &mut Sandbox) {
    s.spec.mount("/mnt", "frobfs", "none", &[]);
    let output = s.run().fails_somehow().exits(1);
    assert!(
        output.stderr.contains("frobfs") || output.stderr.contains("/mnt"),
        "{}",
        output.stderr
    );
}

fn remount_of_a_bind(s: &mut Sandbox) {
    s.spec.bind("/usr/share", "/mnt", &[]).mount(
        "/mnt",
        "bind",
        "/usr/share",
        &["bind", "remount", "ro", "nosuid"],
    );
    let seen = s.inspect(&[]).mount("/mnt");
    assert!(seen.has("ro") && seen.has("nosuid"), "{seen:?}");
}

fn ro_tmpfs_keeps_mountpoints(s: &mut Sandbox) {
    // A read-only tmpfs is remounted last, so that mounts below it find their mount points.
    s.spec
        .mount("/mnt", "tmpfs", "tmpfs", &["ro"])
        .mount("/mnt/inner", "tmpfs", "tmpfs", &[]);
    let report = s.inspect(&["create:/mnt/x", "create:/mnt/inner/x"]);
    assert_eq!(
        (
            report.errno("create:/mnt/x"),
            report.errno("create:/mnt/inner/x")
        ),
        (EROFS, 0)
    );
}

/// Every label is no more than text where no policy is loaded.
fn label_without_selinux(s: &mut Sandbox) {
    if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        skip("SELinux is in force here");
    }
    s.spec.set(
        "linux.mountLabel",
        "system_u:object_r:container_file_t:s0:c1,c2",
    );
    let seen = tmpfs_with(s, &["nosuid"]);
    assert!(
        !seen
            .super_options
            .iter()
            .any(|option| option.starts_with("context")),
        "{seen:?}"
    );
}
