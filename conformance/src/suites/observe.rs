//! pause and resume, ps, list, events, state: what callers parse.
use super::cgroups::limited;
use crate::case::cases;
use crate::limits::{FROZEN, is_v2, need};
use crate::process;
use crate::sandbox::{Container, Sandbox};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

cases!("observe":
    pause_freezes, pause_twice, resume_twice, pause_of_a_stopped_one, pause_absent, pause_of_a_created_one,
    delete_of_a_paused_one, delete_force_of_a_paused_one, ps_json, ps_table, ps_with_options, ps_of_a_stopped_one,
    list_json, list_json_of_none, list_quiet, list_table, state_keys, state_annotations, state_created_is_rfc3339,
    events_stats_keys, events_interval, events_oom, events_of_an_absent_one, features_json, version_lines,
    help_of_every_command, spec_is_a_bundle, spec_rootless, spec_exists_already,
);

fn verb(s: &Container, name: &str) -> crate::runtime::Output {
    s.call(&[name, &s.id]).run()
}

fn pause_freezes(s: &mut Sandbox) {
    s.start_program(&[
        "/bin/sh",
        "-c",
        "echo ready; while :; do echo tick; done > /tmp/ticks",
    ]);
    verb(s, "pause").ok();
    assert_eq!(s.status(), "paused");
    s.expect_limits(&FROZEN, "FROZEN", "1");
    let size = || fs::metadata(s.rootfs.join("tmp/ticks")).unwrap().len();
    let before = size();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(size(), before, "it still writes");
    verb(s, "resume").ok();
    assert_eq!(s.status(), "running");
    assert!(process::eventually(Duration::from_secs(2), || size() > before));
    s.stop();
}

fn pause_twice(s: &mut Sandbox) {
    s.start_waiting();
    verb(s, "pause").ok();
    verb(s, "pause").fails(1, "container not running");
    verb(s, "resume").ok();
    s.stop();
}

fn resume_twice(s: &mut Sandbox) {
    s.start_waiting();
    verb(s, "resume").fails(1, "container not paused");
    s.stop();
}

fn pause_of_a_stopped_one(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    s.reap();
    verb(s, "pause").fails(1, "container not running");
    verb(s, "resume").fails(1, "container not paused");
}

fn pause_absent(s: &mut Sandbox) {
    verb(s, "pause").fails(1, "does not exist");
    verb(s, "resume").fails(1, "does not exist");
}

fn pause_of_a_created_one(s: &mut Sandbox) {
    s.create();
    verb(s, "pause").ok();
    assert_eq!(s.status(), "paused");
    verb(s, "resume").ok();
    assert_eq!(s.status(), "created");
}

fn delete_of_a_paused_one(s: &mut Sandbox) {
    s.start_waiting();
    verb(s, "pause").ok();
    s.delete().fails(1, "that is not stopped: paused");
    verb(s, "resume").ok();
    s.stop();
}

fn delete_force_of_a_paused_one(s: &mut Sandbox) {
    s.start_waiting();
    verb(s, "pause").ok();
    s.call(&["delete", "--force", &s.id]).run().ok();
    assert_eq!(s.reap(), 137);
}

fn ps_json(s: &mut Sandbox) {
    s.start_program(&["/inspect", "spawn", "2"]);
    let output = s.call(&["ps", "--format", "json", &s.id]).run().ok();
    let pids: Vec<i32> = serde_json::from_str(&output.stdout).unwrap();
    assert!(pids.contains(&s.pid()) && pids.len() == 3, "{pids:?}");
    s.stop();
}

fn ps_table(s: &mut Sandbox) {
    s.start_waiting();
    let output = s.call(&["ps", &s.id]).run().ok();
    let mut lines = output.stdout.lines();
    assert!(
        lines.next().unwrap_or_default().contains("PID"),
        "{}",
        output.stdout
    );
    assert!(
        output.stdout.contains(&s.pid().to_string()),
        "{}",
        output.stdout
    );
    s.stop();
}

fn ps_with_options(s: &mut Sandbox) {
    s.start_waiting();
    let output = s
        .call(&["ps", "--format", "table", &s.id, "-o", "pid,comm"])
        .run()
        .ok();
    assert!(output.stdout.contains("inspect"), "{}", output.stdout);
    assert_eq!(
        output.stdout.lines().count(),
        2,
        "only the container's: {}",
        output.stdout
    );
    s.stop();
}

fn ps_of_a_stopped_one(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    s.reap();
    let output = s.call(&["ps", "--format", "json", &s.id]).run();
    assert!(
        output.code == 1 || matches!(output.trimmed(), "null" | "[]"),
        "{} {}",
        output.code,
        output.stdout
    );
}

fn list_json(s: &mut Sandbox) {
    s.start_waiting();
    for flag in ["--format=json", "-f=json"] {
        let list: Value = serde_json::from_str(&s.call(&["list", flag]).run().ok().stdout).unwrap();
        let one = &list[0];
        assert_eq!(one["id"], s.id);
        assert_eq!(one["status"], "running");
        assert_eq!(one["pid"], s.pid());
        assert_eq!(one["bundle"], s.bundle_text());
        assert_eq!(one["owner"], "root");
        assert!(
            one["created"].is_string()
                && one["rootfs"].is_string()
                && one["ociVersion"].is_string()
        );
    }
    s.stop();
}

fn list_json_of_none(s: &mut Sandbox) {
    fs::create_dir(&s.environment.root).unwrap();
    let output = s.call(&["list", "--format", "json"]).run().ok();
    assert!(
        matches!(output.trimmed(), "null" | "[]"),
        "{}",
        output.stdout
    );
    assert_eq!(s.call(&["list", "-q"]).run().ok().stdout, "");
}

fn list_quiet(s: &mut Sandbox) {
    s.create();
    assert_eq!(
        s.call(&["list", "-q"]).run().ok().stdout,
        format!("{}\n", s.id)
    );
}

fn list_table(s: &mut Sandbox) {
    s.create();
    let output = s.call(&["list"]).run().ok();
    let head: Vec<&str> = output
        .stdout
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert!(
        output.stdout.contains(&s.id) && output.stdout.contains("created"),
        "{}",
        output.stdout
    );
    s.call(&["list", "--format", "yaml"]).run().exits(1);
}

fn state_keys(s: &mut Sandbox) {
    s.create();
    let state = s.state();
    let keys: Vec<&String> = state.as_object().unwrap().keys().collect();
    for key in [
        "ociVersion",
        "id",
        "pid",
        "status",
        "bundle",
        "rootfs",
        "created",
        "owner",
    ] {
        assert!(keys.iter().any(|k| *k == key), "{key}: {state}");
    }
    assert_eq!(state["id"], s.id);
    assert_eq!(state["rootfs"], s.rootfs.to_string_lossy().as_ref());
}

fn state_annotations(s: &mut Sandbox) {
    s.spec.set(
        "annotations",
        json!({"org.example.key": "value", "empty": ""}),
    );
    s.create();
    assert_eq!(
        s.state()["annotations"],
        json!({"org.example.key": "value", "empty": ""})
    );
    let mut plain = s.sibling("plain");
    plain.create();
    assert!(
        plain
            .state()
            .get("annotations")
            .is_none_or(|value| value.as_object().is_none_or(|map| map.is_empty()))
    );
}

fn state_created_is_rfc3339(s: &mut Sandbox) {
    s.create();
    let state = s.state();
    let created = state["created"].as_str().unwrap();
    let bytes = created.as_bytes();
    assert!(
        bytes.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && created.ends_with('Z'),
        "{created}"
    );
}

fn events_stats_keys(s: &mut Sandbox) {
    need("memory");
    limited(s, "memory.limit", 64 << 20);
    limited(s, "pids.limit", 100);
    s.start_waiting();
    let output = s.call(&["events", "--stats", &s.id]).run().ok();
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(
        (&value["type"], &value["id"]),
        (&json!("stats"), &json!(s.id))
    );
    let data = &value["data"];
    assert!(
        data["cpu"]["usage"]["total"].as_u64().unwrap() > 0,
        "{data}"
    );
    assert!(
        (is_v2() || data["cpu"]["usage"]["percpu"].is_array())
            && data["cpu"]["throttling"].is_object(),
        "{data}"
    );
    assert!(
        data["cpu"]["usage"]["kernel"].is_u64() && data["cpu"]["usage"]["user"].is_u64(),
        "{data}"
    );
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(
        data["memory"]["usage"]["usage"].as_u64().unwrap() > 0,
        "{data}"
    );
    // v2 tells the most that was used since Linux 5.19, and calls the page cache `file`.
    let raw = &data["memory"]["raw"];
    assert!(
        (is_v2() && raw["file"].is_u64())
            || (data["memory"]["usage"]["max"].is_u64() && raw["cache"].is_u64()),
        "{data}"
    );
    assert_eq!(
        (&data["pids"]["current"], &data["pids"]["limit"]),
        (&json!(1), &json!(100))
    );
    assert!(
        data["blkio"].is_object() && data["hugetlb"].is_object(),
        "{data}"
    );
    // v2 has the file only in groups that asked for the controller.
    let cpus = &data["cpuset"]["cpus"];
    assert!(is_v2() || cpus.is_array(), "{data}");
    // A container has no interface of the runtime's making and no resctrl group: one is null, the other empty.
    let keys = data.as_object().unwrap();
    assert_eq!(keys.get("network_interfaces"), Some(&Value::Null), "{data}");
    assert_eq!(keys.get("intel_rdt"), Some(&json!({})), "{data}");
    s.stop();
}

fn events_interval(s: &mut Sandbox) {
    s.start_waiting();
    let running = s.call(&["events", "--interval=100ms", &s.id]).spawn();
    assert!(process::eventually(Duration::from_secs(5), || {
        fs::read_to_string(&running.stdout).is_ok_and(|text| text.lines().count() >= 2)
    }));
    let text = fs::read_to_string(&running.stdout).unwrap();
    let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["type"], "stats");
    s.kill("KILL").ok();
    s.reap();
    s.delete().ok();
    running.kill();
}

fn events_oom(s: &mut Sandbox) {
    need("memory");
    limited(s, "memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
    s.start_waiting();
    let running = s.call(&["events", "--interval", "10s", &s.id]).spawn();
    // `events` says nothing before the first event: it is given time to begin to watch. Too little only makes this case fail.
    std::thread::sleep(Duration::from_millis(200));
    s.exec(&["/inspect", "probe", &format!("memory:{}", 64 << 20)]);
    let seen = process::eventually(Duration::from_secs(3), || {
        fs::read_to_string(&running.stdout).is_ok_and(|text| text.contains("\"type\":\"oom\""))
    });
    let text = fs::read_to_string(&running.stdout).unwrap_or_default();
    running.kill();
    assert!(seen, "{text}");
    if process::is_alive(s.pid()) {
        s.kill("KILL").ok();
    }
    s.reap();
    s.delete().ok();
}

fn events_of_an_absent_one(s: &mut Sandbox) {
    s.call(&["events", "--stats", &s.id])
        .run()
        .fails(1, "does not exist");
}

fn features_json(s: &mut Sandbox) {
    let output = s.call(&["features"]).run().ok();
    assert_eq!(output.stderr, "", "CRI-O reads both streams as one");
    let value: Value = serde_json::from_str(&output.stdout).unwrap();
    assert!(value["ociVersionMin"].is_string() && value["ociVersionMax"].is_string());
    let has = |list: &Value, word: &str| {
        list.as_array()
            .is_some_and(|words| words.iter().any(|w| w == word))
    };
    for hook in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        assert!(has(&value["hooks"], hook), "{hook}");
    }
    for option in ["ro", "rro", "rbind", "nosuid", "rshared", "tmpcopyup"] {
        assert!(has(&value["mountOptions"], option), "{option}");
    }
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        assert!(has(&value["linux"]["namespaces"], kind), "{kind}");
    }
    assert!(has(&value["linux"]["capabilities"], "CAP_SYS_ADMIN"));
    assert_eq!(value["linux"]["cgroup"]["v1"], true);
    assert_eq!(value["linux"]["seccomp"]["enabled"], true);
    assert!(has(&value["linux"]["seccomp"]["actions"], "SCMP_ACT_ERRNO"));
    assert!(has(
        &value["linux"]["seccomp"]["operators"],
        "SCMP_CMP_MASKED_EQ"
    ));
    assert!(value["linux"]["apparmor"].is_object() && value["linux"]["selinux"].is_object());
}

fn version_lines(s: &mut Sandbox) {
    for flag in ["--version", "-v"] {
        let output = s.call(&[flag]).run().ok();
        let lines: Vec<&str> = output.stdout.lines().collect();
        assert!(lines[0].contains(" version "), "{}", lines[0]);
        assert!(
            lines.iter().any(|line| line.starts_with("spec: ")),
            "{}",
            output.stdout
        );
    }
}

fn help_of_every_command(s: &mut Sandbox) {
    let verbs = [
        "create", "delete", "events", "exec", "features", "kill", "list", "pause", "ps", "resume",
        "run", "spec", "start", "state", "update",
    ];
    for name in verbs {
        let output = s.call(&[name, "--help"]).run().ok();
        assert!(output.stdout.contains(name), "{name}: {}", output.stdout);
    }
    let output = s.call(&["--help"]).run().ok();
    for name in verbs {
        assert!(output.stdout.contains(name), "{name} is not in --help");
    }
}

fn spec_is_a_bundle(s: &mut Sandbox) {
    let bundle = s.bundle_text();
    s.call(&["spec", "--bundle", &bundle]).run().ok();
    let text = fs::read_to_string(s.bundle.join("config.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["process"]["args"], json!(["sh"]));
    value["process"]["terminal"] = json!(false);
    value["process"]["args"] = json!(["/bin/echo", "from spec"]);
    value["linux"]["cgroupsPath"] = s.spec["linux"]["cgroupsPath"].clone();
    fs::write(s.bundle.join("config.json"), value.to_string()).unwrap();
    assert_eq!(
        s.call(&["run", "--bundle", &bundle, &s.id])
            .run()
            .ok()
            .stdout,
        "from spec\n"
    );
}

fn spec_rootless(s: &mut Sandbox) {
    s.call(&["spec", "--rootless"])
        .current_dir(&s.bundle)
        .run()
        .ok();
    let value: Value =
        serde_json::from_str(&fs::read_to_string(s.bundle.join("config.json")).unwrap()).unwrap();
    let kinds = value["linux"]["namespaces"].to_string();
    assert!(
        kinds.contains("\"user\"") && !kinds.contains("network"),
        "{kinds}"
    );
    assert!(value["linux"]["uidMappings"].is_array());
}

fn spec_exists_already(s: &mut Sandbox) {
    s.write_spec();
    let before = fs::read_to_string(s.bundle.join("config.json")).unwrap();
    let bundle = s.bundle_text();
    s.call(&["spec", "-b", &bundle])
        .run()
        .fails_somehow()
        .exits(1);
    assert_eq!(
        fs::read_to_string(s.bundle.join("config.json")).unwrap(),
        before
    );
}
