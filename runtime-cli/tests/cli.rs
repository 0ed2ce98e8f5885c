//! The program as its callers see it, as far as no container is needed: no root, no network.
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("trun-cli-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Place(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, line: &str) -> Output {
        let root = self.path("root");
        Command::new(env!("CARGO_BIN_EXE_trun"))
            .args(["--root", &root])
            .args(line.split_whitespace())
            .current_dir(&self.0)
            .env_clear()
            .output()
            .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn check(line: &str, status: i32, stdout: &str, stderr: &str) {
    let output = Place::new().run(line);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{line}\n{out}{err}");
    assert!(
        out.starts_with(stdout) && (!stdout.is_empty() || out.is_empty()),
        "{line}: stdout {out:?}"
    );
    assert!(
        err.starts_with(stderr) && (!stderr.is_empty() || err.is_empty()),
        "{line}: stderr {err:?}"
    );
}

#[test]
fn an_absent_container() {
    let absent = "container does not exist: c1\nhint: ";
    for verb in [
        "state", "start", "kill", "delete", "pause", "resume", "update", "ps", "events",
    ] {
        check(&format!("{verb} c1"), 1, "", absent);
    }
    check("exec c1 true", 255, "", absent);
    check("delete --force c1", 0, "", "");
    check(
        "list",
        0,
        "ID   PID   STATUS   BUNDLE   CREATED   OWNER\n",
        "",
    );
    check("list --format json", 0, "[]\n", "");
    check("list -q", 0, "", "");
}

#[test]
fn mistakes_on_the_command_line() {
    check("frobnicate", 3, "", "No help topic for 'frobnicate'");
    check(
        "--frob list",
        1,
        "",
        "flag provided but not defined: -frob\nhint: Usage: ",
    );
    check(
        "state",
        1,
        "",
        "\"state\" requires exactly 1 argument(s)\nhint: Usage: trun state ID;",
    );
    check("kill c1 NOSUCH", 1, "", "unknown signal \"NOSUCH\"\nhint: ");
    check("state ../x", 1, "", "invalid container ID format: \"../x\"");
    check(
        "delete --force a/b",
        1,
        "",
        "invalid container ID format: \"a/b\"",
    );
    check("list --format xml", 1, "", "invalid format option \"xml\"");
    check(
        "--rootless=maybe list",
        1,
        "",
        "invalid value \"maybe\" for --rootless",
    );
    check(
        "--cgroup-manager x list",
        1,
        "",
        "unknown cgroup manager \"x\"",
    );
    check(
        "--log-format yaml list",
        1,
        "",
        "invalid log-format \"yaml\"",
    );
    check("completion tcsh", 1, "", "no completion for \"tcsh\"");
}

#[test]
fn help_and_version() {
    check(
        "",
        0,
        "trun: runs containers from OCI bundles\n\nUsage: trun [GLOBAL FLAGS] COMMAND",
        "",
    );
    for verb in [
        "create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause",
        "resume", "update", "events", "spec", "features", "plan",
    ] {
        let output = Place::new().run(&format!("{verb} --help"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{verb}"
        );
        assert!(
            text.contains(&format!("Usage: trun {verb}")) && text.contains("--help"),
            "{text}"
        );
    }
    check("--version", 0, "runc version 1.", "");
    check("checkpoint --help", 3, "", "No help topic for 'checkpoint'");
}

#[test]
fn the_help_of_kill() {
    let output = Place::new().run("kill --help");
    let expect = "Send a signal to init, TERM unless given.\n\nUsage: trun kill [FLAGS] ID [SIGNAL]\n\nFlags:\n  \
                  -a, --all                         signal every process, not just init\n  \
                  -h, --help                        print help\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expect);
}

#[test]
fn the_log_file_gets_one_object_and_stderr_the_plain_message() {
    let place = Place::new();
    let log = place.path("log.json");
    let output = place.run(&format!("--log {log} --log-format json state c1"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("container does not exist: c1\n")
    );
    let text = std::fs::read_to_string(&log).unwrap();
    let object: Value = serde_json::from_str(&text).expect("one object");
    assert_eq!(object["level"], "error");
    assert!(
        object["msg"]
            .as_str()
            .unwrap()
            .starts_with("container does not exist: c1; hint: ")
    );
    let keys: Vec<_> = text.match_indices("\":").collect();
    assert!(keys.len() >= 3 && text.starts_with("{\"level\":"));
}

#[test]
fn the_log_file_is_there_though_nothing_fails_and_for_a_mistyped_line() {
    let place = Place::new();
    let log = place.path("log");
    assert!(place.run(&format!("--log {log} list")).status.success());
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "");
    place.run(&format!("--log {log} state"));
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(
        text.starts_with("time=\"20") && text.contains("level=error msg=\"\\\"state\\\" requires"),
        "{text}"
    );
    let output = place.run("--log /nonexistent/dir/log list");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .starts_with("open the log: missing: /nonexistent/dir/log")
    );
}

#[test]
fn json_on_stderr_without_a_log_file() {
    let output = Place::new().run("--log-format json state c1");
    let object: Value =
        serde_json::from_slice(&output.stderr).expect("one object and nothing else");
    assert_eq!(object["level"], "error");
}

#[test]
fn spec_writes_a_file_once() {
    let place = Place::new();
    assert!(place.run("spec").status.success());
    let text = std::fs::read_to_string(place.path("config.json")).unwrap();
    let spec: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(spec["root"]["path"], "rootfs");
    let again = place.run("spec");
    assert_eq!(again.status.code(), Some(1));
    assert!(
        String::from_utf8(again.stderr)
            .unwrap()
            .starts_with("file config.json exists")
    );
    assert!(place.run("spec --rootless -f other.json").status.success());
    assert!(
        std::fs::read_to_string(place.path("other.json"))
            .unwrap()
            .contains("uidMappings")
    );
}

#[test]
fn features_are_json_and_stderr_is_silent() {
    let output = Place::new().run("features");
    assert!(output.status.success() && output.stderr.is_empty());
    let features: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        features["annotations"]["org.opencontainers.runc.checkpoint.enabled"],
        "false"
    );
}

#[test]
fn called_by_another_name_it_is_that_name() {
    let place = Place::new();
    let link = place.path("runc");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_trun"), &link).unwrap();
    let output = Command::new(&link).arg("--help").output().unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("runc: runs containers")
    );
}

#[test]
fn damaged_state_is_named_and_can_be_removed_by_force() {
    let place = Place::new();
    let dir = place.0.join("root/c1");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("state.json"), "{\"id\":\"c1\",").unwrap();
    let output = place.run("state c1");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("state of container c1 is unusable: ")
            && text.contains("delete --force c1"),
        "{text}"
    );
    assert_eq!(place.run("delete c1").status.code(), Some(1));
    let listed = place.run("list -q");
    assert!(listed.status.success() && listed.stdout.is_empty());
    let removed = place.run("delete --force c1");
    assert!(
        removed.status.success(),
        "{}",
        String::from_utf8_lossy(&removed.stderr)
    );
    assert!(!dir.exists());
}

#[test]
fn a_directory_that_a_killed_create_left_is_named_and_removed_by_force() {
    let place = Place::new();
    std::fs::create_dir_all(place.0.join("root/c1")).unwrap();
    std::fs::write(place.0.join("root/c1/config.json"), "{}").unwrap();
    let output = place.run("state c1");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("creation or deletion was cut short"),
        "{text}"
    );
    assert!(place.run("delete --force c1").status.success());
    assert!(!place.0.join("root/c1").exists());
}

#[test]
fn a_full_stdout_is_an_error_and_a_closed_one_is_not() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_trun"))
        .arg("features")
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8(status.stderr).unwrap().contains("ENOSPC"));
}
