//! Scheduler, io priority, affinity, personality and memory policy.

use crate::case::{cases, skip};
use crate::sandbox::Sandbox;
use serde_json::json;

cases!("scheduling":
    scheduler_batch, scheduler_fifo, scheduler_nice, scheduler_reset_on_fork, scheduler_bad_policy, io_priority, exec_cpu_affinity, personality, personality_bad, memory_policy, memory_policy_bad,
);

fn scheduler_batch(s: &mut Sandbox) {
    s.spec.set(
        "process.scheduler",
        json!({"policy": "SCHED_BATCH", "nice": 5}),
    );
    let report = s.inspect(&[]);
    assert_eq!(
        (
            &report.0["scheduler"]["policy"],
            &report.0["scheduler"]["nice"]
        ),
        (&json!(3), &json!(5))
    );
}

fn scheduler_nice(s: &mut Sandbox) {
    s.spec.set(
        "process.scheduler",
        json!({"policy": "SCHED_OTHER", "nice": -5}),
    );
    assert_eq!(s.inspect(&[]).0["scheduler"]["nice"], -5);
}

fn scheduler_fifo(s: &mut Sandbox) {
    s.spec
        .set(
            "process.scheduler",
            json!({"policy": "SCHED_FIFO", "priority": 7}),
        )
        .set("linux.resources.cpu.realtimeRuntime", 1000)
        .set("linux.resources.cpu.realtimePeriod", 1_000_000);
    let root = std::fs::read_to_string("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").unwrap_or_default();
    if root.trim().parse::<i64>().unwrap_or(0) < 1000 {
        skip("the root group has no real-time budget to share");
    }
    let report = s.inspect(&[]);
    assert_eq!(
        (
            &report.0["scheduler"]["policy"],
            &report.0["scheduler"]["priority"]
        ),
        (&json!(1), &json!(7))
    );
}

fn scheduler_reset_on_fork(s: &mut Sandbox) {
    s.spec.set(
        "process.scheduler",
        json!({"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}),
    );
    let report = s.inspect(&[]);
    assert_eq!(report.0["scheduler"]["policy"], 5);
    assert_eq!(report.0["scheduler"]["flags"].as_i64().unwrap() & 1, 1);
}

fn scheduler_bad_policy(s: &mut Sandbox) {
    s.spec
        .set("process.scheduler", json!({"policy": "SCHED_FROB"}));
    s.run().fails_somehow().exits(1);
}

fn io_priority(s: &mut Sandbox) {
    for (class, number) in [
        ("IOPRIO_CLASS_BE", 2),
        ("IOPRIO_CLASS_IDLE", 3),
        ("IOPRIO_CLASS_RT", 1),
    ] {
        s.spec
            .set("process.ioPriority", json!({"class": class, "priority": 4}));
        let report = s.inspect(&[]);
        assert_eq!(
            (report.number("ioprio_class"), report.number("ioprio_level")),
            (number, 4),
            "{class}"
        );
    }
}

fn exec_cpu_affinity(s: &mut Sandbox) {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        skip("one CPU only");
    }
    s.spec.set(
        "process.execCPUAffinity",
        json!({"initial": "0", "final": "1"}),
    );
    s.start_waiting();
    assert_eq!(s.exec_inspect(&[], &[]).numbers("affinity"), [1]);
    s.stop();
}

fn personality(s: &mut Sandbox) {
    s.spec
        .set("linux.personality", json!({"domain": "LINUX32"}));
    let report = s.inspect(&[]);
    assert_eq!(report.number("personality"), 8);
    assert_eq!(report.text("machine"), "i686");
    s.spec.set("linux.personality", json!({"domain": "LINUX"}));
    assert_eq!(s.inspect(&[]).number("personality"), 0);
}

fn personality_bad(s: &mut Sandbox) {
    s.spec.set("linux.personality", json!({"domain": "MINIX"}));
    s.run().fails_somehow().exits(1);
}

fn memory_policy(s: &mut Sandbox) {
    s.spec.set(
        "linux.memoryPolicy",
        json!({"mode": "MPOL_BIND", "nodes": "0"}),
    );
    let report = s.inspect(&[]);
    assert_eq!(
        (
            report.number("mempolicy") & 0xff,
            report.number("mempolicy_nodes")
        ),
        (2, 1)
    );
}

fn memory_policy_bad(s: &mut Sandbox) {
    s.spec.set(
        "linux.memoryPolicy",
        json!({"mode": "MPOL_FROB", "nodes": "0"}),
    );
    s.run().fails_somehow().exits(1);
}
