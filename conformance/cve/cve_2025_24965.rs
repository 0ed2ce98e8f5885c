//! CVE-2025-24965 (crun): a file that the runtime itself puts into the root file system was written through a link.

use super::watch::{Outside, start};
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;

super::attacks!(["CVE-2025-24965"];
    bound_files without "in-root",
    dangling_links without "exclusive",
    devices without "in-root",
    notify_socket without "in-root",
    working_directory without "in-root",
);

/// Replaces a directory of the root file system by a link out.
fn lead_out(s: &Sandbox, name: &str, target: &str) {
    let place = s.rootfs.join(name);
    let _ = fs::remove_dir_all(&place);
    symlink(target, place).unwrap();
}

fn bound_files(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let source = s.path("hostname-file");
    fs::write(&source, "name").unwrap();
    lead_out(s, "run", &outside.path);
    for name in ["secrets/key", "hostname", "notify/socket"] {
        s.spec.bind(&source, &format!("/run/{name}"), &[]);
    }
    start(s, &[]);
    outside.untouched();
}

fn dangling_links(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let source = s.path("hostname-file");
    fs::write(&source, "name").unwrap();
    for (name, target) in [("one", "new"), ("two", "new-directory/new")] {
        let target = format!("{}/{target}", outside.path);
        symlink(target, s.rootfs.join("etc").join(name)).unwrap();
        s.spec.bind(&source, &format!("/etc/{name}"), &[]);
    }
    start(s, &[]);
    outside.untouched();
}

fn devices(s: &mut Sandbox) {
    let outside = Outside::new(s);
    lead_out(s, "run", &outside.path);
    for (name, kind) in [("node", "c"), ("pipe", "p"), ("decoy", "c")] {
        s.spec.push(
            "linux.devices",
            json!({"path": format!("/run/{name}"), "type": kind, "major": 1, "minor": 5, "uid": 9, "gid": 9}),
        );
    }
    start(s, &[]);
    outside.untouched();
}

fn notify_socket(s: &mut Sandbox) {
    let outside = Outside::new(s);
    lead_out(s, "run", &outside.path);
    let path = s.path("notify.host");
    let socket = UnixDatagram::bind(&path).unwrap();
    s.spec.args(&["/bin/true"]);
    // It is made and bound by `create`; nobody has to be told that the program is ready.
    s.create_call(&[]).env("NOTIFY_SOCKET", &path).run().ok();
    s.call(&["delete", "--force", &s.id]).run().ok();
    drop(socket);
    outside.untouched();
}

fn working_directory(s: &mut Sandbox) {
    let outside = Outside::new(s);
    lead_out(s, "run", &outside.path);
    s.spec.set("process.cwd", "/run/work/deep");
    start(s, &[]);
    outside.untouched();
}
