//! CVE-2026-41579 (runc), CVE-2026-47766 (crun): /dev of the image is a link, and default nodes and links are made on the host.

use super::watch::{Outside, start};
use crate::case::harm;
use crate::sandbox::Sandbox;
use crate::suites::namespaces::userns_of;
use std::fs;
use std::os::unix::fs::{chown, symlink};

super::attacks!(["CVE-2026-41579", "CVE-2026-47766"];
    dev_is_a_link without "in-root",
    dev_is_a_link_for_create without "in-root",
    pts_is_a_link without "in-root",
    dev_is_a_link_in_a_user_namespace without "in-root",
);

fn targets(outside: &Outside) -> [String; 3] {
    [
        outside.path.clone(),
        format!("../../../../../../../../../../../..{}", outside.path),
        format!("/proc/self/root{}", outside.path),
    ]
}

fn without_dev(s: &mut Sandbox, target: &str) {
    let place = s.rootfs.join("dev");
    let _ = fs::remove_dir(&place);
    let _ = fs::remove_file(&place);
    symlink(target, place).unwrap();
    s.spec
        .unmount("/dev")
        .unmount("/dev/pts")
        .unmount("/dev/shm");
}

fn decoys(s: &Sandbox) -> Outside {
    let outside = Outside::new(s);
    for name in ["ptmx", "null", "fd", "core"] {
        fs::write(format!("{}/{name}", outside.path), "decoy").unwrap();
    }
    for name in ["pts", "shm"] {
        fs::create_dir(format!("{}/{name}", outside.path)).unwrap();
    }
    let mut outside = outside;
    outside.accept();
    outside
}

fn dev_is_a_link(s: &mut Sandbox) {
    let outside = decoys(s);
    for target in targets(&outside) {
        without_dev(s, &target);
        start(s, &[]);
        outside.untouched();
    }
}

fn dev_is_a_link_for_create(s: &mut Sandbox) {
    let outside = decoys(s);
    for target in targets(&outside) {
        without_dev(s, &target);
        s.spec.args(&["/bin/true"]);
        if s.create_call(&[]).run().code == 0 {
            outside.untouched();
            s.start().ok();
            s.reap();
            s.delete().ok();
        }
        outside.untouched();
    }
}

fn pts_is_a_link(s: &mut Sandbox) {
    // With a /dev of its own, but links below it: what the config mounts there goes through them.
    let mut outside = decoys(s);
    let volume = s.path("volume");
    fs::create_dir(&volume).unwrap();
    for name in ["pts", "shm"] {
        symlink(format!("{}/{name}", outside.path), format!("{volume}/{name}")).unwrap();
    }
    outside.accept();
    s.spec.unmount("/dev").unmount("/dev/pts").unmount("/dev/shm");
    s.spec.bind(&volume, "/dev", &[]);
    s.spec.mount("/dev/shm", "tmpfs", "shm", &["size=64k"]);
    if let Some(report) = start(s, &[]) {
        let mounts = report.mounts();
        if !mounts.iter().any(|mount| mount.point.ends_with("/shm")) {
            harm("the mount is not in the container");
        }
    }
    outside.untouched();
}

fn dev_is_a_link_in_a_user_namespace(s: &mut Sandbox) {
    // There the nodes are files with the host's nodes bound on them: the files would be made outside.
    let mut outside = decoys(s);
    chown(&outside.path, Some(100_000), Some(100_000)).unwrap();
    outside.accept();
    userns_of(s, 100_000, 65536);
    for target in targets(&outside) {
        without_dev(s, &target);
        start(s, &[]);
        outside.untouched();
    }
}
