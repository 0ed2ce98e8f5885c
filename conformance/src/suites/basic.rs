//! A container starts, sees a container's world, and ends with the right status.

use crate::case::cases;
use crate::sandbox::Sandbox;

cases!("basic":
    run_true, exit_status_passes, crash_is_128_plus_signal, killed_is_137, output_passes, arguments_arrive,
    environment_is_exact, path_is_searched, script_runs, init_is_pid_one, new_namespaces, stdin_passes,
    hostname, cwd, user_ids, only_three_descriptors, inherits_stderr, lifecycle, no_network_but_loopback, signals_are_default,
);

fn run_true(s: &mut Sandbox) {
    let output = s.run().ok();
    assert_eq!(output.stdout, "");
    assert_eq!(output.stderr, "");
}

fn exit_status_passes(s: &mut Sandbox) {
    for code in [1, 7, 127, 255] {
        s.spec.args(&["/inspect", "exit", &code.to_string()]);
        s.run().exits(code);
    }
}

fn crash_is_128_plus_signal(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "crash"]);
    s.run().exits(128 + 11);
}

fn killed_is_137(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    let running = s.run_call(&[]).spawn();
    assert!(crate::process::eventually(
        std::time::Duration::from_secs(5),
        || { std::fs::read_to_string(&running.stdout).is_ok_and(|text| text.contains("ready")) }
    ));
    // runc 1.1 lets the program run a moment before its state can be read, and may fail after the signal was sent.
    assert!(crate::process::eventually(
        std::time::Duration::from_secs(5),
        || s.kill("KILL").code == 0 || !crate::process::is_alive(running.pid())
    ));
    running.finish(std::time::Duration::from_secs(5)).exits(137);
}

fn output_passes(s: &mut Sandbox) {
    s.spec
        .args(&["/bin/sh", "-c", "echo to stdout; echo to stderr >&2"]);
    let output = s.run().ok();
    assert_eq!(output.stdout, "to stdout\n");
    assert_eq!(output.stderr, "to stderr\n");
}

fn arguments_arrive(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report"]);
    let output = s.run().ok();
    assert_eq!(
        crate::inspect::Report::parse(&output.stdout).texts("args"),
        ["/inspect", "report"]
    );
    s.spec.args(&["/bin/echo", "", "a b", "$HOME", "-n", "ünï"]);
    assert_eq!(s.run().ok().stdout, " a b $HOME -n ünï\n");
}

fn environment_is_exact(s: &mut Sandbox) {
    s.spec.env("GREETING=good day").env("EMPTY=");
    s.spec.args(&["/inspect", "report"]);
    let output = s.run_call(&[]).env("LEAKED", "from the host").run().ok();
    let mut seen = crate::inspect::Report::parse(&output.stdout)
        .texts("env")
        .join("\n");
    seen = seen.replace("HOME=/root\n", "").replace("\nHOME=/root", "");
    assert_eq!(seen, "PATH=/usr/bin:/bin\nGREETING=good day\nEMPTY=");
}

fn path_is_searched(s: &mut Sandbox) {
    s.spec.args(&["echo", "found"]);
    assert_eq!(s.run().ok().stdout, "found\n");
}

fn script_runs(s: &mut Sandbox) {
    s.spec.args(&["script", "one", "two"]);
    assert_eq!(s.run().ok().stdout, "script one two\n");
}

fn init_is_pid_one(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    assert_eq!(report.number("pid"), 1);
    assert_eq!(report.number("ppid"), 0);
    assert_eq!(report.number("sid"), 1);
}

fn new_namespaces(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    for kind in ["mnt", "pid", "net", "uts", "ipc"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(
            report.namespace(kind),
            host.to_str().unwrap(),
            "{kind} is the host's"
        );
    }
    for kind in ["user", "cgroup"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(
            report.namespace(kind),
            host.to_str().unwrap(),
            "{kind} is not the host's"
        );
    }
}

fn stdin_passes(s: &mut Sandbox) {
    s.spec.args(&["/bin/cat"]);
    assert_eq!(
        s.run_call(&[]).stdin("typed\n").run().ok().stdout,
        "typed\n"
    );
}

fn hostname(s: &mut Sandbox) {
    assert_eq!(s.inspect(&[]).text("hostname"), "tare");
}

fn cwd(s: &mut Sandbox) {
    s.spec.set("process.cwd", "/var/data");
    assert_eq!(s.inspect(&[]).text("cwd"), "/var/data");
}

fn user_ids(s: &mut Sandbox) {
    s.spec
        .set("process.user.uid", 1000)
        .set("process.user.gid", 1001);
    let report = s.inspect(&[]);
    assert_eq!(report.numbers("uid"), [1000, 1000, 1000]);
    assert_eq!(report.numbers("gid"), [1001, 1001, 1001]);
    assert_eq!(report.status("Uid"), "1000\t1000\t1000\t1000");
}

fn only_three_descriptors(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    let fds = report.0["fds"].as_object().unwrap();
    assert_eq!(fds.keys().collect::<Vec<_>>(), ["0", "1", "2"], "{fds:?}");
}

fn inherits_stderr(s: &mut Sandbox) {
    s.spec.args(&["/bin/ls", "/absent"]);
    assert!(s.run().exits(1).stderr.contains("/absent"));
}

fn lifecycle(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    assert_eq!(s.status(), "created");
    assert_eq!(s.output_text(), "", "the program must not run before start");
    s.start().ok();
    s.wait_output("ready");
    assert_eq!(s.status(), "running");
    s.kill("TERM").ok();
    assert_eq!(s.reap(), 15);
    assert_eq!(s.status(), "stopped");
    assert_eq!(s.state()["pid"], 0);
    s.delete().ok();
    s.call(&["state", &s.id]).run().fails(1, "does not exist");
}

fn no_network_but_loopback(s: &mut Sandbox) {
    let report = s.inspect(&["list:/sys/class/net"]);
    let names = &report.probe("list:/sys/class/net")["names"];
    assert_eq!(names, &serde_json::json!(["lo"]));
}

fn signals_are_default(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    for key in ["SigBlk", "SigIgn"] {
        let mask = u64::from_str_radix(report.status(key), 16).unwrap();
        // posix_spawn of the harness itself leaves glibc's own signals 32 and 33 ignored.
        assert_eq!(mask & 0x7fff_ffff, 0, "{key} is {mask:x}");
    }
}
