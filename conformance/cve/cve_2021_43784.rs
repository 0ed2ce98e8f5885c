//! CVE-2021-43784 (runc): a length of 16 bits overflowed, and what the attacker wrote was read as something else.

use super::watch::start;
use crate::case::harm;
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

super::attacks!(["CVE-2021-43784"];
    groups without "lengths",
    id_maps without "",
    long_texts without "",
);

fn groups(s: &mut Sandbox) {
    // 80,000 bytes of ids.
    let wanted: Vec<i64> = (1000..21_000).collect();
    s.spec.set("process.user.additionalGids", json!(wanted));
    if let Some(report) = start(s, &[]) {
        let groups = report.numbers("groups");
        if groups.len() != wanted.len() {
            harm(format!("{} of {} groups", groups.len(), wanted.len()));
        }
        let mut sorted = groups;
        sorted.sort_unstable();
        assert_eq!(sorted, wanted);
    }
}

fn id_maps(s: &mut Sandbox) {
    // The kernel takes 340 lines, and more are refused before anything is done. A length that wraps would leave one: that one line
    // is taken shows that it would be seen.
    s.spec.args(&["/bin/true"]);
    crate::suites::namespaces::userns_of(s, 100_000, 1);
    s.run().ok();
    let maps: Vec<Value> = (0..5462)
        .map(|number| json!({"containerID": number, "hostID": 100_000 + number, "size": 1}))
        .collect();
    s.spec
        .set("linux.uidMappings", json!(maps))
        .set("linux.gidMappings", json!(maps));
    let output = s.run();
    if output.code == 0 || !output.stderr.contains("uid") && !output.stderr.contains("map") {
        harm(format!("5,462 lines of a map became fewer: {}", output.stderr.trim()));
    }
}

fn long_texts(s: &mut Sandbox) {
    // No text is cut to what it begins with. That it would be seen: what they begin with is valid.
    let tail = "/.".repeat(40_000);
    let cgroup = s.spec["linux"]["cgroupsPath"].clone();
    for (path, begin) in [
        ("root.path", "rootfs".to_owned()),
        ("process.cwd", "/".to_owned()),
    ] {
        s.spec.set(path, begin.clone());
        s.run().ok();
        s.spec.set(path, format!("{begin}{tail}"));
        // A path that says the same in 80,000 bytes may be refused or understood.
        let output = s.run();
        assert!(output.code == 0 || !output.stderr.is_empty());
        s.spec.set(path, begin);
    }
    s.spec
        .namespace("uts", Some(&format!("/proc/self/ns/uts{tail}")))
        .remove("hostname");
    s.run().fails_somehow();
    s.spec.namespace("uts", None).set("linux.cgroupsPath", cgroup);
    for length in [65_535, 65_536, 65_537, 131_073] {
        let text = format!("A={}", "x".repeat(length - 2));
        s.spec.set("process.env", json!(["PATH=/bin", text]));
        if let Some(report) = start(s, &[]) {
            let seen = report.env("A").map_or(0, str::len) + 2;
            assert_eq!(seen, length, "a variable was cut");
        }
        let name = "h".repeat(length);
        s.spec.set("hostname", name.as_str());
        s.run().fails_somehow();
        s.spec.set("hostname", "tare");
    }
}
