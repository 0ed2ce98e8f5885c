//! The seccomp notification listener, served by a real agent.

use crate::case::cases;
use crate::process;
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

cases!("seccomp-notify":
    notify, notify_without_listener, notify_on_write_refused, notify_metadata,
);

/// getpgid(2), x86_64.
const GETPGID: u32 = 121;

fn profile(s: &mut Sandbox, default: &str, rules: Value) {
    s.spec.set(
        "linux.seccomp",
        json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules}),
    );
}

/// The inspector on the host as listening agent; killed when dropped.
struct Agent(std::process::Child);

impl Agent {
    fn start(s: &Sandbox, socket: &str, count: u32) -> Self {
        let out = std::fs::File::create(s.path("agent.out")).unwrap();
        let child = Command::new(s.rootfs.join("inspect"))
            .args(["seccomp-agent", socket, &count.to_string()])
            .stdin(Stdio::null())
            .stdout(out)
            .spawn()
            .unwrap();
        let agent = Self(child);
        assert!(process::eventually(Duration::from_secs(5), || {
            std::path::Path::new(socket).exists()
        }));
        agent
    }

    fn answer(mut self, s: &Sandbox) -> Value {
        assert!(
            process::wait_child(&mut self.0, Duration::from_secs(5)).is_some(),
            "the agent still waits"
        );
        serde_json::from_str(&std::fs::read_to_string(s.path("agent.out")).unwrap()).unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn notify(s: &mut Sandbox) {
    let socket = s.path("agent.sock");
    let agent = Agent::start(s, &socket, 1);
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]),
    );
    s.spec
        .set("linux.seccomp.listenerPath", socket)
        .args(&["/inspect", "probe", "syscall:121,0"]);
    let report = crate::inspect::Report::parse(&s.run().ok().stdout);
    assert_eq!(
        report.probe("syscall:121,0")["value"],
        4242,
        "the agent's answer"
    );
    let answer = agent.answer(s);
    assert_eq!(answer["notifications"], json!([GETPGID]));
    let state: Value = serde_json::from_str(answer["state"].as_str().unwrap()).unwrap();
    assert_eq!(state["fds"], json!(["seccompFd"]));
    assert!(state["pid"].as_i64().unwrap() > 1, "{state}");
    assert_eq!(
        (&state["state"]["id"], &state["state"]["status"]),
        (&json!(s.id), &json!("creating"))
    );
}

fn notify_metadata(s: &mut Sandbox) {
    let socket = s.path("agent.sock");
    let agent = Agent::start(s, &socket, 1);
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]),
    );
    s.spec
        .set("linux.seccomp.listenerPath", socket)
        .set("linux.seccomp.listenerMetadata", "opaque text")
        .args(&["/inspect", "probe", "syscall:121,0"]);
    s.run().ok();
    let answer = agent.answer(s);
    let state: Value = serde_json::from_str(answer["state"].as_str().unwrap()).unwrap();
    assert_eq!(state["metadata"], "opaque text");
}

fn notify_without_listener(s: &mut Sandbox) {
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]),
    );
    s.run().fails_somehow().exits(1);
    s.spec
        .set("linux.seccomp.listenerPath", "/nonexistent/agent.sock");
    s.run().fails_somehow().exits(1);
}

fn notify_on_write_refused(s: &mut Sandbox) {
    let socket = s.path("agent.sock");
    let _agent = Agent::start(s, &socket, 1);
    profile(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["write"], "action": "SCMP_ACT_NOTIFY"}]),
    );
    s.spec.set("linux.seccomp.listenerPath", socket);
    s.run().fails_somehow().exits(1);
}
