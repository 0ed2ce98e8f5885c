//! CVE-2024-40635 (containerd): a user id beyond 31 or 32 bits became 0.

use super::watch::start;
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use serde_json::json;

super::attacks!(["CVE-2024-40635"];
    of_run without "ids",
    of_exec without "ids",
    groups_of_run without "ids",
);

/// Refused or exactly this: never another.
const IDS: [i64; 8] = [
    1 << 32,
    (1 << 32) + 1,
    (1 << 32) - 1,
    1 << 31,
    (1 << 31) + 1000,
    -1,
    i64::MAX,
    i64::MIN,
];

fn exactly(report: &Report, key: &str, id: i64) {
    let ids = report.numbers(key);
    if ids != [id; 3] {
        harm(format!("{key} {id} became {ids:?}"));
    }
}

fn impossible(id: i64) -> bool {
    !(0..(1 << 32) - 1).contains(&id)
}

fn of_run(s: &mut Sandbox) {
    for id in IDS {
        s.spec.set("process.user.uid", json!(id));
        if let Some(report) = start(s, &[]) {
            exactly(&report, "uid", id);
            assert!(!impossible(id), "{id} was accepted");
        }
    }
}

fn groups_of_run(s: &mut Sandbox) {
    for id in IDS {
        s.spec.set("process.user.gid", json!(id));
        if let Some(report) = start(s, &[]) {
            exactly(&report, "gid", id);
            assert!(!impossible(id), "{id} was accepted");
        }
    }
}

fn of_exec(s: &mut Sandbox) {
    s.start_waiting();
    for id in IDS {
        let output = s.exec_with(&[&format!("--user={id}")], &["/inspect", "report"]);
        if output.code == 0 {
            exactly(&Report::parse(&output.stdout), "uid", id);
            assert!(!impossible(id), "{id} was accepted");
        }
    }
    s.stop();
}
