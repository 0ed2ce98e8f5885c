//! Hooks of six kinds: order, place, state on stdin, arguments, time limit and what a failure does.

use crate::case::cases;
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

cases!("hooks":
    all_six_in_order, order_within_a_kind, order_over_create_start_delete, state_on_stdin, status_in_each, arguments_and_environment, run_in_their_namespaces,
    create_container_sees_the_mounts, prestart_failure, create_runtime_failure, create_container_failure,
    start_container_failure, poststart_failure, poststop_failure, failure_names_the_hook, timeout, path_absent, path_relative,
    large_output_does_not_block, ignores_stdin, no_descriptors_leak, poststop_after_kill, poststop_on_forced_delete, environment_is_empty,
);

const KINDS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Adds a hook that runs a line of shell. Inside the container the script's files are below /hooks.
fn hook(s: &mut Sandbox, kind: &str, script: &str) {
    s.spec.push(
        &format!("hooks.{kind}"),
        json!({"path": "/bin/sh", "args": ["sh", "-c", script]}),
    );
}

/// A directory that hooks on both sides see under the same path.
fn shared(s: &mut Sandbox) -> String {
    let directory = s.path("hooks");
    fs::create_dir_all(&directory).unwrap();
    let destination = directory.clone();
    s.spec.bind(&directory, &destination, &[]);
    directory
}

fn record_all(s: &mut Sandbox) -> String {
    let directory = shared(s);
    for kind in KINDS {
        hook(
            s,
            kind,
            &format!("echo {kind} >> {directory}/log; cat > {directory}/{kind}.json"),
        );
    }
    directory
}

fn log(directory: &str) -> Vec<String> {
    fs::read_to_string(format!("{directory}/log"))
        .unwrap_or_default()
        .lines()
        .map(str::to_owned)
        .collect()
}

fn all_six_in_order(s: &mut Sandbox) {
    let directory = record_all(s);
    s.run().ok();
    assert_eq!(log(&directory), KINDS);
}

fn order_within_a_kind(s: &mut Sandbox) {
    let directory = shared(s);
    for number in 0..5 {
        hook(
            s,
            "createRuntime",
            &format!("echo {number} >> {directory}/log"),
        );
    }
    s.run().ok();
    assert_eq!(log(&directory), ["0", "1", "2", "3", "4"]);
}

fn order_over_create_start_delete(s: &mut Sandbox) {
    let directory = record_all(s);
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    assert_eq!(log(&directory), KINDS[..3]);
    s.start().ok();
    s.wait_output("ready");
    assert_eq!(log(&directory), KINDS[..5]);
    s.kill("KILL").ok();
    s.reap();
    assert_eq!(log(&directory), KINDS[..5]);
    s.delete().ok();
    assert_eq!(log(&directory), KINDS);
}

fn state_on_stdin(s: &mut Sandbox) {
    let directory = record_all(s);
    s.spec.set("annotations", json!({"key": "value"}));
    s.run().ok();
    for kind in KINDS {
        let text = fs::read_to_string(format!("{directory}/{kind}.json")).unwrap();
        let state: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{kind}: {text:?}: {error}"));
        assert_eq!(state["id"], s.id, "{kind}");
        assert_eq!(state["bundle"], s.bundle_text(), "{kind}");
        assert!(state["ociVersion"].is_string(), "{kind}");
        assert_eq!(state["annotations"]["key"], "value", "{kind}");
    }
}

fn status_in_each(s: &mut Sandbox) {
    let directory = record_all(s);
    s.run().ok();
    let state = |kind: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(format!("{directory}/{kind}.json")).unwrap())
            .unwrap()
    };
    for (kind, status) in [
        ("prestart", "creating"),
        ("createRuntime", "creating"),
        ("createContainer", "creating"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        assert_eq!(state(kind)["status"], status, "{kind}");
    }
    assert!(
        state("createRuntime")["pid"].as_i64().unwrap() > 1,
        "the pid is the host's"
    );
}

fn arguments_and_environment(s: &mut Sandbox) {
    let directory = shared(s);
    let script = format!("echo \"$0 $1 $ONE $TWO\" > {directory}/out");
    s.spec.push(
        "hooks.createRuntime",
        json!({"path": "/bin/sh", "args": ["sh", "-c", script, "zero", "first"], "env": ["ONE=1", "TWO=two words"]}),
    );
    s.run().ok();
    assert_eq!(
        fs::read_to_string(format!("{directory}/out")).unwrap(),
        "zero first 1 two words\n"
    );
}

fn environment_is_empty(s: &mut Sandbox) {
    let directory = shared(s);
    s.spec.push(
        "hooks.createRuntime",
        json!({"path": "/usr/bin/env", "args": ["env", "-0"], "env": ["ONLY=this"]}),
    );
    hook(
        s,
        "poststart",
        &format!("echo \"$LEAKED.\" > {directory}/leak"),
    );
    s.run_call(&[]).env("LEAKED", "secret").run().ok();
    let leaked = fs::read_to_string(format!("{directory}/leak")).unwrap();
    // A hook without `env` gets none, or the runtime's; never the container's.
    assert!(matches!(leaked.trim(), "." | "secret."), "{leaked}");
}

fn run_in_their_namespaces(s: &mut Sandbox) {
    let directory = shared(s);
    for kind in KINDS {
        hook(
            s,
            kind,
            &format!(
                "readlink /proc/self/ns/mnt > {directory}/{kind}.mnt 2>/dev/null || ls -l /proc/self/ns/mnt > {directory}/{kind}.mnt"
            ),
        );
    }
    let container = s.inspect(&[]).namespace("mnt").to_owned();
    let host = fs::read_link("/proc/self/ns/mnt")
        .unwrap()
        .to_string_lossy()
        .into_owned();
    for kind in KINDS {
        let text = fs::read_to_string(format!("{directory}/{kind}.mnt")).unwrap();
        let wanted = if matches!(kind, "createContainer" | "startContainer") {
            &container
        } else {
            &host
        };
        assert!(
            text.contains(wanted.as_str()),
            "{kind}: {text} instead of {wanted}"
        );
    }
}

fn create_container_sees_the_mounts(s: &mut Sandbox) {
    // Its path is resolved in the runtime's root, its namespaces are the container's.
    let directory = shared(s);
    let rootfs = s.rootfs.display().to_string();
    s.spec.mount("/mnt", "tmpfs", "marker", &[]);
    hook(
        s,
        "createContainer",
        &format!("cat /proc/self/mountinfo > {directory}/mounts"),
    );
    s.run().ok();
    let text = fs::read_to_string(format!("{directory}/mounts")).unwrap();
    assert!(
        text.contains(&format!("{rootfs}/mnt")) && text.contains("marker"),
        "{text}"
    );
}

fn failing(s: &mut Sandbox, kind: &str) -> Vec<String> {
    let directory = record_all(s);
    hook(s, kind, "exit 3");
    s.spec
        .args(&["/bin/sh", "-c", &format!("echo program >> {directory}/log")]);
    s.run().fails_somehow();
    log(&directory)
}

fn prestart_failure(s: &mut Sandbox) {
    let log = failing(s, "prestart");
    assert!(
        !log.contains(&"program".to_owned()) && !log.contains(&"createContainer".to_owned()),
        "{log:?}"
    );
}

fn create_runtime_failure(s: &mut Sandbox) {
    let log = failing(s, "createRuntime");
    assert!(!log.contains(&"program".to_owned()), "{log:?}");
}

fn create_container_failure(s: &mut Sandbox) {
    let log = failing(s, "createContainer");
    assert!(
        !log.contains(&"program".to_owned()) && !log.contains(&"startContainer".to_owned()),
        "{log:?}"
    );
}

fn start_container_failure(s: &mut Sandbox) {
    let log = failing(s, "startContainer");
    assert!(!log.contains(&"program".to_owned()), "{log:?}");
}

fn poststart_failure(s: &mut Sandbox) {
    // Since runtime-spec 1.3 it stops the container.
    hook(s, "poststart", "exit 3");
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    s.start().fails_somehow();
    assert_eq!(s.reap(), 137);
    s.call(&["delete", "--force", &s.id]).run().ok();
}

fn poststop_failure(s: &mut Sandbox) {
    let directory = shared(s);
    hook(s, "poststop", "exit 3");
    hook(s, "poststop", &format!("echo second >> {directory}/log"));
    s.run().ok();
    assert_eq!(
        log(&directory),
        ["second"],
        "a failing one is a warning; the next still runs"
    );
}

fn failure_names_the_hook(s: &mut Sandbox) {
    hook(s, "createRuntime", "echo something went wrong >&2; exit 4");
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("hook"), "{}", output.stderr);
    assert!(
        output.stderr.contains("something went wrong"),
        "its stderr is shown: {}",
        output.stderr
    );
}

fn timeout(s: &mut Sandbox) {
    s.spec.push(
        "hooks.createRuntime",
        json!({"path": "/bin/sleep", "args": ["sleep", "30"], "timeout": 1}),
    );
    let started = Instant::now();
    let output = s.run().fails_somehow().exits(1);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(output.stderr.contains("hook"), "{}", output.stderr);
}

fn path_absent(s: &mut Sandbox) {
    s.spec
        .push("hooks.createRuntime", json!({"path": "/nonexistent/hook"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(
        output.stderr.contains("/nonexistent/hook"),
        "{}",
        output.stderr
    );
}

fn path_relative(s: &mut Sandbox) {
    s.spec
        .push("hooks.createRuntime", json!({"path": "relative/hook"}));
    s.run().fails_somehow().exits(1);
}

fn large_output_does_not_block(s: &mut Sandbox) {
    hook(
        s,
        "createRuntime",
        "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2",
    );
    s.run().ok();
}

fn ignores_stdin(s: &mut Sandbox) {
    // The state is larger than a pipe and the hook never reads it.
    s.spec
        .set("annotations", json!({"large": "x".repeat(300_000)}));
    hook(s, "createRuntime", "exec 0<&-; exit 0");
    hook(s, "poststop", "exit 0");
    s.run().ok();
}

fn no_descriptors_leak(s: &mut Sandbox) {
    let directory = shared(s);
    hook(
        s,
        "createRuntime",
        &format!("ls /proc/self/fd > {directory}/host"),
    );
    hook(
        s,
        "startContainer",
        &format!("ls /proc/self/fd > {directory}/inside"),
    );
    s.run_call(&[]).redirect("7</etc 9</dev/null").run().ok();
    for name in ["host", "inside"] {
        let text = fs::read_to_string(format!("{directory}/{name}")).unwrap();
        let numbers: Vec<&str> = text.split_whitespace().collect();
        assert!(
            numbers.len() <= 4 && numbers.starts_with(&["0", "1", "2"]),
            "{name}: {numbers:?}"
        );
    }
}

fn poststop_after_kill(s: &mut Sandbox) {
    let directory = shared(s);
    hook(s, "poststop", &format!("echo stopped >> {directory}/log"));
    s.start_waiting();
    s.stop();
    assert_eq!(log(&directory), ["stopped"]);
}

fn poststop_on_forced_delete(s: &mut Sandbox) {
    let directory = shared(s);
    hook(s, "poststop", &format!("echo stopped >> {directory}/log"));
    s.start_waiting();
    s.call(&["delete", "--force", &s.id]).run().ok();
    s.reap();
    assert_eq!(log(&directory), ["stopped"]);
}
