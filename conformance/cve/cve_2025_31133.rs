//! CVE-2025-31133 (runc), CVE-2025-62161 (youki): masks are made of the container's /dev/null, which may be a link to anything.

use super::flipper::Flipper;
use super::watch::{some_started, start};
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2025-31133", "CVE-2025-62161"];
    null_is_a_link without "null",
    null_is_a_file without "null",
    null_is_flipped without "null",
    masks_hold without "",
);

const MASKED: [&str; 2] = ["/etc/hosts", "/etc/group"];

/// A /dev from a volume that the container's owner filled, so that the runtime makes nothing in it.
fn volume(s: &mut Sandbox) -> String {
    let volume = s.path("volume");
    fs::create_dir(&volume).unwrap();
    fs::write(s.rootfs.join("secret"), "secret").unwrap();
    s.spec.unmount("/dev").unmount("/dev/pts").unmount("/dev/shm");
    s.spec
        .bind(&volume, "/dev", &[])
        .set("linux.maskedPaths", json!(MASKED));
    volume
}

/// A mask reads as nothing, and what is written to it is gone.
fn hidden(report: &Report) {
    for path in MASKED {
        let (read, stat) = (format!("read:{path}"), format!("stat:{path}"));
        let answer = report.probe(&stat);
        if (answer["major"].as_i64(), answer["minor"].as_i64()) != (Some(1), Some(3)) {
            harm(format!("{path} is masked by {answer}"));
        }
        if report.probe(&read)["text"].as_str().is_some_and(|text| !text.is_empty()) {
            harm(format!("{path} reads {}", report.probe(&read)));
        }
    }
}

const PROBES: [&str; 5] = [
    "stat:/etc/hosts",
    "read:/etc/hosts",
    "stat:/etc/group",
    "read:/etc/group",
    "write:/etc/hosts=overwritten",
];

fn null_is_a_link(s: &mut Sandbox) {
    let volume = volume(s);
    // The report's target is read only, never written, by this test.
    for target in ["/proc/sys/kernel/core_pattern", "/secret", "../secret"] {
        let _ = fs::remove_file(format!("{volume}/null"));
        symlink(target, format!("{volume}/null")).unwrap();
        if let Some(report) = start(s, &PROBES[..4]) {
            hidden(&report);
        }
    }
}

fn null_is_a_file(s: &mut Sandbox) {
    let volume = volume(s);
    fs::write(format!("{volume}/null"), "wrong inode").unwrap();
    if let Some(report) = start(s, &PROBES) {
        hidden(&report);
    }
    assert_eq!(fs::read_to_string(format!("{volume}/null")).unwrap(), "wrong inode");
}

fn null_is_flipped(s: &mut Sandbox) {
    let volume = volume(s);
    let device = makedev(1, 3);
    mknodat(CWD, format!("{volume}/null"), FileType::CharacterDevice, Mode::from(0o666), device).unwrap();
    symlink("/secret", format!("{volume}/link")).unwrap();
    let flipper = Flipper::new(format!("{volume}/null"), format!("{volume}/link"));
    let (mut started, starts) = (0, s.environment.starts);
    for _ in 0..starts {
        if let Some(report) = start(s, &PROBES) {
            started += 1;
            hidden(&report);
        }
        assert_eq!(fs::read_to_string(s.rootfs.join("secret")).unwrap(), "secret");
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn masks_hold(s: &mut Sandbox) {
    // Seen without the mask, the files read as they are: so the oracle can tell. An absent file needs no mask.
    let open = start(s, &PROBES[..4]).expect("an ordinary start");
    assert!(!open.read("/etc/hosts").is_empty(), "nothing to hide");
    s.spec.set("linux.maskedPaths", json!([MASKED[0], MASKED[1], "/absent/file"]));
    hidden(&start(s, &PROBES).expect("a mask of an absent file is no error"));
    let hosts = fs::read_to_string(s.rootfs.join("etc/hosts")).unwrap();
    assert_eq!(hosts, "127.0.0.1 localhost\n", "the write reached the file below the mask");
}
