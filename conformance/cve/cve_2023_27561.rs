//! CVE-2023-27561, CVE-2023-28642 (runc), CVE-2025-54867 (youki): /proc or /sys of the image is a link, and masks and labels go
//! elsewhere.

use super::watch::Outside;
use crate::case::harm;
use crate::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2023-27561", "CVE-2023-28642", "CVE-2025-54867"];
    proc_is_a_link without "no-symlink,proc",
    sys_is_a_link without "no-symlink",
    above_proc_is_a_link without "no-symlink",
);

/// Every kind of link must be refused by a message that names the destination.
fn refused(s: &mut Sandbox, name: &str, destination: &str) {
    let outside = Outside::new(s);
    fs::create_dir(s.rootfs.join("inside")).unwrap();
    fs::create_dir(s.rootfs.join("inside/proc")).unwrap();
    let place = s.rootfs.join(name);
    let _ = fs::remove_dir(&place);
    for target in ["inside", "/inside", outside.path.as_str(), "../../inside"] {
        symlink(target, &place).unwrap();
        let output = s.run();
        if output.code == 0 {
            harm(format!("a link to {target} was accepted at {name}"));
        }
        assert!(
            output.stderr.contains(destination),
            "the message does not name {destination}: {}",
            output.stderr
        );
        outside.untouched();
        fs::remove_file(&place).unwrap();
    }
}

fn proc_is_a_link(s: &mut Sandbox) {
    refused(s, "proc", "/proc");
}

fn sys_is_a_link(s: &mut Sandbox) {
    refused(s, "sys", "/sys");
}

fn above_proc_is_a_link(s: &mut Sandbox) {
    s.spec
        .mount("/door/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]);
    refused(s, "door", "/door/proc");
}
