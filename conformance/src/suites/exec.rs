//! exec: a second process in a running container, its flags, its process.json and its refusals.

use crate::case::cases;
use crate::inspect::Report;
use crate::process;
use crate::sandbox::Sandbox;
use std::fs;
use std::time::Duration;

cases!("exec":
    exit_status_passes, output_and_stdin_pass, joins_all_namespaces, joins_all_cgroups, detach_and_pid_file, detach_is_reparented, killed_is_128_plus_signal, not_in_path, absolute_absent, not_executable, a_directory, in_a_stopped_one, in_a_paused_one, ignore_paused, in_an_absent_one, in_a_created_one, no_command, descriptors, preserve_fds, many_at_once, process_is_not_init, double_dash, program_flags_are_not_ours, session_keyring_is_joined, init_end_kills_exec, cgroup_flag, rootfs_of_the_container,
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

fn session_keyring_is_joined(s: &mut Sandbox) {
    s.start_waiting();
    let report = s.exec_inspect(&[], &[]);
    let name = report.0["keyring_description"].as_str().unwrap_or_default();
    assert!(name.contains(&s.id), "{name}");
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

fn cgroup_flag(s: &mut Sandbox) {
    s.start_waiting();
    let inner = s.cgroup("pids").join("inner");
    fs::create_dir(&inner).unwrap();
    let (flag, hierarchy) = if crate::limits::is_v2() {
        ("inner", "0::")
    } else {
        ("pids:inner", ":pids:")
    };
    let report = s.exec_inspect(&["--cgroup", flag], &[]);
    let line = report
        .texts("cgroup")
        .into_iter()
        .find(|line| line.contains(hierarchy))
        .unwrap_or_default()
        .to_owned();
    assert!(line.ends_with(&format!("/{}/inner", s.group())), "{line}");
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
