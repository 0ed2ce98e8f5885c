//! CVE-2025-52565 (runc): /dev/console is made of a path that the container's owner can change.

use super::flipper::Flipper;
use super::watch::{Outside, only_stdio, some_started};
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use crate::suites::terminal::{read_all, receive, with_terminal};
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2025-52565"];
    console_is_a_link without "in-root",
    pts_entry_is_a_link without "console",
    pts_entry_is_flipped without "console",
);

/// Starts on a terminal: what /dev/console is inside, or None if the start failed.
fn console(s: &mut Sandbox, number: usize) -> Option<Report> {
    let (listener, socket) = with_terminal(s, &["/inspect", "report", "stat:/dev/console"]);
    let created = s.create_call(&["--console-socket", &socket]).run();
    let started = created.code == 0;
    let report = started.then(|| {
        let (master, _) = receive(&listener);
        s.start().ok();
        let text = read_all(master);
        s.reap();
        s.delete().ok();
        Report::parse(&text)
    });
    drop(listener);
    fs::remove_file(&socket).unwrap();
    if let Some(report) = &report {
        only_stdio(report);
        let answer = report.probe("stat:/dev/console");
        // Unix98 pseudo-terminals are major 136 to 143.
        if answer["major"].as_i64() != Some(136) {
            harm(format!("start {number}: /dev/console is {answer}"));
        }
    }
    report
}

fn console_is_a_link(s: &mut Sandbox) {
    let mut outside = Outside::new(s);
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/pts")).unwrap();
    symlink("pts/ptmx", format!("{volume}/ptmx")).unwrap();
    s.spec.unmount("/dev").unmount("/dev/pts").unmount("/dev/shm");
    s.spec.bind(&volume, "/dev", &[]);
    devpts(s, "/dev/pts");
    let mut started = 0;
    for target in [format!("{}/decoy", outside.path), format!("{}/new", outside.path)] {
        let _ = fs::remove_file(format!("{volume}/console"));
        symlink(&target, format!("{volume}/console")).unwrap();
        outside.accept();
        started += usize::from(console(s, 1).is_some());
        outside.untouched();
    }
    some_started(started, 2);
}

fn devpts(s: &mut Sandbox, destination: &str) {
    let options = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    s.spec.mount(destination, "devpts", "devpts", &options);
}

/// A /dev whose ptmx is a true one, and whose pts holds what the container's owner likes.
fn false_pts(s: &mut Sandbox) -> String {
    let volume = s.path("volume");
    for name in ["pts", "real"] {
        fs::create_dir_all(format!("{volume}/{name}")).unwrap();
    }
    fs::write(format!("{volume}/console"), "").unwrap();
    symlink("real/ptmx", format!("{volume}/ptmx")).unwrap();
    s.spec
        .unmount("/dev")
        .unmount("/dev/pts")
        .unmount("/dev/shm")
        .bind(&volume, "/dev", &[]);
    devpts(s, "/dev/real");
    volume
}

fn pts_entry_is_a_link(s: &mut Sandbox) {
    let volume = false_pts(s);
    let mut started = 0;
    // The report's target is never written by this test: the program only looks.
    for target in ["/proc/sys/kernel/core_pattern", "/etc/hosts", "../console"] {
        let entry = format!("{volume}/pts/0");
        let _ = fs::remove_file(&entry);
        symlink(target, &entry).unwrap();
        started += usize::from(console(s, 1).is_some());
    }
    some_started(started, 3);
}

fn pts_entry_is_flipped(s: &mut Sandbox) {
    let volume = false_pts(s);
    fs::write(format!("{volume}/pts/0"), "decoy").unwrap();
    symlink("/etc/hosts", format!("{volume}/pts/link")).unwrap();
    let flippers = [
        Flipper::new(format!("{volume}/pts/0"), format!("{volume}/pts/link")),
        Flipper::new(format!("{volume}/pts"), format!("{volume}/real")),
    ];
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        started += usize::from(console(s, number).is_some());
    }
    some_started(started, starts);
    assert!(flippers.iter().all(|flipper| flipper.flips() > 0));
}
