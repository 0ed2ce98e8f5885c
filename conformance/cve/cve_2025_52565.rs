//! CVE-2025-52565 (runc): /dev/console is made of a path that the container's owner can change.

use super::flipper::Flipper;
use super::watch::{Outside, some_started};
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use crate::suites::terminal::{read_all, receive, with_terminal};
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2025-52565"];
    console_is_a_link without "in-root",
    pts_is_flipped without "console",
);

/// Starts on a terminal: what /dev/console is inside, or None if the start failed.
fn console(s: &mut Sandbox, number: usize) -> Option<Report> {
    let (listener, socket) = with_terminal(s, &["/inspect", "probe", "stat:/dev/console"]);
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
    devpts(s);
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

fn devpts(s: &mut Sandbox) {
    let options = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    s.spec.mount("/dev/pts", "devpts", "devpts", &options);
}

fn pts_is_flipped(s: &mut Sandbox) {
    // Two directories change places, one with a decoy under the terminal's name.
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/pts")).unwrap();
    fs::create_dir_all(format!("{volume}/fake")).unwrap();
    for name in ["pts/0", "fake/0", "console"] {
        fs::write(format!("{volume}/{name}"), "decoy").unwrap();
    }
    symlink("pts/ptmx", format!("{volume}/ptmx")).unwrap();
    s.spec.unmount("/dev").unmount("/dev/pts").unmount("/dev/shm");
    s.spec.bind(&volume, "/dev", &[]);
    devpts(s);
    let flipper = Flipper::new(format!("{volume}/pts"), format!("{volume}/fake"));
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        started += usize::from(console(s, number).is_some());
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}
