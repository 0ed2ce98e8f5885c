//! CVE-2021-30465 (runc): a mount's destination in a shared volume, swapped for a link between the look and the mount.

use super::flipper::Flipper;
use super::watch::{Outside, only_stdio, some_started, start};
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use crate::suites::namespaces::userns_of;
use crate::suites::rootless::{prepare, run_as_user};
use crate::suites::trace::under_strace;
use crate::trace_paths::into_root;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2021-30465"];
    mounts_below_a_flipped_directory without "in-root",
    host_sees_nothing without "in-root",
    flipped_to_the_root without "in-root",
    files_below_a_flipped_directory without "in-root",
    climbing_links without "in-root",
    in_a_user_namespace without "in-root",
    by_an_ordinary_user without "in-root",
    volumes_in_volumes without "in-root",
    read_only_mounts_change_places without "held-mounts",
    no_path_leads_into_the_root without "in-root",
    no_path_leads_into_the_root_of_an_exec without "",
);

/// A volume of two containers, in it a directory and a link that change places.
fn volume(s: &mut Sandbox, target: &str) -> Flipper {
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/directory")).unwrap();
    symlink(target, format!("{volume}/link")).unwrap();
    s.spec.bind(&volume, "/volume", &[]);
    Flipper::new(format!("{volume}/directory"), format!("{volume}/link"))
}

/// `starts` starts; each that comes about has `count` mounts whose points end with `point`.
fn race(s: &mut Sandbox, outside: &Outside, flipper: &Flipper, point: &str, count: usize) {
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        if let Some(report) = start(s, &[]) {
            started += 1;
            let mounts = report.mounts();
            let inside = mounts.iter().filter(|m| m.point.contains(point)).count();
            if inside != count {
                let points: Vec<&str> = mounts.iter().map(|m| m.point.as_str()).collect();
                harm(format!(
                    "start {number}: {inside} of {count} mounts are in the container: {points:?}"
                ));
            }
        }
        outside.untouched();
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn mounts_below_a_flipped_directory(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let flipper = volume(s, &outside.path);
    for name in ["m1", "m2", "m3"] {
        let destination = format!("/volume/directory/{name}");
        s.spec.mount(&destination, "tmpfs", "tmpfs", &["size=4k"]);
    }
    race(s, &outside, &flipper, "/m", 3);
}

fn host_sees_nothing(s: &mut Sandbox) {
    let mut outside = Outside::shared(s);
    fs::create_dir(format!("{}/m1", outside.path)).unwrap();
    outside.accept();
    let flipper = volume(s, &outside.path);
    s.spec
        .set("linux.rootfsPropagation", json!("shared"))
        .mount("/volume/directory/m1", "tmpfs", "tmpfs", &["size=4k"]);
    race(s, &outside, &flipper, "/m1", 1);
}

fn flipped_to_the_root(s: &mut Sandbox) {
    // The report's own attack: a link to `/`, and what is mounted through it lies over the host's tree.
    let outside = Outside::new(s);
    let flipper = volume(s, "/");
    let name = format!("m-{}", s.id);
    let destination = format!("/volume/directory/{name}");
    s.spec.mount(&destination, "tmpfs", "tmpfs", &["size=4k"]);
    let host = std::path::Path::new("/").join(&name);
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        started += usize::from(start(s, &[]).is_some());
        // Only ever empty: it was made as a mount point.
        if fs::remove_dir(&host).is_ok() {
            harm(format!("start {number} made a directory in the host's root"));
        }
        outside.untouched();
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn files_below_a_flipped_directory(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let flipper = volume(s, &outside.path);
    let source = s.path("source-file");
    fs::write(&source, "source").unwrap();
    s.spec.bind(&source, "/volume/directory/m1", &["ro"]);
    s.spec.bind(&source, "/volume/directory/a/m2", &["ro"]);
    race(s, &outside, &flipper, "/m", 2);
}

fn climbing_links(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let climb = "../".repeat(40);
    let flipper = volume(s, &format!("{climb}{}", &outside.path[1..]));
    s.spec
        .mount("/volume/directory/m1", "tmpfs", "tmpfs", &["size=4k"]);
    race(s, &outside, &flipper, "/m1", 1);
}

fn in_a_user_namespace(s: &mut Sandbox) {
    let outside = Outside::new(s);
    // The container's root may make directories outside if it gets there.
    std::os::unix::fs::chown(&outside.path, Some(100_000), Some(100_000)).unwrap();
    let mut outside = outside;
    outside.accept();
    let flipper = volume(s, &outside.path);
    for name in ["directory", ""] {
        let path = format!("{}/{name}", s.path("volume"));
        let _ = std::os::unix::fs::chown(path, Some(100_000), Some(100_000));
    }
    userns_of(s, 100_000, 65536);
    for name in ["m1", "m2", "m3"] {
        let destination = format!("/volume/directory/{name}");
        s.spec.mount(&destination, "tmpfs", "tmpfs", &["size=4k"]);
    }
    race(s, &outside, &flipper, "/m", 3);
}

fn by_an_ordinary_user(s: &mut Sandbox) {
    // What is outside belongs to the user too, who would have the right to change it.
    let mut outside = Outside::new(s);
    let flipper = volume(s, &outside.path);
    for name in ["m1", "m2", "m3"] {
        let destination = format!("/volume/directory/{name}");
        s.spec.mount(&destination, "tmpfs", "tmpfs", &["size=4k"]);
    }
    flipper.rest();
    prepare(s);
    outside.accept();
    flipper.go_on();
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        let output = run_as_user(s, &["/inspect", "report"]);
        outside.untouched();
        if output.code == 0 {
            started += 1;
            let report = Report::parse(&output.stdout);
            only_stdio(&report);
            let mounts = report.mounts();
            let inside = mounts.iter().filter(|m| m.point.contains("/m")).count();
            if inside != 3 {
                harm(format!("start {number}: {inside} of 3 mounts are in the container"));
            }
        }
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn volumes_in_volumes(s: &mut Sandbox) {
    // Two races at once: the inner volume's destination is in a directory that is flipped, and so is the way into the inner one.
    let outside = Outside::new(s);
    let outer = volume(s, &outside.path);
    let inner = s.path("inner");
    fs::create_dir_all(format!("{inner}/directory")).unwrap();
    symlink(&outside.path, format!("{inner}/link")).unwrap();
    s.spec.bind(&inner, "/volume/directory/in", &[]);
    for name in ["m1", "m2"] {
        let destination = format!("/volume/directory/in/directory/{name}");
        s.spec.mount(&destination, "tmpfs", "tmpfs", &["size=4k"]);
    }
    let flipper = Flipper::new(format!("{inner}/directory"), format!("{inner}/link"));
    race(s, &outside, &flipper, "/m", 2);
    assert!(outer.flips() > 0, "nothing was flipped");
}

fn read_only_mounts_change_places(s: &mut Sandbox) {
    // A tmpfs becomes read-only when all is in it: the one that was asked for, and not one that has come into its place.
    let volume = s.path("volume");
    for name in ["one", "two"] {
        fs::create_dir_all(format!("{volume}/{name}")).unwrap();
    }
    s.spec
        .bind(&volume, "/volume", &[])
        .mount("/volume/one", "tmpfs", "tmpfs", &["ro", "size=4k"])
        .mount("/volume/two", "tmpfs", "tmpfs", &["size=8k"]);
    let flipper = Flipper::new(format!("{volume}/one"), format!("{volume}/two"));
    let (mut started, starts) = (0, s.environment.starts);
    for number in 1..=starts {
        if let Some(report) = start(s, &[]) {
            started += 1;
            for mount in report.mounts() {
                if mount.super_has("size=4k") && !mount.has("ro") {
                    harm(format!("start {number}: the read-only tmpfs is writable"));
                }
                if mount.super_has("size=8k") && mount.has("ro") {
                    harm(format!("start {number}: the writable tmpfs is read-only"));
                }
            }
        }
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

/// All that a start does to a root: mounts of every kind, nodes, links, files, a terminal would only repeat them.
fn busy(s: &mut Sandbox) {
    let volume = s.path("volume");
    fs::create_dir_all(&volume).unwrap();
    let file = s.path("source-file");
    fs::write(&file, "source").unwrap();
    symlink("/var/data", s.rootfs.join("link")).unwrap();
    s.spec
        .bind(&volume, "/volume/deep/er", &["ro"])
        .bind(&file, "/etc/new-file", &[])
        .bind(&file, "/link/file", &["ro"])
        .mount("/tmp", "tmpfs", "tmpfs", &["tmpcopyup", "ro"])
        .mount("/dev/mqueue", "mqueue", "mqueue", &[])
        .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"])
        .mount("/tmp", "tmpfs", "tmpfs", &["remount", "nosuid"])
        .set("process.cwd", "/made/by/start")
        .set("root.readonly", true)
        .set("linux.sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set("linux.maskedPaths", json!(["/proc/kcore", "/etc/hosts", "/var/data"]))
        .set("linux.readonlyPaths", json!(["/proc/sys", "/etc/group"]))
        .push("linux.devices", json!({"path": "/dev/made/node", "type": "c", "major": 1, "minor": 3, "uid": 5}));
}

/// Ends the attack as successful if a path was walked where it could lead out.
fn judge(s: &Sandbox, file: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("openat2("), "strace saw no start");
    let problems = into_root(&text, &s.rootfs.to_string_lossy());
    if let Some(first) = problems.first() {
        harm(format!("{} of them, first {first}", problems.len()));
    }
}

fn no_path_leads_into_the_root(s: &mut Sandbox) {
    busy(s);
    s.spec.args(&["/bin/true"]);
    let file = s.path("strace");
    let output = under_strace(s.run_call(&[]), &file).run();
    judge(s, &file);
    output.ok();
}

fn no_path_leads_into_the_root_of_an_exec(s: &mut Sandbox) {
    // An exec opens nothing in the root before it is there. A start, judged alike, shows that strace would tell.
    busy(s);
    s.start_waiting();
    let file = s.path("strace");
    under_strace(s.exec_call(&["--cwd", "/volume"], &["/bin/true"]), &file)
        .run()
        .ok();
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("setns("), "strace saw no exec");
    let problems = into_root(&text, &s.rootfs.to_string_lossy());
    assert!(problems.is_empty(), "{problems:#?}");
    for verb in ["state", "ps", "kill"] {
        let file = s.path(&format!("strace-{verb}"));
        under_strace(s.call(&[verb, &s.id]), &file).run().ok();
        let text = fs::read_to_string(&file).unwrap();
        let problems = into_root(&text, &s.rootfs.to_string_lossy());
        assert!(problems.is_empty(), "{verb}: {problems:#?}");
    }
    s.reap();
    s.delete().ok();
}
