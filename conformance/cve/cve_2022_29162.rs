//! CVE-2022-29162 (runc), CVE-2022-27650 (crun), CVE-2025-27612 (youki): capabilities of a container were inheritable, so that a
//! file's inheritable ones came into force for an ordinary user.

use super::watch::only_stdio;
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;

super::attacks!(["CVE-2022-29162", "CVE-2022-27650", "CVE-2025-27612"];
    of_run without "inheritable",
    of_exec without "inheritable",
    of_exec_with_more without "inheritable",
    of_exec_by_file without "inheritable",
    as_a_user without "inheritable",
);

fn none(report: &Report) {
    for set in ["CapInh", "CapAmb"] {
        if report.capability_mask(set) != 0 {
            harm(format!("{set} is {:x}", report.capability_mask(set)));
        }
    }
    only_stdio(report);
}

fn of_run(s: &mut Sandbox) {
    none(&s.inspect(&[]));
}

fn as_a_user(s: &mut Sandbox) {
    s.spec.set("process.user.uid", 1000);
    none(&s.inspect(&[]));
}

fn of_exec(s: &mut Sandbox) {
    s.start_waiting();
    none(&s.exec_inspect(&[], &[]));
    none(&s.exec_inspect(&["--user", "1000:1000"], &[]));
    s.stop();
}

fn of_exec_with_more(s: &mut Sandbox) {
    const NET_ADMIN: u64 = 1 << 12;
    s.start_waiting();
    let report = s.exec_inspect(&["--cap", "CAP_NET_ADMIN"], &[]);
    for set in ["CapBnd", "CapPrm", "CapEff"] {
        assert_ne!(report.capability_mask(set) & NET_ADMIN, 0, "{set}");
    }
    none(&report);
    s.stop();
}

fn of_exec_by_file(s: &mut Sandbox) {
    s.start_waiting();
    let names = json!(["CAP_NET_ADMIN", "CAP_SYS_ADMIN"]);
    let process = json!({
        "args": ["/inspect", "report"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
        "capabilities": {"bounding": names, "effective": names, "permitted": names}
    });
    let file = s.path("process.json");
    fs::write(&file, process.to_string()).unwrap();
    let output = s.call(&["exec", "--process", &file, &s.id]).run().ok();
    none(&Report::parse(&output.stdout));
    s.stop();
}
