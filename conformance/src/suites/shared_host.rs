//! A host whose mounts are shared, as systemd makes them: nothing that a container mounts, and nothing that it leaves, reaches
//! the host. "Host" is a mount namespace made for the run, with everything in it shared.

use super::rootless::{by_shell, need};
use crate::case::cases;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use crate::suites::namespaces::userns_of;
use std::fs;

cases!("shared-host":
    every_propagation_of_the_root, every_propagation_with_a_user_namespace, bind_stays_within, bind_stays_within_a_user_namespace,
    bind_into_the_root_of_a_user_namespace, shared_reaches_the_host,
);

const PROPAGATIONS: [&str; 9] = [
    "",
    "private",
    "rprivate",
    "slave",
    "rslave",
    "shared",
    "rshared",
    "unbindable",
    "runbindable",
];

/// The bundle's mount, one within the root file system, and one to bind, all shared; then the runtime.
const HOST: &str = r#"exec unshare --mount --propagation private /bin/sh -c '
set -e
directory=$1 rootfs=$2; shift 2
mount --bind $directory $directory
mkdir -p $rootfs/below $directory/source
mount -t tmpfs below $rootfs/below
mount -t tmpfs source $directory/source
mount --make-rshared /
cat /proc/self/mountinfo > $directory/before
"$@" && status=0 || status=$?
cat /proc/self/mountinfo > $directory/after
exit $status' sh "#;

/// The container's report, and what the host's mounts are after it that they were not before.
fn run(s: &mut Sandbox, probes: &[&str]) -> (Report, Vec<String>) {
    need(&["/usr/bin/unshare"]);
    s.spec
        .args(&[&["/inspect", "report"], probes].concat())
        .capabilities(&["CAP_SYS_ADMIN"]);
    let script = format!("{HOST}{} {} \"$@\"", s.path("."), s.rootfs.display());
    let output = by_shell(s.run_call(&[]), &script).run().ok();
    let lines = |name: &str| -> Vec<String> {
        let text = fs::read_to_string(s.path(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    };
    let (before, after) = (lines("before"), lines("after"));
    let only = |here: &[String], there: &[String], sign: &str| -> Vec<String> {
        let differing = here.iter().filter(|line| !there.contains(line));
        differing.map(|line| format!("{sign} {line}")).collect()
    };
    let changed = [only(&after, &before, "+"), only(&before, &after, "-")].concat();
    (Report::parse(&output.stdout), changed)
}

fn every_propagation(s: &mut Sandbox) {
    s.spec.mount("/below/sub", "tmpfs", "tmpfs", &[]);
    for propagation in PROPAGATIONS {
        match propagation {
            "" => s.spec.remove("linux.rootfsPropagation"),
            word => s.spec.set("linux.rootfsPropagation", word),
        };
        let (report, changed) = run(s, &[]);
        assert!(report.is_mounted("/below/sub"), "{propagation:?}");
        assert!(changed.is_empty(), "{propagation:?}: {changed:#?}");
    }
}

fn every_propagation_of_the_root(s: &mut Sandbox) {
    every_propagation(s);
}

fn every_propagation_with_a_user_namespace(s: &mut Sandbox) {
    userns_of(s, 100_000, 65536);
    every_propagation(s);
}

/// What the container mounts in a bind mount.
fn bound(s: &mut Sandbox) {
    let source = s.path("source");
    s.spec.mount("/mnt", "bind", &source, &["rbind"]);
    let probes = ["mkdir:/mnt/x", "mount:none,/mnt/x,tmpfs"];
    let (report, changed) = run(s, &probes);
    for probe in probes {
        assert_eq!(report.errno(probe), 0, "{probe}");
    }
    assert!(changed.is_empty(), "{changed:#?}");
}

fn bind_stays_within(s: &mut Sandbox) {
    bound(s);
}

fn bind_stays_within_a_user_namespace(s: &mut Sandbox) {
    userns_of(s, 0, 65536);
    bound(s);
}

fn bind_into_the_root_of_a_user_namespace(s: &mut Sandbox) {
    userns_of(s, 0, 65536);
    let probe = "mount:none,/below,tmpfs";
    let (report, changed) = run(s, &[probe]);
    assert_eq!(report.errno(probe), 0);
    assert!(changed.is_empty(), "{changed:#?}");
}

fn shared_reaches_the_host(s: &mut Sandbox) {
    // What docker's bind-propagation=rshared asks for; and the proof that the other cases would see a mount on the host.
    let source = s.path("source");
    s.spec.set("linux.rootfsPropagation", "rshared").mount(
        "/mnt",
        "bind",
        &source,
        &["rbind", "rshared"],
    );
    let (_, changed) = run(s, &["mkdir:/mnt/x", "mount:none,/mnt/x,tmpfs"]);
    assert_eq!(changed.len(), 1, "{changed:#?}");
    assert!(changed[0].starts_with("+ ") && changed[0].contains("/source/x "));
}
