//! What the tests on this kernel share: names, programs, and running a decision.
#![allow(dead_code)] // each test program uses its part
#![allow(missing_docs)] // internal to the tests
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tare_cgroup::{Cgroup, Decision, Executor, Layout, Manager, Mode, Request, decide};
use tare_oci::Resources;

/// A name that no other test has, with removal of whatever is left under it.
pub struct Name(pub String);

impl Name {
    pub fn new() -> Name {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Name(format!(
            "/tare-test-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ))
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let layout = Layout::detect().unwrap();
        let paths = layout
            .v1
            .iter()
            .chain(&layout.unified)
            .map(|hierarchy| format!("{}{}", hierarchy.mount, self.0));
        let cgroup = cgroup(
            paths
                .enumerate()
                .map(|(at, path)| (format!("x{at}"), path))
                .collect(),
        );
        let _ = cgroup.destroy();
    }
}

pub fn cgroup(paths: BTreeMap<String, String>) -> Cgroup {
    Cgroup::open(tare_cgroup::Saved {
        paths,
        ..Default::default()
    })
}

/// A child that is killed and reaped with its scope.
pub struct Program(pub Child);

impl Program {
    pub fn start(script: &str) -> Program {
        let child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Program(child)
    }

    pub fn pid(&self) -> i32 {
        self.0.id() as i32
    }

    /// Lets a program that waits for a line go on.
    pub fn go(&mut self) {
        drop(self.0.stdin.take());
    }

    pub fn status(&mut self) -> std::process::ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn resources(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

pub fn decision(layout: &Layout, path: &str, resources: &Resources) -> Decision {
    decide(
        layout,
        &Request {
            path,
            id: "test",
            resources: Some(resources),
            ..Request::default()
        },
    )
    .unwrap()
}

pub fn prepare(decision: &Decision) -> Executor {
    let mut executor = Executor::new();
    for step in &decision.prepare {
        executor
            .run(step, None)
            .unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    executor
}

pub fn place(mut executor: Executor, decision: &Decision, pid: i32) -> Cgroup {
    for step in &decision.place {
        executor
            .run(step, Some(pid))
            .unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    executor.commit(decision, Manager::Cgroupfs)
}

pub fn read(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    let path = format!("{}/{file}", cgroup.saved().paths[controller]);
    fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{path}: {error}"))
        .trim()
        .to_string()
}

/// Only the v2 mount of a hybrid host, as if it were all there is.
pub fn unified_only() -> Layout {
    let mut layout = Layout::detect().unwrap();
    assert!(
        layout.unified.is_some(),
        "these tests need a cgroup v2 mount"
    );
    layout.v1.clear();
    layout.mode = Mode::V2;
    layout
}

pub const DOCKER: &str = r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":5,"minor":1,"access":"rwm"}],
    "memory":{"limit":268435456},"cpu":{"shares":512,"quota":50000,"period":100000},"pids":{"limit":100}}"#;

pub fn wait_for(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "not in 10 seconds");
        std::thread::sleep(Duration::from_millis(2));
    }
}
