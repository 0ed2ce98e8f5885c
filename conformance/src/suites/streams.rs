//! What passes between the caller and the runtime: log files, descriptors, notification sockets, the state directory.

use crate::case::{cases, skip};
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

cases!("streams":
    log_json_is_one_object, log_json_on_success_exists, log_text, log_is_appended, log_json_of_each_failing_verb, stderr_too_with_a_log, debug_logs_more, log_unwritable, log_format_unknown, preserve_fds, preserve_fds_none, preserve_fds_missing, listen_fds, listen_fds_and_preserve, stdin_is_not_consumed, nothing_on_stdout, state_directory_layout, state_json_keys, state_json_cgroup_paths, state_root_by_xdg, default_root_is_not_touched, rootless_flag_values, systemd_cgroup_without_systemd, crun_globals,
    under_another_name, caller_death_signal_is_harmless, many_descriptors_open,
);

fn log_call(s: &Sandbox, arguments: &[&str], path: &str) -> crate::runtime::Output {
    s.call(arguments)
        .global(["--log", path, "--log-format", "json"])
        .run()
}

fn log_json_is_one_object(s: &mut Sandbox) {
    s.spec.args(&["nosuch"]);
    s.write_spec();
    let (path, bundle) = (s.path("log.json"), s.bundle_text());
    log_call(s, &["create", "--bundle", &bundle, &s.id], &path).exits(1);
    let text = fs::read_to_string(&path).unwrap();
    let value: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("not one object ({error}): {text}"));
    assert_eq!(value["level"], "error");
    let message = value["msg"].as_str().unwrap();
    assert!(
        message.contains("exec: \"nosuch\": executable file not found in $PATH"),
        "{message}"
    );
    let time = value["time"].as_str().unwrap();
    assert!(
        time.len() >= 20
            && time.as_bytes()[10] == b'T'
            && (time.ends_with('Z') || time.contains('+')),
        "{time}"
    );
}

fn log_json_on_success_exists(s: &mut Sandbox) {
    let path = s.path("log.json");
    s.run_call(&[])
        .global(["--log", &path, "--log-format=json"])
        .run()
        .ok();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

fn log_text(s: &mut Sandbox) {
    let path = s.path("log.txt");
    s.call(&["state", &s.id])
        .global(["--log", &path])
        .run()
        .exits(1);
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("level=error") && text.contains("msg=\"") && text.contains("does not exist"),
        "{text}"
    );
}

fn log_is_appended(s: &mut Sandbox) {
    let path = s.path("log.json");
    for _ in 0..2 {
        log_call(s, &["state", &s.id], &path).exits(1);
    }
    let text = fs::read_to_string(&path).unwrap();
    let levels: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .map(Result::unwrap)
        .collect();
    assert_eq!(levels.len(), 2, "{text}");
}

fn log_json_of_each_failing_verb(s: &mut Sandbox) {
    for verb in ["start", "state", "kill", "delete", "pause", "resume", "ps"] {
        let path = s.path(&format!("{verb}.json"));
        log_call(s, &[verb, &s.id], &path).exits(1);
        let text = fs::read_to_string(&path).unwrap();
        let value: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{verb}: {error}: {text}"));
        assert!(
            value["msg"].as_str().unwrap().contains("does not exist"),
            "{verb}: {value}"
        );
    }
}

fn stderr_too_with_a_log(s: &mut Sandbox) {
    let path = s.path("log.json");
    let output = log_call(s, &["state", &s.id], &path).fails(1, "container does not exist");
    assert!(
        !output.stderr.contains("level="),
        "with --log the plain message: {}",
        output.stderr
    );
}

fn debug_logs_more(s: &mut Sandbox) {
    let path = s.path("log.json");
    s.run_call(&[])
        .global(["--debug", "--log", &path, "--log-format", "json"])
        .run()
        .ok();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<Value> = serde_json::Deserializer::from_str(&text)
        .into_iter::<Value>()
        .map(Result::unwrap)
        .collect();
    assert!(lines.iter().any(|line| line["level"] == "debug"), "{text}");
}

fn log_unwritable(s: &mut Sandbox) {
    s.call(&["list"])
        .global(["--log", "/nonexistent/dir/log"])
        .run()
        .fails_somehow();
}

fn log_format_unknown(s: &mut Sandbox) {
    let path = s.path("log");
    s.call(&["list"])
        .global(["--log", &path, "--log-format", "xml"])
        .run()
        .fails_somehow();
}

fn fds(report: &Report) -> Vec<String> {
    report.0["fds"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

fn preserve_fds(s: &mut Sandbox) {
    fs::write(s.path("three"), "third").unwrap();
    fs::write(s.path("four"), "fourth").unwrap();
    let redirect = format!(
        "3<{} 4<{} 5</dev/null 6</dev/null",
        s.path("three"),
        s.path("four")
    );
    s.spec.args(&["/inspect", "report", "fdread:3", "fdread:4"]);
    let output = s
        .run_call(&["--preserve-fds", "2"])
        .redirect(&redirect)
        .run()
        .ok();
    let report = Report::parse(&output.stdout);
    assert_eq!(fds(&report), ["0", "1", "2", "3", "4"]);
    assert_eq!(report.probe("fdread:3")["text"], "third");
    assert_eq!(report.probe("fdread:4")["text"], "fourth");
}

fn preserve_fds_none(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report"]);
    let output = s
        .run_call(&[])
        .redirect("3</dev/null 7</dev/null 9</etc")
        .run()
        .ok();
    assert_eq!(fds(&Report::parse(&output.stdout)), ["0", "1", "2"]);
}

fn many_descriptors_open(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report"]);
    let redirect: String = (3..10).map(|number| format!("{number}</etc ")).collect();
    let output = s
        .run_call(&["--preserve-fds", "1"])
        .redirect(&redirect)
        .run();
    if output.code == 0 {
        assert_eq!(fds(&Report::parse(&output.stdout)), ["0", "1", "2", "3"]);
    }
}

fn preserve_fds_missing(s: &mut Sandbox) {
    s.run_call(&["--preserve-fds", "5"])
        .run()
        .fails_somehow()
        .exits(1);
}

fn listen_fds(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report"]);
    let output = s
        .run_call(&[])
        .redirect("3</dev/null 4</dev/zero 5</dev/null")
        .env("LISTEN_FDS", "2")
        .prelude("export LISTEN_PID=$$")
        .env("LISTEN_FDNAMES", "one:two")
        .run()
        .ok();
    let report = Report::parse(&output.stdout);
    assert_eq!(fds(&report), ["0", "1", "2", "3", "4"]);
    assert_eq!(
        (report.env("LISTEN_FDS"), report.env("LISTEN_PID")),
        (Some("2"), Some("1"))
    );
}

fn listen_fds_and_preserve(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report"]);
    let output = s
        .run_call(&["--preserve-fds", "1"])
        .redirect("3</dev/null 4</dev/zero 5</dev/null")
        .env("LISTEN_FDS", "1")
        .prelude("export LISTEN_PID=$$")
        .run()
        .ok();
    assert_eq!(
        fds(&Report::parse(&output.stdout)),
        ["0", "1", "2", "3", "4"]
    );
}

fn stdin_is_not_consumed(s: &mut Sandbox) {
    s.start_waiting();
    s.write_spec();
    let root = s.environment.root.display().to_string();
    let runtime = s.environment.runtime.display().to_string();
    let id = s.id.clone();
    let script = format!(
        "{runtime} --root {root} state {id} >/dev/null; {runtime} --root {root} list >/dev/null; cat"
    );
    let mut call = s.call(&[]).globals(["-c", &script]).stdin("left alone");
    call.program = "/bin/sh".into();
    assert_eq!(call.run().ok().stdout, "left alone");
    s.stop();
}

fn nothing_on_stdout(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    let output = s.create();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let output = s.start().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    s.wait_output("ready");
    for verb in ["pause", "resume"] {
        let output = s.call(&[verb, &s.id]).run().ok();
        assert_eq!(
            (output.stdout.as_str(), output.stderr.as_str()),
            ("", ""),
            "{verb}"
        );
    }
    let output = s.kill("KILL").ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    s.reap();
    let output = s.delete().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

fn state_directory_layout(s: &mut Sandbox) {
    s.create();
    let directory = s.environment.root.join(&s.id);
    let mode = fs::metadata(&directory).unwrap().permissions().mode() & 0o777;
    assert!(matches!(mode, 0o700 | 0o711), "{mode:o}");
    assert!(
        fs::metadata(directory.join("exec.fifo"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    let mode = fs::metadata(directory.join("state.json"))
        .unwrap()
        .permissions()
        .mode()
        & 0o777;
    assert_eq!(mode & 0o022, 0, "state.json is {mode:o}");
}

fn state_json(s: &Sandbox) -> Value {
    let text = fs::read_to_string(s.environment.root.join(&s.id).join("state.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn state_json_keys(s: &mut Sandbox) {
    s.create();
    let state = state_json(s);
    for key in [
        "id",
        "init_process_pid",
        "init_process_start",
        "created",
        "config",
        "rootless",
        "cgroup_paths",
        "namespace_paths",
        "external_descriptors",
        "intel_rdt_path",
    ] {
        assert!(state.get(key).is_some(), "{key} is missing");
    }
    assert_eq!(state["id"], s.id);
    assert_eq!(state["init_process_pid"], s.pid());
    let start = fs::read_to_string(format!("/proc/{}/stat", s.pid())).unwrap();
    let start = start
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(19)
        .unwrap()
        .to_owned();
    assert_eq!(state["init_process_start"].to_string(), start);
    assert_eq!(
        state["config"]["rootfs"],
        s.rootfs.to_string_lossy().as_ref()
    );
    let labels = state["config"]["labels"].to_string();
    assert!(
        labels.contains(&format!("bundle={}", s.bundle_text())),
        "{labels}"
    );
}

fn state_json_cgroup_paths(s: &mut Sandbox) {
    s.create();
    let state = state_json(s);
    if crate::limits::is_v2() {
        assert_eq!(
            state["cgroup_paths"],
            serde_json::json!({"": s.cgroup("").to_string_lossy()})
        );
        return;
    }
    assert_eq!(
        state["cgroup_paths"]["memory"],
        s.cgroup("memory").to_string_lossy().as_ref()
    );
    assert_eq!(
        state["cgroup_paths"]["devices"],
        s.cgroup("devices").to_string_lossy().as_ref()
    );
    assert!(state["namespace_paths"].is_object());
}

fn state_root_by_xdg(s: &mut Sandbox) {
    // Root keeps the system's directory whatever XDG_RUNTIME_DIR says.
    let directory = s.path("xdg");
    fs::create_dir(&directory).unwrap();
    s.call(&["list"])
        .globals(Vec::<&str>::new())
        .env("XDG_RUNTIME_DIR", directory.clone())
        .run();
    assert!(fs::read_dir(&directory).unwrap().next().is_none());
}

fn default_root_is_not_touched(s: &mut Sandbox) {
    let name = s.environment.runtime_name.clone();
    let default = format!("/run/{name}/{}", s.id);
    s.create();
    assert!(fs::metadata(&default).is_err());
}

fn rootless_flag_values(s: &mut Sandbox) {
    for value in ["auto", "false"] {
        s.run_call(&[]).global(["--rootless", value]).run().ok();
        s.run_call(&[])
            .global([&format!("--rootless={value}")])
            .run()
            .ok();
    }
    s.run_call(&[])
        .global(["--rootless", "perhaps"])
        .run()
        .fails_somehow();
}

fn systemd_cgroup_without_systemd(s: &mut Sandbox) {
    if fs::metadata("/run/systemd/system").is_ok() {
        skip("systemd runs here");
    }
    let path = format!("system.slice:tare:{}", s.id);
    s.spec.set("linux.cgroupsPath", path);
    let output = s
        .run_call(&[])
        .global(["--systemd-cgroup"])
        .run()
        .fails_somehow()
        .exits(1);
    assert!(output.stderr.contains("systemd"), "{}", output.stderr);
}

fn crun_globals(s: &mut Sandbox) {
    s.run_call(&[])
        .global(["--cgroup-manager", "cgroupfs"])
        .run()
        .ok();
    s.spec.args(&["/inspect", "report"]);
    s.run_call(&[])
        .global(["--cgroup-manager", "disabled"])
        .run()
        .ok();
    s.run_call(&[]).global(["--log-level", "error"]).run().ok();
}

fn caller_death_signal_is_harmless(s: &mut Sandbox) {
    // containerd sets PDEATHSIG on the runtime; the container does not inherit it.
    s.start_waiting();
    assert_eq!(s.exec_inspect(&[], &[]).number("pdeathsig"), 0);
    s.stop();
}

fn under_another_name(s: &mut Sandbox) {
    // podman's tests want a runtime called runc or crun; a link has to do.
    for name in ["runc", "crun"] {
        let link = s.path(name);
        std::os::unix::fs::symlink(&s.environment.runtime, &link).unwrap();
        s.spec.args(&["/bin/echo", "by link"]);
        let mut call = s.run_call(&[]);
        call.program = link.into();
        assert_eq!(call.run().ok().stdout, "by link\n");
    }
}
