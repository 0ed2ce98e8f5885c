//! CVE-2016-9962 (runc), CVE-2016-8649 (LXC): what joins a container can be traced by it, and has the host's descriptors.
//!
//! The hunter has CAP_SYS_PTRACE in a user namespace of its own. The same capability of the initial user namespace passes by
//! dumpability, in every runtime, so what it finds in a process that waits for start must be nothing of the host's.

use crate::case::harm;
use crate::inspect::Report;
use crate::sandbox::{Container, Sandbox};
use crate::suites::namespaces::userns_of;
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::time::Duration;

super::attacks!(["CVE-2016-9962", "CVE-2016-8649"];
    exec_is_hunted without "dumpable",
    waiting_for_start_is_looked_at_by_an_exec without "dumpable",
    waiting_for_start_is_looked_at_by_a_neighbour without "dumpable",
    waiting_for_start_holds_nothing_of_the_host without "close-fds",
    waiting_for_start_holds_nothing_in_a_user_namespace without "close-fds",
);

const HUNTER: [&str; 5] = ["CAP_SYS_PTRACE", "CAP_KILL", "CAP_SETUID", "CAP_SETGID", "CAP_DAC_READ_SEARCH"];

fn exec_is_hunted(s: &mut Sandbox) {
    userns_of(s, 100_000, 65536);
    s.spec.capabilities(&HUNTER);
    s.start_program(&["/inspect", "hunt"]);
    for _ in 0..(s.environment.starts * 4).min(200) {
        // A hunter that got hold of it may let it hang or die.
        let running = s.exec_call(&[], &["/bin/true"]).spawn();
        let pid = running.pid();
        crate::process::eventually(Duration::from_secs(5), || !crate::process::is_alive(pid));
        drop(running);
        caught(s);
    }
    crate::process::kill(s.pid(), Signal::TERM);
    s.reap();
    caught(s);
    s.delete().ok();
}

fn caught(s: &Sandbox) {
    let text = s.output_text();
    let prey = text
        .lines()
        .find(|line| line.starts_with("traced") || line.starts_with("listed"));
    if let Some(prey) = prey {
        harm(format!("the container got at what joins it: {prey}"));
    }
}

/// What `looker` learns of process `pid`, from a process inside.
fn looks(looker: &Container, pid: &str) {
    // The numbers of its descriptors may be listed by the owner of /proc; what they are may not be told.
    let mut probes: Vec<String> = (0..32).map(|n| format!("stat:/proc/{pid}/fd/{n}")).collect();
    for name in ["root/", "cwd/", "exe"] {
        probes.push(format!("stat:/proc/{pid}/{name}"));
    }
    for name in ["mem", "exe", "maps", "environ", "ns/mnt"] {
        probes.push(format!("open:/proc/{pid}/{name}"));
    }
    let asked: Vec<&str> = probes.iter().map(String::as_str).collect();
    let output = looker.exec(&[&["/inspect", "probe"][..], &asked].concat());
    let report = Report::parse(&output.ok().stdout);
    for probe in asked {
        if report.errno(probe) == 0 {
            harm(format!("a process that waits for start: {}", report.probe(probe)));
        }
    }
}

fn waiting_for_start_is_looked_at_by_an_exec(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    looks(s, "1");
    s.start().ok();
    s.stop();
}

/// Whoever may trace may look at what waits for start: then there must be nothing to find but pipes and sockets.
fn holds_nothing(s: &mut Sandbox) {
    s.spec
        .capabilities(&HUNTER)
        .set("linux.maskedPaths", json!(["/etc/hosts", "/var/data"]))
        .args(&["/inspect", "wait"]);
    s.create();
    let probes: Vec<String> = (3..64).map(|n| format!("stat:/proc/1/fd/{n}")).collect();
    let asked: Vec<&str> = probes.iter().map(String::as_str).collect();
    let output = s.exec(&[&["/inspect", "probe"][..], &asked].concat());
    let report = Report::parse(&output.ok().stdout);
    for probe in asked {
        let kind = report.probe(probe)["kind"].as_i64().unwrap_or_default();
        if [DIRECTORY, REGULAR, BLOCK].contains(&kind) {
            harm(format!("open while it waits for start: {}", report.probe(probe)));
        }
    }
    s.start().ok();
    s.stop();
}

const DIRECTORY: i64 = 0o040_000;
const REGULAR: i64 = 0o100_000;
const BLOCK: i64 = 0o060_000;

fn waiting_for_start_holds_nothing_of_the_host(s: &mut Sandbox) {
    holds_nothing(s);
}

fn waiting_for_start_holds_nothing_in_a_user_namespace(s: &mut Sandbox) {
    userns_of(s, 100_000, 65536);
    holds_nothing(s);
}

fn waiting_for_start_is_looked_at_by_a_neighbour(s: &mut Sandbox) {
    // Containers of one pod may share the namespace of processes.
    s.start_waiting();
    let mut victim = s.sibling("victim");
    victim
        .spec
        .namespace("pid", Some(&format!("/proc/{}/ns/pid", s.pid())))
        .args(&["/inspect", "wait"]);
    victim.create();
    looks(s, &inner_pid(victim.pid()));
    victim.start().ok();
    victim.stop();
    s.stop();
}

/// The pid that a process has in its own namespace.
pub fn inner_pid(pid: i32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find(|line| line.starts_with("NSpid:"));
    let inner = line.and_then(|line| line.split_whitespace().last());
    inner.expect("the kernel tells it").to_owned()
}
