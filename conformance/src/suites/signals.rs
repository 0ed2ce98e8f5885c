//! kill: signal names and numbers, --all, and what a dead container answers.

use crate::case::cases;
use crate::process;
use crate::sandbox::Sandbox;
use std::time::Duration;

cases!("kill":
    default_is_term, by_number, by_name, by_name_with_prefix, any_case, real_time, stopped_one, stopped_one_all,
    all_reaches_every_process, all_without_pid_namespace, kill_without_pid_namespace, created_one, paused_one,
    out_of_range, zero_probes, kill_races_with_the_end, stop_signal_winch, after_host_killed_init,
);

fn default_is_term(s: &mut Sandbox) {
    s.start_waiting();
    s.call(&["kill", &s.id]).run().ok();
    assert_eq!(s.reap(), 15);
}

fn by_number(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("10").ok();
    assert_eq!(s.reap(), 10);
}

fn by_name(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("HUP").ok();
    assert_eq!(s.reap(), 1);
}

fn by_name_with_prefix(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("SIGUSR2").ok();
    assert_eq!(s.reap(), 12);
}

fn any_case(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("sigint").ok();
    assert_eq!(s.reap(), 2);
}

fn real_time(s: &mut Sandbox) {
    s.spec.without_namespace("pid").args(&["/inspect", "wait"]);
    s.start_program(&["/inspect", "wait"]);
    s.kill("36").ok();
    assert_eq!(s.reap(), 128 + 36);
}

fn stopped_one(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    s.reap();
    s.kill("TERM").fails(1, "container not running");
    s.kill("0").fails(1, "container not running");
}

fn stopped_one_all(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    s.reap();
    s.call(&["kill", "--all", &s.id, "KILL"]).run().ok();
}

fn all_reaches_every_process(s: &mut Sandbox) {
    s.start_program(&["/inspect", "spawn", "3", "setsid"]);
    s.call(&["kill", "-a", &s.id, "KILL"]).run().ok();
    assert_eq!(s.reap(), 137);
    assert!(s.group_empties());
}

fn all_without_pid_namespace(s: &mut Sandbox) {
    s.spec.without_namespace("pid");
    s.start_program(&["/inspect", "spawn", "3", "setsid"]);
    s.call(&["kill", "--all", &s.id, "9"]).run().ok();
    assert_eq!(s.reap(), 137);
    assert!(s.group_empties());
    s.delete().ok();
}

fn kill_without_pid_namespace(s: &mut Sandbox) {
    // Nobody ends the children of a container without a pid namespace but `delete`.
    s.spec.without_namespace("pid");
    s.start_program(&["/inspect", "spawn", "2", "setsid"]);
    s.kill("TERM").ok();
    assert_eq!(s.reap(), 15);
    s.call(&["delete", "--force", &s.id]).run().ok();
    assert!(process::eventually(Duration::from_secs(3), || {
        process::reap_all();
        process::descendants(std::process::id() as i32).is_empty()
    }));
}

fn created_one(s: &mut Sandbox) {
    s.create();
    s.kill("KILL").ok();
    assert_eq!(s.reap(), 137);
}

fn paused_one(s: &mut Sandbox) {
    s.start_waiting();
    s.call(&["pause", &s.id]).run().ok();
    s.kill("KILL").ok();
    // v1: a frozen process dies only when thawed; the runtime has to do that for KILL.
    assert_eq!(s.reap(), 137);
    s.delete().ok();
}

fn out_of_range(s: &mut Sandbox) {
    s.start_waiting();
    for signal in ["65", "-1", "999", "9x"] {
        assert_eq!(s.kill(signal).code, 1, "signal {signal:?}");
    }
    assert_eq!(s.status(), "running");
    s.stop();
}

fn zero_probes(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("0").ok();
    assert_eq!(s.status(), "running");
    s.stop();
}

fn kill_races_with_the_end(s: &mut Sandbox) {
    for _ in 0..5 {
        s.spec.args(&["/bin/true"]);
        s.create();
        s.start().ok();
        let output = s.kill("TERM");
        assert!(
            output.code == 0 || output.stderr.contains("not running"),
            "{}",
            output.stderr
        );
        s.reap();
        s.delete().ok();
    }
}

fn stop_signal_winch(s: &mut Sandbox) {
    s.start_waiting();
    s.kill("WINCH").ok();
    s.kill("RTMIN+3");
    s.kill("QUIT").ok();
    assert!(
        matches!(s.reap(), 3 | 37),
        "SIGQUIT, or the real-time signal where names of those are known"
    );
}

fn after_host_killed_init(s: &mut Sandbox) {
    s.start_waiting();
    process::kill(s.pid(), rustix::process::Signal::KILL);
    assert_eq!(s.reap(), 137);
    assert_eq!(s.status(), "stopped");
    s.kill("TERM").fails(1, "container not running");
    s.delete().ok();
}
