//! CVE-2025-52881 (runc), CVE-2025-62596 (youki): writes to procfs (sysctls, labels, oom_score_adj) end in another file of it.
//!
//! The image's link `door` leads into /proc, so a mount below it shadows the file that the runtime is going to write. Decoys stand
//! for /proc/sysrq-trigger and core_pattern, which no test may write to.

use super::flipper::Flipper;
use super::watch::{some_started, start};
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2025-52881", "CVE-2025-62596"];
    sysctl_is_shadowed without "proc",
    sysctl_is_shadowed_by_a_link without "proc",
    sysctl_directory_is_shadowed without "proc",
    oom_score_is_shadowed without "proc",
    sysctl_is_shadowed_by_a_race without "proc",
);

fn decoy(s: &Sandbox) -> String {
    let decoy = s.path("decoy");
    fs::write(&decoy, "decoy").unwrap();
    decoy
}

fn kept(decoy: &str, report: Option<&Report>) {
    let text = fs::read_to_string(decoy).unwrap();
    if text != "decoy" {
        harm(format!("the write went to a file of the attacker's choice: {text:?}"));
    }
    // The same knob under its other name, which nothing shadows.
    let asked = "read:/proc/sys/net/ipv4/conf/all/forwarding";
    if let Some(report) = report
        && report.probe(asked)["text"].as_str().map(str::trim) != Some("1")
    {
        harm(format!("the sysctl was lost: {}", report.probe(asked)));
    }
}

const FORWARDING: [&str; 1] = ["read:/proc/sys/net/ipv4/conf/all/forwarding"];

fn sysctl_is_shadowed(s: &mut Sandbox) {
    let decoy = decoy(s);
    symlink("/proc/sys/net/ipv4", s.rootfs.join("door")).unwrap();
    s.spec
        .set("linux.sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .bind(&decoy, "/door/ip_forward", &[]);
    let report = start(s, &FORWARDING);
    kept(&decoy, report.as_ref());
}

fn sysctl_is_shadowed_by_a_link(s: &mut Sandbox) {
    // A link among what is mounted: proc's own file would be found through it.
    let decoy = decoy(s);
    let volume = s.path("volume");
    fs::create_dir(&volume).unwrap();
    symlink("/decoy", format!("{volume}/ip_forward")).unwrap();
    symlink("/proc/sys/net", s.rootfs.join("door")).unwrap();
    fs::write(s.rootfs.join("decoy"), "").unwrap();
    s.spec
        .set("linux.sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .bind(&decoy, "/decoy", &[])
        .bind(&volume, "/door/ipv4", &[]);
    start(s, &[]);
    kept(&decoy, None);
}

fn sysctl_directory_is_shadowed(s: &mut Sandbox) {
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/ipv4")).unwrap();
    let decoy = format!("{volume}/ipv4/ip_forward");
    fs::write(&decoy, "decoy").unwrap();
    symlink("/proc/sys/net", s.rootfs.join("door")).unwrap();
    s.spec
        .set("linux.sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .bind(format!("{volume}/ipv4"), "/door/ipv4", &[]);
    start(s, &[]);
    kept(&decoy, None);
}

fn oom_score_is_shadowed(s: &mut Sandbox) {
    let decoy = decoy(s);
    symlink("/proc/self", s.rootfs.join("door")).unwrap();
    s.spec
        .set("process.oomScoreAdj", 321)
        .bind(&decoy, "/door/oom_score_adj", &[]);
    start(s, &[]);
    kept(&decoy, None);
}

fn sysctl_is_shadowed_by_a_race(s: &mut Sandbox) {
    // Another container's link appears under the destination of a volume's mount.
    let decoy = decoy(s);
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/door")).unwrap();
    symlink("/proc/sys/net/ipv4", format!("{volume}/link")).unwrap();
    s.spec
        .set("linux.sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .bind(&volume, "/volume", &[])
        .bind(&decoy, "/volume/door/ip_forward", &[]);
    let flipper = Flipper::new(format!("{volume}/door"), format!("{volume}/link"));
    let (mut started, starts) = (0, s.environment.starts);
    for _ in 0..starts {
        let report = start(s, &FORWARDING);
        started += usize::from(report.is_some());
        kept(&decoy, report.as_ref());
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}
