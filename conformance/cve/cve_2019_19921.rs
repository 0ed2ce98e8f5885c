//! CVE-2019-19921 (runc): /proc mounted through a link that another container had put there meanwhile.

use super::flipper::Flipper;
use super::watch::{Outside, only_stdio, some_started};
use crate::case::harm;
use crate::inspect::{EROFS, Report};
use crate::process;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

super::attacks!(["CVE-2019-19921"];
    proc_flipped_with_a_link_inside without "no-symlink,proc",
    proc_flipped_with_a_link_out without "no-symlink,in-root,proc",
    sys_flipped_with_a_link_inside without "no-symlink",
    masks_of_a_flipped_proc without "held-mounts",
);

const PROC: i64 = 0x9fa0;
const SYSFS: i64 = 0x6265_6572;

/// Flips `name` in the root file system with a link to `target` while the container is made, then puts all back and looks.
fn race(s: &mut Sandbox, name: &str, target: &str, magic: i64, outside: &Outside) {
    let link = format!("{name}.link");
    symlink(target, s.rootfs.join(&link)).unwrap();
    fs::create_dir_all(s.rootfs.join("fake/self")).unwrap();
    let flipper = Flipper::new(s.rootfs.join(name), s.rootfs.join(&link));
    let asked = format!("statfs:/{name}");
    s.spec.args(&["/inspect", "report", &asked]);
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        flipper.go_on();
        let created = s.create_call(&[]).run();
        flipper.rest();
        outside.untouched();
        if created.code != 0 {
            continue;
        }
        started += 1;
        s.start().ok();
        process::reap(s.pid(), Duration::from_secs(5));
        let text = fs::read_to_string(&created.stdout_file).unwrap();
        s.delete().ok();
        let report = Report::parse(&text);
        let found = report.probe(&asked)["type"].as_i64();
        if found != Some(magic) {
            harm(format!("start {number}: /{name} is a filesystem {found:x?}"));
        }
        only_stdio(&report);
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn proc_flipped_with_a_link_inside(s: &mut Sandbox) {
    let outside = Outside::new(s);
    race(s, "proc", "fake", PROC, &outside);
}

fn proc_flipped_with_a_link_out(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let target = outside.path.clone();
    race(s, "proc", &target, PROC, &outside);
}

fn sys_flipped_with_a_link_inside(s: &mut Sandbox) {
    let outside = Outside::new(s);
    race(s, "sys", "fake", SYSFS, &outside);
}

fn masks_of_a_flipped_proc(s: &mut Sandbox) {
    // The procfs is where it belongs; its masks must be on it, and not on what its name meant for a moment.
    let fake = s.rootfs.join("fake");
    fs::create_dir_all(fake.join("sys")).unwrap();
    for name in ["interrupts", "keys", "vmstat"] {
        fs::write(fake.join(name), "").unwrap();
    }
    symlink("fake", s.rootfs.join("proc.link")).unwrap();
    s.spec
        .set("linux.maskedPaths", json!(["/proc/interrupts", "/proc/keys", "/proc/vmstat"]))
        .set("linux.readonlyPaths", json!(["/proc/sys"]));
    let probes = [
        "stat:/proc/interrupts",
        "stat:/proc/keys",
        "stat:/proc/vmstat",
        "openrw:/proc/sys/vm/swappiness",
    ];
    s.spec.args(&[&["/inspect", "report"][..], &probes].concat());
    let flipper = Flipper::new(s.rootfs.join("proc"), s.rootfs.join("proc.link"));
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        flipper.go_on();
        let created = s.create_call(&[]).run();
        flipper.rest();
        if created.code != 0 {
            continue;
        }
        started += 1;
        s.start().ok();
        process::reap(s.pid(), Duration::from_secs(5));
        let report = Report::parse(&fs::read_to_string(&created.stdout_file).unwrap());
        s.delete().ok();
        only_stdio(&report);
        for probe in &probes[..3] {
            let answer = report.probe(probe);
            let device = (answer["major"].as_i64(), answer["minor"].as_i64());
            if device != (Some(1), Some(3)) {
                harm(format!("start {number}: not masked: {answer}"));
            }
        }
        if report.errno(probes[3]) != EROFS {
            harm(format!("start {number}: /proc/sys is writable"));
        }
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}
