//! What an exec'd process is: flags and process.json of exec.

use crate::case::cases;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;

cases!("exec-process":
    inherits_the_process_settings, cwd_flag, env_flag, user_flag, user_and_group_flag, bad_users, user_beyond_32_bits, additional_gids, cap_flag, no_new_privs_flag, process_json, process_json_rlimits, process_json_capabilities_inheritable, cwd_is_used, seccomp_applies, home_of_the_user, missing_process_file, broken_process_file, umask_in_process_json, inheritable_is_empty,
);

fn inherits_the_process_settings(s: &mut Sandbox) {
    s.spec
        .set(
            "process.user",
            json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}),
        )
        .set("process.cwd", "/var")
        .set(
            "process.rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]),
        )
        .set("process.oomScoreAdj", 321)
        .env("SET=in config");
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    assert_eq!(report.numbers("uid"), [1000; 3]);
    assert_eq!(report.numbers("gid"), [1001; 3]);
    assert_eq!(report.numbers("groups"), [5, 6]);
    assert_eq!(report.text("cwd"), "/var");
    assert_eq!(report.limit("NOFILE"), (77, 88));
    assert_eq!(report.env("SET"), Some("in config"));
    assert_eq!(report.texts("oom_score_adj"), ["321"]);
    assert_eq!(report.number("no_new_privs"), 1);
    s.stop();
}

fn cwd_flag(s: &mut Sandbox) {
    s.start_waiting();
    assert_eq!(
        s.exec_inspect(&["--cwd", "/var/data"], &[]).text("cwd"),
        "/var/data"
    );
    s.stop();
}

fn cwd_is_used(s: &mut Sandbox) {
    s.start_waiting();
    s.exec_with(&["--cwd", "/nonexistent/dir"], &["/bin/true"]);
    assert_eq!(
        s.exec_with(&["--cwd=/tmp"], &["sh", "-c", "pwd"])
            .ok()
            .trimmed(),
        "/tmp"
    );
    s.stop();
}

fn env_flag(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&["-e", "ONE=1", "-e", "TWO=a b", "-e", "PATH=/bin"], &[]);
    assert_eq!(
        (report.env("ONE"), report.env("TWO"), report.env("PATH")),
        (Some("1"), Some("a b"), Some("/bin"))
    );
    s.stop();
}

fn user_flag(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&["--user", "1000"], &[]);
    assert_eq!(
        (report.numbers("uid"), report.numbers("gid")),
        (vec![1000; 3], vec![0; 3])
    );
    s.stop();
}

fn user_and_group_flag(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&["-u", "1000:2000"], &[]);
    assert_eq!(
        (report.numbers("uid"), report.numbers("gid")),
        (vec![1000; 3], vec![2000; 3])
    );
    assert_eq!(
        report.capability_mask("CapEff"),
        0,
        "another user has no effective capability"
    );
    s.stop();
}

fn bad_users(s: &mut Sandbox) {
    // CVE-2026-30892: only UINT[:UINT] is a user.
    s.start_waiting();
    for user in [
        "1000:", ":1000", "1000x", "0x10", " 1", "1000:abc", "-1", "1:2:3",
    ] {
        let output = s.exec_with(&["--user", user], &["/bin/id", "-u"]);
        assert!(
            output.code == 255 || output.code == 1,
            "user {user:?}: {} {}",
            output.code,
            output.stdout
        );
        assert_eq!(output.stdout, "", "user {user:?} ran");
    }
    s.stop();
}

fn user_beyond_32_bits(s: &mut Sandbox) {
    s.start_waiting();
    for user in ["4294967296", "99999999999", "0:4294967296"] {
        assert_eq!(
            s.exec_with(&["--user", user], &["/bin/id", "-u"]).stdout,
            "",
            "user {user:?} ran"
        );
    }
    s.stop();
}

fn additional_gids(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&["-g", "100", "-g", "65534"], &[]);
    assert_eq!(report.numbers("groups"), [100, 65534]);
    s.stop();
}

fn cap_flag(s: &mut Sandbox) {
    s.spec.capabilities(&["CAP_KILL"]);
    s.start_waiting();
    let report = s.exec_inspect(&["--cap", "CAP_NET_ADMIN"], &[]);
    let wanted = 1_u64 << 5 | 1 << 12;
    for set in ["CapBnd", "CapEff", "CapPrm"] {
        assert_eq!(report.capability_mask(set), wanted, "{set}");
    }
    s.stop();
}

fn inheritable_is_empty(s: &mut Sandbox) {
    s.start_waiting();
    assert_eq!(
        s.exec_inspect(&["--cap", "CAP_SYS_ADMIN"], &[])
            .capability_mask("CapInh"),
        0
    );
    assert_eq!(s.exec_inspect(&[], &[]).capability_mask("CapInh"), 0);
    s.stop();
}

fn no_new_privs_flag(s: &mut Sandbox) {
    s.spec.set("process.noNewPrivileges", false);
    s.start_waiting();
    assert_eq!(s.exec_inspect(&[], &[]).number("no_new_privs"), 0);
    assert_eq!(
        s.exec_inspect(&["--no-new-privs"], &[])
            .number("no_new_privs"),
        1
    );
    s.stop();
}

fn process_file(s: &Sandbox, value: &serde_json::Value) -> String {
    let path = s.path("process.json");
    fs::write(&path, value.to_string()).unwrap();
    path
}

fn process_json(s: &mut Sandbox) {
    s.start_waiting();
    let path = process_file(
        s,
        &json!({
            "args": ["/inspect", "report"], "cwd": "/tmp", "env": ["ONLY=this", "PATH=/bin"],
            "user": {"uid": 7, "gid": 8, "additionalGids": [9]}, "noNewPrivileges": false,
            "capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"]}, "oomScoreAdj": 100
        }),
    );
    let output = s.exec_with(&["--process", &path], &[]).ok();
    let report = Report::parse(&output.stdout);
    assert_eq!(
        (report.text("cwd"), report.env("ONLY")),
        ("/tmp", Some("this"))
    );
    assert_eq!(
        (
            report.numbers("uid"),
            report.numbers("gid"),
            report.numbers("groups")
        ),
        (vec![7; 3], vec![8; 3], vec![9])
    );
    assert_eq!(report.capability_mask("CapBnd"), 1 << 5 | 1);
    assert_eq!(report.number("no_new_privs"), 0);
    let short = s.exec_with(&["-p", &path], &[]).ok();
    assert!(short.stdout.contains("ONLY=this"));
    s.stop();
}

fn process_json_rlimits(s: &mut Sandbox) {
    s.start_waiting();
    let path = process_file(
        s,
        &json!({"args": ["/inspect", "report"], "cwd": "/", "env": [],
                "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 50, "hard": 60}]}),
    );
    let report = Report::parse(&s.exec_with(&["--process", &path], &[]).ok().stdout);
    assert_eq!(report.limit("NOFILE"), (50, 60));
    s.stop();
}

fn process_json_capabilities_inheritable(s: &mut Sandbox) {
    s.start_waiting();
    let kill = json!(["CAP_KILL"]);
    let path = process_file(
        s,
        &json!({"args": ["/inspect", "report"], "cwd": "/", "env": [], "user": {"uid": 1000, "gid": 1000},
                "capabilities": {"bounding": kill, "permitted": kill, "effective": kill, "inheritable": kill, "ambient": kill}}),
    );
    let report = Report::parse(&s.exec_with(&["--process", &path], &[]).ok().stdout);
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(report.capability_mask(set), 1 << 5, "{set}");
    }
    s.stop();
}

fn umask_in_process_json(s: &mut Sandbox) {
    s.start_waiting();
    let path = process_file(
        s,
        &json!({"args": ["/inspect", "report"], "cwd": "/", "env": [], "user": {"uid": 0, "gid": 0, "umask": 0o77}}),
    );
    assert_eq!(
        Report::parse(&s.exec_with(&["--process", &path], &[]).ok().stdout).number("umask"),
        0o77
    );
    s.stop();
}

fn seccomp_applies(s: &mut Sandbox) {
    s.spec.set(
        "linux.seccomp",
        json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}),
    );
    s.start_waiting();
    let report = s.exec_inspect(&[], &["syscall:110"]);
    assert_eq!(report.errno("syscall:110"), 99);
    assert_eq!(report.status("Seccomp"), "2");
    s.stop();
}

fn home_of_the_user(s: &mut Sandbox) {
    s.start_waiting();
    assert_eq!(s.exec_inspect(&[], &[]).env("HOME"), Some("/root"));
    assert_eq!(
        s.exec_inspect(&["--user", "1000"], &[]).env("HOME"),
        Some("/home/user")
    );
    assert_eq!(
        s.exec_inspect(&["--user", "4321"], &[]).env("HOME"),
        Some("/")
    );
    s.stop();
}

fn missing_process_file(s: &mut Sandbox) {
    s.start_waiting();
    let output = s.exec_with(&["--process", "/nonexistent/process.json"], &[]);
    assert!(matches!(output.code, 1 | 255), "{}", output.code);
    assert!(
        output.stderr.contains("/nonexistent/process.json"),
        "{}",
        output.stderr
    );
    s.stop();
}

fn broken_process_file(s: &mut Sandbox) {
    s.start_waiting();
    let path = s.path("broken.json");
    for text in [
        "",
        "{",
        "[]",
        "{\"args\": 5}",
        "{\"args\": [], \"cwd\": \"/\"}",
        "null",
    ] {
        fs::write(&path, text).unwrap();
        let output = s.exec_with(&["--process", &path], &[]);
        assert!(
            matches!(output.code, 1 | 255),
            "{text:?}: {} {}",
            output.code,
            output.stderr
        );
    }
    s.stop();
}
