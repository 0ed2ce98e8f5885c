//! CVE-2023-25809 (runc): in a user namespace without a cgroup namespace, /sys/fs/cgroup was writable below a read-only /sys.

use super::watch::start;
use crate::case::{harm, skip};
use crate::inspect::EROFS;
use crate::sandbox::Sandbox;
use crate::suites::namespaces::userns_of;
use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;

super::attacks!(["CVE-2023-25809"];
    sys_is_bound without "sys-readonly",
    sys_falls_back_to_a_bind without "sys-readonly",
);

const ROOT: u32 = 100_000;

/// A cgroup that was delegated to the container's root, removed at the end.
struct Delegated(PathBuf);

impl Delegated {
    fn new(s: &Sandbox) -> Self {
        let hierarchy = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"]
            .into_iter()
            .map(PathBuf::from)
            .find(|path| path.join("cgroup.procs").exists());
        let Some(hierarchy) = hierarchy else {
            skip("no cgroup filesystem to delegate in")
        };
        let path = hierarchy.join(format!("{}-delegated", s.environment.tag));
        fs::create_dir(&path).unwrap();
        chown(&path, Some(ROOT), Some(ROOT)).unwrap();
        chown(path.join("cgroup.procs"), Some(ROOT), Some(ROOT)).unwrap();
        Self(path)
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.0.join("made"));
        let _ = fs::remove_dir(&self.0);
    }
}

fn attack(s: &mut Sandbox) {
    let delegated = Delegated::new(s);
    let path = delegated.0.display();
    let probes = [
        format!("mkdir:{path}/made"),
        format!("write:{path}/cgroup.procs=0"),
        "create:/sys/fs/cgroup/x".to_owned(),
        "mkdir:/sys/fs/cgroup/x".to_owned(),
    ];
    let asked: Vec<&str> = probes.iter().map(String::as_str).collect();
    let report = start(s, &asked).expect("an ordinary start");
    for probe in asked {
        if report.errno(probe) != EROFS {
            harm(format!("not read-only: {}", report.probe(probe)));
        }
    }
}

fn sys_is_bound(s: &mut Sandbox) {
    userns_of(s, ROOT, 65536);
    s.spec.unmount("/sys").mount(
        "/sys",
        "none",
        "/sys",
        &["rbind", "nosuid", "noexec", "nodev", "ro"],
    );
    attack(s);
}

fn sys_falls_back_to_a_bind(s: &mut Sandbox) {
    // Without a network namespace of its own it may not mount a sysfs.
    userns_of(s, ROOT, 65536);
    s.spec.without_namespace("network");
    attack(s);
}
