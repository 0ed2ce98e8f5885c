//! CVE-2022-23648 (containerd): a volume was filled from a path of the image that is a link to the host's files.
//!
//! Here: `tmpcopyup`, the runtime's own way to fill a mount from what it covers.

use super::flipper::Flipper;
use super::watch::{Outside, some_started, start};
use crate::case::harm;
use crate::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2022-23648"];
    copy_up_of_a_link without "in-root",
    copy_up_of_a_flipped_directory without "in-root",
    copy_up_of_flipped_files without "",
);

fn copy_up_of_a_link(s: &mut Sandbox) {
    let outside = Outside::new(s);
    s.spec.mount("/target", "tmpfs", "tmpfs", &["tmpcopyup"]);
    symlink(&outside.path, s.rootfs.join("target")).unwrap();
    let inside = format!("read:{}/decoy", outside.path);
    let probes = ["read:/target/decoy", inside.as_str()];
    let report = start(s, &probes).expect("an ordinary start");
    for probe in probes {
        if report.errno(probe) == 0 {
            harm("a file of the host was copied into the container");
        }
    }
    if !report.mounts().iter().any(|mount| mount.point == outside.path) {
        harm("the mount is not in the container");
    }
    outside.untouched();
}

fn copy_up_of_a_flipped_directory(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/directory")).unwrap();
    fs::write(format!("{volume}/directory/own"), "own").unwrap();
    symlink(&outside.path, format!("{volume}/link")).unwrap();
    s.spec
        .bind(&volume, "/volume", &[])
        .mount("/volume/directory", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let flipper = Flipper::new(format!("{volume}/directory"), format!("{volume}/link"));
    let inside = format!("read:{}/decoy", outside.path);
    let probes = ["read:/volume/directory/decoy", "read:/volume/link/decoy", inside.as_str()];
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        if let Some(report) = start(s, &probes) {
            started += 1;
            if probes.iter().any(|probe| report.errno(probe) == 0) {
                harm(format!("start {number}: a file of the host was copied"));
            }
            // The root's own mounts, and this one wherever it went inside.
            if report.mounts().iter().filter(|mount| mount.kind == "tmpfs").count() != 3 {
                harm(format!("start {number}: the mount is not in the container"));
            }
        }
        outside.untouched();
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn copy_up_of_flipped_files(s: &mut Sandbox) {
    // A file becomes a fifo or a link while it is copied: nobody waits, nothing of the host's comes in. What is copied from a
    // directory at rest shows that it would be seen.
    let outside = Outside::new(s);
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/directory")).unwrap();
    for number in 0..20 {
        fs::write(format!("{volume}/directory/{number:02}"), "own").unwrap();
    }
    s.spec
        .bind(&volume, "/volume", &[])
        .mount("/volume/directory", "tmpfs", "tmpfs", &["tmpcopyup"]);
    let report = start(s, &["read:/volume/directory/10"]).expect("an ordinary start");
    assert_eq!(report.read("/volume/directory/10"), "own");
    symlink(format!("{}/decoy", outside.path), format!("{volume}/link")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(format!("{volume}/fifo")).status();
    assert!(fifo.is_ok_and(|status| status.success()));
    let flippers = [
        Flipper::new(format!("{volume}/directory/05"), format!("{volume}/link")),
        Flipper::new(format!("{volume}/directory/15"), format!("{volume}/fifo")),
    ];
    for _ in 0..s.environment.starts {
        if let Some(report) = start(s, &["read:/volume/directory/05", "read:/volume/directory/15"]) {
            let answer = &report.probe("read:/volume/directory/05")["text"];
            if answer == "decoy" {
                harm("a file of the host was copied into the container");
            }
        }
        outside.untouched();
    }
    assert!(flippers.iter().all(|flipper| flipper.flips() > 0));
}
