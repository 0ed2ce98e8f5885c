//! CVE-2024-45310 (runc): a raced mkdir -p made empty files and directories on the host.

use super::flipper::Flipper;
use super::watch::{Outside, some_started, start};
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2024-45310"];
    directories_of_a_mount without "in-root",
    working_directory without "in-root",
    device_and_link without "in-root",
    fifo_in_the_place_of_a_file without "exclusive",
);

/// A volume with a directory and a link out that change places.
fn volume(s: &mut Sandbox, outside: &Outside) -> (String, Flipper) {
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/a")).unwrap();
    symlink(&outside.path, format!("{volume}/link")).unwrap();
    s.spec.bind(&volume, "/volume", &[]);
    let flipper = Flipper::new(format!("{volume}/a"), format!("{volume}/link"));
    (volume, flipper)
}

/// Each start has the whole way to make: the longer it is, the more often the swap falls into it.
fn race(s: &mut Sandbox, outside: &Outside, (volume, flipper): (String, Flipper)) {
    let (mut started, starts) = (0, s.environment.starts);
    for _ in 0..starts {
        started += usize::from(start(s, &[]).is_some());
        outside.untouched();
        flipper.rest();
        for entry in fs::read_dir(format!("{volume}/a")).unwrap().flatten() {
            fs::remove_dir_all(entry.path()).unwrap();
        }
        flipper.go_on();
    }
    some_started(started, starts);
    assert!(flipper.flips() > 0, "nothing was flipped");
}

fn directories_of_a_mount(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let source = s.path("source-file");
    fs::write(&source, "source").unwrap();
    let flipped = volume(s, &outside);
    s.spec
        .mount("/volume/a/b/c/d/e", "tmpfs", "tmpfs", &["size=4k"])
        .bind(&source, "/volume/a/b/f/g/file", &[]);
    race(s, &outside, flipped);
}

fn working_directory(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let flipped = volume(s, &outside);
    s.spec.set("process.cwd", "/volume/a/b/c");
    race(s, &outside, flipped);
}

fn device_and_link(s: &mut Sandbox) {
    let outside = Outside::new(s);
    let flipped = volume(s, &outside);
    s.spec.push(
        "linux.devices",
        json!({"path": "/volume/a/n/null", "type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 7}),
    );
    race(s, &outside, flipped);
}

fn fifo_in_the_place_of_a_file(s: &mut Sandbox) {
    // The file that a bind mount needs is absent at the look and a fifo at the open: whoever waits for its reader waits for ever.
    let volume = s.path("volume");
    fs::create_dir_all(format!("{volume}/with")).unwrap();
    fs::create_dir_all(format!("{volume}/without")).unwrap();
    let names: Vec<String> = (0..40).map(|number| format!("file{number}")).collect();
    let fifos = std::process::Command::new("mkfifo")
        .args(names.iter().map(|name| format!("{volume}/with/{name}")))
        .status();
    assert!(fifos.is_ok_and(|status| status.success()));
    let source = s.path("source-file");
    fs::write(&source, "source").unwrap();
    s.spec.bind(&volume, "/volume", &[]);
    // The gap is narrow: each start has many.
    for name in &names {
        s.spec
            .bind(&source, &format!("/volume/without/{name}"), &[]);
    }
    s.spec.args(&["/bin/true"]);
    let flipper = Flipper::new(format!("{volume}/with"), format!("{volume}/without"));
    for number in 1..=s.environment.starts {
        let running = s.run_call(&[]).spawn();
        let pid = running.pid();
        if !crate::process::eventually(std::time::Duration::from_secs(5), || {
            !crate::process::is_alive(pid)
        }) {
            drop(running);
            crate::case::harm(format!("start {number} waits for the reader of a fifo"));
        }
        running.finish(std::time::Duration::from_secs(1));
        flipper.rest();
        for entry in fs::read_dir(format!("{volume}/without")).unwrap().flatten() {
            fs::remove_file(entry.path()).unwrap();
        }
        flipper.go_on();
    }
    assert!(flipper.flips() > 0, "nothing was flipped");
}
