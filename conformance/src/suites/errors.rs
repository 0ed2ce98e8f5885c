//! The words and exit codes that callers match (contract 1.3 and 1.4).

use crate::case::cases;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;

cases!("errors":
    not_in_path, not_in_path_at_create, absolute_absent, not_executable, a_directory, empty_argument, no_arguments,
    bad_interpreter, bad_format, not_in_path_without_path, unreachable_for_the_user, one_class_per_message,
    unknown_command, unknown_flag, no_command, missing_id, too_many_arguments,
    unknown_signal, bad_ids, long_id, longest_plain_id, mount_source_absent, mount_source_absent_is_not_127,
    oci_version_future, oci_version_two, oci_version_missing, oci_version_garbage, unknown_keys_are_no_error,
    no_process, cwd_relative, unknown_namespace, duplicate_namespace, unknown_capability, unknown_rlimit,
    duplicate_rlimit, namespace_path_absent, sysctl_of_the_host, unknown_device_type, device_path_missing,
    user_id_overflow, no_state_left_after_failures, null_values, file_where_config_is_a_directory,
);

fn not_in_path(s: &mut Sandbox) {
    s.spec.args(&["nosuch"]);
    s.run()
        .fails(1, "exec: \"nosuch\": executable file not found in $PATH");
}

fn not_in_path_at_create(s: &mut Sandbox) {
    s.spec.args(&["nosuch"]);
    s.create_call(&[])
        .run()
        .fails(1, "exec: \"nosuch\": executable file not found in $PATH");
}

fn absolute_absent(s: &mut Sandbox) {
    s.spec.args(&["/nosuch"]);
    s.run().fails(
        1,
        "exec: \"/nosuch\": stat /nosuch: no such file or directory",
    );
}

fn not_executable(s: &mut Sandbox) {
    s.spec.args(&["/etc/noexec"]);
    s.run().fails(1, "exec: \"/etc/noexec\": permission denied");
}

fn a_directory(s: &mut Sandbox) {
    s.spec.args(&["/etc"]);
    s.run().fails(1, "exec: \"/etc\": is a directory");
}

fn empty_argument(s: &mut Sandbox) {
    s.spec.args(&[""]);
    s.run()
        .fails(1, "exec: \"\": executable file not found in $PATH");
}

fn no_arguments(s: &mut Sandbox) {
    s.spec.args(&[]);
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("args"), "{}", output.stderr);
}

fn bad_interpreter(s: &mut Sandbox) {
    s.spec.args(&["/bin/badinterp"]);
    let output = s.run().fails_somehow();
    assert!(
        output.stderr.contains("no such file or directory"),
        "{}",
        output.stderr
    );
}

fn bad_format(s: &mut Sandbox) {
    s.spec.args(&["/bin/badformat"]);
    let output = s.run().fails_somehow();
    assert!(
        output.stderr.contains("exec format error"),
        "{}",
        output.stderr
    );
}

fn not_in_path_without_path(s: &mut Sandbox) {
    s.spec.set("process.env", json!(["A=b"])).args(&["nosuch"]);
    s.run().fails(1, "executable file not found in $PATH");
}

fn unreachable_for_the_user(s: &mut Sandbox) {
    let directory = s.rootfs.join("private");
    std::fs::create_dir(&directory).unwrap();
    std::fs::copy(s.rootfs.join("inspect"), directory.join("inspect")).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}))
        .capabilities(&[]);
    s.spec.args(&["/private/inspect"]);
    s.run().fails(1, "permission denied");
}

/// Which exit code podman's regular expressions would choose.
fn podman_class(message: &str) -> &'static str {
    let text = message.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let denied = any(&["permission denied", "operation not permitted"]);
    let absent = any(&[
        "executable file not found in",
        "no such file or directory",
        "open executable",
    ]);
    match (denied, absent) {
        (true, true) => "both",
        (true, false) => "126",
        (false, true) => "127",
        (false, false) => "other",
    }
}

fn one_class_per_message(s: &mut Sandbox) {
    for (program, class) in [
        ("nosuch", "127"),
        ("/nosuch", "127"),
        ("/etc/noexec", "126"),
        ("/bin/badinterp", "127"),
        ("/bin/badformat", "other"),
    ] {
        s.spec.args(&[program]);
        let output = s.run().fails_somehow();
        assert_eq!(
            podman_class(&output.stderr),
            class,
            "{program}: {}",
            output.stderr
        );
    }
}

fn unknown_command(s: &mut Sandbox) {
    let output = s.call(&["frobnicate"]).run();
    assert_eq!(output.code, 3, "{}", output.stderr);
    assert!(!(output.stderr + &output.stdout).is_empty());
}

fn unknown_flag(s: &mut Sandbox) {
    s.call(&["run", "--frobnicate", &s.id]).run().exits(1);
    s.call(&["list"]).global(["--frobnicate"]).run().exits(1);
}

fn no_command(s: &mut Sandbox) {
    let output = s.call(&[]).run();
    assert!(
        (output.stdout + &output.stderr).contains("create"),
        "the verbs are listed"
    );
}

fn missing_id(s: &mut Sandbox) {
    for verb in [
        "create", "run", "start", "state", "kill", "delete", "exec", "pause", "resume", "ps",
        "events", "update",
    ] {
        let output = s.call(&[verb]).run();
        assert!(output.code != 0, "{verb} without an id succeeded");
        assert!(
            !(output.stderr + &output.stdout).is_empty(),
            "{verb}: no message"
        );
    }
}

fn too_many_arguments(s: &mut Sandbox) {
    for verb in [
        "create", "run", "start", "state", "delete", "pause", "resume",
    ] {
        assert!(
            s.call(&[verb, "a", "b"]).run().code != 0,
            "{verb} a b succeeded"
        );
    }
}

fn unknown_signal(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("FROB").fails(1, "unknown signal \"FROB\"");
    assert_eq!(s.status(), "running");
    s.stop();
}

fn bad_ids(s: &mut Sandbox) {
    s.write_spec();
    let bundle = s.bundle_text();
    for id in [
        "", ".", "..", "a/b", "/a", "../a", "a b", "a\nb", "ü", "a$b", "a\\b", "a;b", "a:b", "*",
    ] {
        let output = s.call(&["run", "--bundle", &bundle, id]).run();
        assert!(
            output.code == 1,
            "id {id:?}: {} {}",
            output.code,
            output.stderr
        );
        assert!(
            output.stderr.contains("invalid container ID format")
                || (id.is_empty() && !output.stderr.is_empty()),
            "id {id:?}: {}",
            output.stderr
        );
        for verb in ["state", "delete", "start"] {
            assert!(
                s.call(&[verb, id]).run().code != 0,
                "{verb} {id:?} succeeded"
            );
        }
    }
}

fn long_id(s: &mut Sandbox) {
    s.write_spec();
    let bundle = s.bundle_text();
    for length in [256, 1025, 5000] {
        let id = "x".repeat(length);
        s.call(&["run", "--bundle", &bundle, &id])
            .run()
            .fails_somehow()
            .exits(1);
        s.call(&["delete", "--force", &id]).run();
    }
}

fn longest_plain_id(s: &mut Sandbox) {
    s.write_spec();
    let bundle = s.bundle_text();
    let id = format!("{}_+.-{}", s.id, "y".repeat(180));
    s.call(&["run", "--bundle", &bundle, &id]).run().ok();
}

fn mount_source_absent(s: &mut Sandbox) {
    s.spec.bind("/nonexistent/source", "/mnt", &["ro"]);
    let output = s.run().exits(1);
    assert!(
        output.stderr.contains("/nonexistent/source"),
        "{}",
        output.stderr
    );
}

fn mount_source_absent_is_not_127(s: &mut Sandbox) {
    s.spec.bind("/nonexistent/source", "/mnt", &["ro"]);
    let output = s.run().exits(1);
    assert_eq!(podman_class(&output.stderr), "other", "{}", output.stderr);
}

fn oci_version_future(s: &mut Sandbox) {
    for version in ["1.0.0", "1.2.1", "1.3.0", "1.9.9", "1.0.2-dev"] {
        s.spec.set("ociVersion", version);
        s.run().ok();
    }
}

fn oci_version_two(s: &mut Sandbox) {
    for version in ["2.0.0", "0.9.0"] {
        s.spec.set("ociVersion", version);
        let output = s.run().fails_somehow().exits(1);
        assert!(output.stderr.contains(version), "{}", output.stderr);
    }
}

fn oci_version_missing(s: &mut Sandbox) {
    s.spec.remove("ociVersion");
    s.run().fails_somehow().exits(1);
}

fn oci_version_garbage(s: &mut Sandbox) {
    for version in ["one", "1", "1.0", "1.0.x", ""] {
        s.spec.set("ociVersion", version);
        s.run().fails_somehow().exits(1);
    }
}

fn unknown_keys_are_no_error(s: &mut Sandbox) {
    s.spec
        .set("futureTop", json!({"deep": [1, 2, {"x": null}]}))
        .set("process.futureField", true)
        .set("linux.futureThing", "text")
        .set("linux.resources.memory.futureLimit", 5)
        .set("annotations", json!({"org.example.unknown": "fine"}));
    s.run().ok();
}

fn no_process(s: &mut Sandbox) {
    s.spec.remove("process");
    s.run().fails_somehow().exits(1);
}

fn cwd_relative(s: &mut Sandbox) {
    for cwd in ["relative/path", ""] {
        s.spec.set("process.cwd", cwd);
        let output = s.run().fails_somehow().exits(1);
        assert!(
            output.stderr.to_lowercase().contains("cwd"),
            "{}",
            output.stderr
        );
    }
}

fn unknown_namespace(s: &mut Sandbox) {
    s.spec.namespace("galaxy", None);
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("galaxy"), "{}", output.stderr);
}

fn duplicate_namespace(s: &mut Sandbox) {
    s.spec.push("linux.namespaces", json!({"type": "uts"}));
    s.run().fails_somehow().exits(1);
}

fn unknown_capability(s: &mut Sandbox) {
    // runc warns and goes on.
    s.spec.capabilities(&["CAP_KILL", "CAP_FROBNICATE"]);
    let report = s.inspect(&[]);
    assert_eq!(report.capability_mask("CapEff"), 1 << 5);
}

fn unknown_rlimit(s: &mut Sandbox) {
    s.spec.set(
        "process.rlimits",
        json!([{"type": "RLIMIT_FROB", "soft": 1, "hard": 1}]),
    );
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("RLIMIT_FROB"), "{}", output.stderr);
}

fn duplicate_rlimit(s: &mut Sandbox) {
    let limit = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100});
    s.spec.set("process.rlimits", json!([limit, limit]));
    s.run().fails_somehow().exits(1);
}

fn namespace_path_absent(s: &mut Sandbox) {
    s.spec.namespace("network", Some("/nonexistent/netns"));
    let output = s.run().fails_somehow().exits(1);
    assert!(
        output.stderr.contains("/nonexistent/netns"),
        "{}",
        output.stderr
    );
}

fn sysctl_of_the_host(s: &mut Sandbox) {
    for name in ["kernel.panic", "vm.swappiness", "fs.file-max"] {
        s.spec.set("linux.sysctl", json!({name: "1"}));
        let output = s.run().fails_somehow().exits(1);
        assert!(output.stderr.contains(name), "{}", output.stderr);
    }
}

fn unknown_device_type(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "/dev/odd", "type": "q", "major": 1, "minor": 3}),
    );
    s.run().fails_somehow().exits(1);
}

fn device_path_missing(s: &mut Sandbox) {
    s.spec.push(
        "linux.devices",
        json!({"path": "relative", "type": "c", "major": 1, "minor": 3}),
    );
    s.run();
    assert!(
        !s.bundle.join("relative").exists() && !s.environment.directory.join("relative").exists()
    );
}

fn user_id_overflow(s: &mut Sandbox) {
    for id in [
        json!(4_294_967_296_u64),
        json!(-1),
        json!("0"),
        json!(4_294_967_295_u64),
    ] {
        s.spec
            .set("process.user.uid", id.clone())
            .args(&["/inspect", "report"]);
        let output = s.run();
        assert!(output.code != 0, "uid {id} was accepted: {}", output.stdout);
    }
}

fn no_state_left_after_failures(s: &mut Sandbox) {
    s.spec.args(&["nosuch"]);
    for _ in 0..3 {
        s.run().exits(1);
        s.call(&["state", &s.id]).run().fails(1, "does not exist");
    }
    assert!(!s.cgroup("memory").exists());
    s.spec.args(&["/bin/true"]);
    s.run().ok();
}

fn null_values(s: &mut Sandbox) {
    s.spec
        .set("hooks", json!(null))
        .set("annotations", json!(null))
        .set("linux.devices", json!(null))
        .set("linux.resources", json!(null))
        .set("linux.seccomp", json!(null))
        .set("linux.maskedPaths", json!(null))
        .set("process.rlimits", json!(null))
        .set("process.capabilities", json!(null));
    s.run().ok();
}

fn file_where_config_is_a_directory(s: &mut Sandbox) {
    std::fs::create_dir(s.bundle.join("config.json")).unwrap();
    let bundle = s.bundle_text();
    let output = s
        .call(&["run", "--bundle", &bundle, &s.id])
        .run()
        .fails_somehow()
        .exits(1);
    assert!(output.stderr.contains("config.json"), "{}", output.stderr);
}
