//! CVE-2026-30892 (crun): `exec --user` took what its value begins with.

use super::watch::only_stdio;
use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::Sandbox;

super::attacks!(["CVE-2026-30892"];
    malformed_users without "user-text",
    well_formed_users without "user-text",
);

const MALFORMED: [&str; 20] = [
    "1000:", ":1000", "1000x", "0x10", " 1", "1 ", "1000:abc", "", ":", "-1", "+1", "1:2:3", "1:-1", "1e3", "1.0", "1000:0x1",
    "root", "1000:1000:", "1\n", "٣",
];

fn malformed_users(s: &mut Sandbox) {
    s.start_waiting();
    for user in MALFORMED {
        for flag in [&["--user", user][..], &["-u", user]] {
            let output = s.exec_with(flag, &["/inspect", "report"]);
            if output.code == 0 || output.stdout.contains("uid") {
                let report = Report::parse(&output.stdout);
                harm(format!("{user:?} ran as {:?}:{:?}", report.numbers("uid"), report.numbers("gid")));
            }
            assert!(!output.stderr.trim().is_empty(), "{user:?} failed without a word");
        }
    }
    s.stop();
}

fn well_formed_users(s: &mut Sandbox) {
    s.start_waiting();
    for (user, uid, gid) in [("1000", 1000, 0), ("7:8", 7, 8), ("0:0", 0, 0), ("007:8", 7, 8), ("4294967294", 4_294_967_294, 0)] {
        let output = s.exec_with(&["--user", user], &["/inspect", "report"]);
        if output.code != 0 {
            continue;
        }
        let report = Report::parse(&output.stdout);
        only_stdio(&report);
        if report.numbers("uid") != [uid; 3] || report.numbers("gid") != [gid; 3] {
            harm(format!("{user:?} ran as {:?}:{:?}", report.numbers("uid"), report.numbers("gid")));
        }
    }
    s.stop();
}
