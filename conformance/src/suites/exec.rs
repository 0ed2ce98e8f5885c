//! exec: a second process in a running container, its flags, its process.json and its refusals.

use crate::case::cases;
use crate::inspect::Report;
use crate::process;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::time::Duration;

cases!("exec":
    exit_status_passes, output_and_stdin_pass, joins_all_namespaces, joins_all_cgroups, inherits_the_process_settings,
    cwd_flag, env_flag, user_flag, user_and_group_flag, bad_users, user_beyond_32_bits, additional_gids, cap_flag, no_new_privs_flag,
    process_json, process_json_rlimits, process_json_capabilities_inheritable, detach_and_pid_file,
    detach_is_reparented, killed_is_128_plus_signal, not_in_path, absolute_absent, not_executable, a_directory,
    in_a_stopped_one, in_a_paused_one, ignore_paused, in_an_absent_one, in_a_created_one, no_command, cwd_is_used,
    descriptors, preserve_fds, many_at_once, process_is_not_init, double_dash, program_flags_are_not_ours,
    seccomp_applies, session_keyring_is_joined, home_of_the_user, init_end_kills_exec, missing_process_file,
    broken_process_file, cgroup_flag, rootfs_of_the_container, umask_in_process_json, inheritable_is_empty,
);

fn exit_status_passes(s: &mut Sandbox) {
    s.start_waiting();
    for code in [0, 1, 42, 255] {
        s.exec(&["/inspect", "exit", &code.to_string()]).exits(code);
    }
    s.stop();
}

fn output_and_stdin_pass(s: &mut Sandbox) {
    s.start_waiting();
    let output = s
        .exec_call(&[], &["/bin/sh", "-c", "cat; echo error >&2"])
        .stdin("given\n")
        .run()
        .ok();
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("given\n", "error\n")
    );
    s.stop();
}

fn joins_all_namespaces(s: &mut Sandbox) {
    s.spec.namespace("cgroup", None);
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    for kind in ["mnt", "pid", "net", "uts", "ipc", "user", "cgroup"] {
        let init = fs::read_link(format!("/proc/{}/ns/{kind}", s.pid())).unwrap();
        assert_eq!(report.namespace(kind), init.to_str().unwrap());
    }
    s.stop();
}

fn joins_all_cgroups(s: &mut Sandbox) {
    s.start_waiting();
    let init = fs::read_to_string(format!("/proc/{}/cgroup", s.pid())).unwrap();
    let report = s.exec_inspect(&[], &[]);
    assert_eq!(report.texts("cgroup").join("\n"), init.trim());
    s.stop();
}

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

fn detach_and_pid_file(s: &mut Sandbox) {
    s.start_waiting();
    let pid_file = s.path("exec.pid");
    s.exec_with(
        &["--detach", "--pid-file", &pid_file],
        &["/bin/sleep", "100"],
    )
    .ok();
    let text = fs::read_to_string(&pid_file).unwrap();
    let pid: i32 = text
        .parse()
        .unwrap_or_else(|_| panic!("{text:?} is not bare decimal"));
    assert!(process::is_alive(pid));
    process::kill(pid, rustix::process::Signal::KILL);
    assert_eq!(process::reap(pid, Duration::from_secs(5)), Some(137));
    s.stop();
}

fn detach_is_reparented(s: &mut Sandbox) {
    s.start_waiting();
    let pid_file = s.path("exec.pid");
    s.exec_with(&["-d", "--pid-file", &pid_file], &["/inspect", "wait"])
        .ok();
    let pid: i32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert_eq!(
        process::parent(pid),
        Some(std::process::id() as i32),
        "the subreaper gets it"
    );
    s.kill("KILL").ok();
    // The end of init ends all others, and init itself is not done before they are reaped.
    assert_eq!(process::reap(pid, Duration::from_secs(5)), Some(137));
    s.reap();
    s.delete().ok();
}

fn killed_is_128_plus_signal(s: &mut Sandbox) {
    s.start_waiting();
    s.exec(&["/bin/sh", "-c", "kill -9 $$"]).exits(137);
    s.exec(&["/bin/sh", "-c", "kill -15 $$"]).exits(143);
    s.stop();
}

fn not_in_path(s: &mut Sandbox) {
    s.start_waiting();
    s.exec(&["nosuch"])
        .fails(255, "exec: \"nosuch\": executable file not found in $PATH");
    s.stop();
}

fn absolute_absent(s: &mut Sandbox) {
    s.start_waiting();
    s.exec(&["/nosuch"]).fails(
        255,
        "exec: \"/nosuch\": stat /nosuch: no such file or directory",
    );
    s.stop();
}

fn not_executable(s: &mut Sandbox) {
    s.start_waiting();
    s.exec(&["/etc/noexec"])
        .fails(255, "exec: \"/etc/noexec\": permission denied");
    s.stop();
}

fn a_directory(s: &mut Sandbox) {
    s.start_waiting();
    s.exec(&["/etc"])
        .fails(255, "exec: \"/etc\": is a directory");
    s.stop();
}

fn in_a_stopped_one(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    s.reap();
    s.exec(&["/bin/true"])
        .fails(255, "cannot exec in a stopped container");
}

fn in_a_paused_one(s: &mut Sandbox) {
    s.start_waiting();
    s.call(&["pause", &s.id]).run().ok();
    s.exec(&["/bin/true"]).fails(
        255,
        "cannot exec in a paused container (use --ignore-paused to override)",
    );
    s.call(&["resume", &s.id]).run().ok();
    s.exec(&["/bin/true"]).ok();
    s.stop();
}

fn ignore_paused(s: &mut Sandbox) {
    s.start_waiting();
    s.call(&["pause", &s.id]).run().ok();
    let running = s
        .exec_call(&["--ignore-paused"], &["/bin/echo", "thawed"])
        .spawn();
    std::thread::sleep(Duration::from_millis(150));
    assert!(
        process::is_alive(running.pid()),
        "it must wait for the thaw"
    );
    s.call(&["resume", &s.id]).run().ok();
    assert_eq!(
        running.finish(Duration::from_secs(5)).ok().stdout,
        "thawed\n"
    );
    s.stop();
}

fn in_an_absent_one(s: &mut Sandbox) {
    s.exec(&["/bin/true"])
        .fails(255, "container does not exist");
}

fn in_a_created_one(s: &mut Sandbox) {
    s.create();
    assert_eq!(s.exec(&["/bin/echo", "early"]).ok().stdout, "early\n");
    assert_eq!(s.status(), "created");
}

fn no_command(s: &mut Sandbox) {
    s.start_waiting();
    assert!(s.exec(&[]).code != 0);
    s.stop();
}

fn descriptors(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    assert_eq!(
        report.0["fds"].as_object().unwrap().len(),
        3,
        "{}",
        report.0["fds"]
    );
    s.stop();
}

fn preserve_fds(s: &mut Sandbox) {
    s.start_waiting();
    fs::write(s.path("three"), "content three").unwrap();
    let redirect = format!("3<{} 4</dev/null 5</dev/null", s.path("three"));
    let arguments = ["/inspect", "report", "fdread:3"];
    let output = s
        .exec_call(&["--preserve-fds", "2"], &arguments)
        .redirect(&redirect)
        .run()
        .ok();
    let report = Report::parse(&output.stdout);
    assert_eq!(report.probe("fdread:3")["text"], "content three");
    let fds = report.0["fds"].as_object().unwrap();
    assert!(fds.contains_key("4") && !fds.contains_key("5"), "{fds:?}");
    s.stop();
}

fn many_at_once(s: &mut Sandbox) {
    s.start_waiting();
    let running: Vec<_> = (0..8)
        .map(|number| {
            s.exec_call(
                &[],
                &["/bin/sh", "-c", &format!("sleep 0.05; echo {number}")],
            )
            .spawn()
        })
        .collect();
    for (number, one) in running.into_iter().enumerate() {
        assert_eq!(
            one.finish(Duration::from_secs(10)).ok().trimmed(),
            number.to_string()
        );
    }
    s.stop();
}

fn process_is_not_init(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    assert!(report.number("pid") > 1);
    assert_eq!(
        report.number("ppid"),
        0,
        "its parent is outside the container"
    );
    s.stop();
}

fn double_dash(s: &mut Sandbox) {
    s.start_waiting();
    let id = s.id.clone();
    assert_eq!(
        s.call(&["exec", &id, "--", "/bin/echo", "dashes"])
            .run()
            .code,
        255,
        "`--` after the id is the program"
    );
    assert_eq!(
        s.call(&["exec", "--", &id, "/bin/echo", "dashes"])
            .run()
            .ok()
            .stdout,
        "dashes\n"
    );
    s.stop();
}

fn program_flags_are_not_ours(s: &mut Sandbox) {
    s.start_waiting();
    assert_eq!(
        s.exec(&["/bin/echo", "--help", "-t", "--pid-file=x"])
            .ok()
            .stdout,
        "--help -t --pid-file=x\n"
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

fn session_keyring_is_joined(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    let name = report.0["keyring_description"].as_str().unwrap_or_default();
    assert!(name.contains(&s.id), "{name}");
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

fn init_end_kills_exec(s: &mut Sandbox) {
    s.start_waiting();
    let running = s.exec_call(&[], &["/inspect", "stubborn"]).spawn();
    assert!(process::eventually(Duration::from_secs(5), || {
        fs::read_to_string(&running.stdout).is_ok_and(|text| text.contains("ready"))
    }));
    s.kill("TERM").ok();
    s.reap();
    running.finish(Duration::from_secs(5)).exits(137);
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

fn cgroup_flag(s: &mut Sandbox) {
    s.start_waiting();
    let inner = s.cgroup("pids").join("inner");
    fs::create_dir(&inner).unwrap();
    let report = s.exec_inspect(&["--cgroup", "pids:inner"], &[]);
    let line = report
        .texts("cgroup")
        .into_iter()
        .find(|line| line.contains(":pids:"))
        .unwrap_or_default()
        .to_owned();
    assert!(line.ends_with(&format!("/{}/inner", s.id)), "{line}");
    fs::remove_dir(&inner).unwrap();
    s.stop();
}

fn rootfs_of_the_container(s: &mut Sandbox) {
    s.spec.mount("/mnt", "tmpfs", "tmpfs", &[]);
    s.start_waiting();
    s.exec(&["/bin/sh", "-c", "echo kept > /mnt/file"]).ok();
    assert_eq!(s.exec(&["/bin/cat", "/mnt/file"]).ok().stdout, "kept\n");
    assert!(!s.rootfs.join("mnt/file").exists());
    s.stop();
}
