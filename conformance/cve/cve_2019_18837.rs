//! CVE-2019-18837 (crun): a link of the image at a mount's destination was followed out of the root file system.

use super::watch::{Outside, some_started, start};
use crate::case::harm;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2019-18837"];
    tmpfs_at_a_link without "in-root",
    bind_at_a_link without "in-root",
    host_sees_nothing without "in-root",
    link_in_the_middle without "in-root",
);

/// Links to the outside by an absolute path and by one that climbs.
fn links(outside: &str) -> [String; 2] {
    [
        outside.to_owned(),
        format!("../../../../../../../../../../../..{outside}"),
    ]
}

/// Starts with the mounts as the spec has them; every one of `points` must be inside.
fn try_links(s: &mut Sandbox, outside: &Outside, name: &str, points: &[&str]) {
    let mut started = 0;
    for target in links(&outside.path) {
        let link = s.rootfs.join(name);
        let _ = std::fs::remove_file(&link);
        symlink(&target, &link).unwrap();
        if let Some(report) = start(s, &[]) {
            started += 1;
            let mounts = report.mounts();
            for point in points {
                let inside = mounts.iter().any(|mount| mount.point.ends_with(point));
                if !inside {
                    harm(format!("link to {target}: the mount is not in the container"));
                }
            }
        }
        outside.untouched();
    }
    some_started(started, 2);
}

fn tmpfs_at_a_link(s: &mut Sandbox) {
    let outside = Outside::new(s);
    s.spec.mount("/target", "tmpfs", "tmpfs", &[]);
    try_links(s, &outside, "target", &["/outside"]);
}

fn bind_at_a_link(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let source = s.path("source");
    std::fs::create_dir(&source).unwrap();
    s.spec.bind(source, "/target", &[]);
    try_links(s, &outside, "target", &["/outside"]);
}

fn link_in_the_middle(s: &mut Sandbox) {
    let outside = Outside::new(s);
    s.spec.mount("/target/a/b", "tmpfs", "tmpfs", &[]);
    try_links(s, &outside, "target", &["/outside/a/b"]);
}

fn host_sees_nothing(s: &mut Sandbox) {
    // With shared propagation the host would see the mount itself.
    let outside = Outside::shared(s);
    s.spec
        .set("linux.rootfsPropagation", json!("shared"))
        .mount("/target", "tmpfs", "tmpfs", &[]);
    let mut started = 0;
    for target in links(&outside.path) {
        let link = s.rootfs.join("target");
        let _ = std::fs::remove_file(&link);
        symlink(&target, &link).unwrap();
        started += usize::from(start(s, &[]).is_some());
        outside.untouched();
    }
    some_started(started, 2);
}
