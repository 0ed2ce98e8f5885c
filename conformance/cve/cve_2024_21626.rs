//! CVE-2024-21626 (runc): a descriptor of the host's leaked in, and a working directory named through it.

use super::watch::{Outside, only_stdio, start};
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use std::os::unix::fs::symlink;

super::attacks!(["CVE-2024-21626"];
    working_directory_of_run without "cwd,in-root" held without ["cwd", "in-root"],
    working_directory_of_exec without "cwd",
    working_directory_by_a_link without "cwd,in-root",
    descriptors_of_run without "close-fds",
    descriptors_of_exec without "close-fds",
    preserved_descriptors without "close-fds",
);

/// Ends the attack as successful if the directory is not one that the container can name.
fn inside(report: &Report, number: u32) {
    let directory = report.text("cwd");
    if !directory.starts_with('/') {
        harm(format!("descriptor {number}: the program is in {directory:?}"));
    }
    only_stdio(report);
}

/// A read-only procfs is of no use for what is written to /proc: only then does the child hold a directory of the host's.
fn hold_a_directory(s: &mut Sandbox) {
    s.spec
        .unmount("/proc")
        .mount("/proc", "proc", "proc", &["ro"]);
}

fn working_directory_of_run(s: &mut Sandbox) {
    hold_a_directory(s);
    for number in 3..64 {
        s.spec
            .set("process.cwd", format!("/proc/self/fd/{number}"));
        if let Some(report) = start(s, &[]) {
            inside(&report, number);
        }
    }
}

fn working_directory_by_a_link(s: &mut Sandbox) {
    hold_a_directory(s);
    s.spec.set("process.cwd", "/work");
    for number in 3..64 {
        let link = s.rootfs.join("work");
        let _ = std::fs::remove_file(&link);
        symlink(format!("/proc/self/fd/{number}"), &link).unwrap();
        if let Some(report) = start(s, &[]) {
            inside(&report, number);
        }
    }
}

fn working_directory_of_exec(s: &mut Sandbox) {
    s.start_waiting();
    let link = s.rootfs.join("work");
    for number in 3..64 {
        let _ = std::fs::remove_file(&link);
        let target = format!("/proc/self/fd/{number}");
        symlink(&target, &link).unwrap();
        for directory in [target.as_str(), "/work"] {
            let output = s.exec_with(&["--cwd", directory], &["/inspect", "report"]);
            if output.code == 0 {
                inside(&Report::parse(&output.stdout), number);
            }
        }
    }
    s.stop();
}

/// The caller has directories of the host's open, as a shell or a daemon may.
fn open_directories(outside: &Outside) -> String {
    [3, 4, 5, 9]
        .map(|number| format!("{number}<'{}'", outside.path))
        .join(" ")
}

fn descriptors_of_run(s: &mut Sandbox) {
    let outside = Outside::new(s);
    s.spec.args(&["/inspect", "report"]);
    let call = s.run_call(&[]).redirect(&open_directories(&outside));
    only_stdio(&Report::parse(&call.run().ok().stdout));
    outside.untouched();
}

fn descriptors_of_exec(s: &mut Sandbox) {
    let outside = Outside::new(s);
    s.start_waiting();
    let call = s.exec_call(&[], &["/inspect", "report"]);
    let output = call.redirect(&open_directories(&outside)).run().ok();
    only_stdio(&Report::parse(&output.stdout));
    s.stop();
}

fn preserved_descriptors(s: &mut Sandbox) {
    let outside = Outside::new(s);
    s.spec.args(&["/inspect", "report"]);
    let call = s
        .run_call(&["--preserve-fds", "2"])
        .redirect(&open_directories(&outside));
    let report = Report::parse(&call.run().ok().stdout);
    let seen = report.0["fds"].as_object().unwrap();
    let numbers: Vec<&str> = seen.keys().map(String::as_str).collect();
    if numbers != ["0", "1", "2", "3", "4"] {
        harm(format!("other descriptors than the two asked for: {seen:?}"));
    }
}
