//! Pause, Resume, Update, Stats, Pids, Checkpoint.

use super::refused;
use crate::case::{cases, skip};
use crate::client::code;
use crate::lab::Lab;
use crate::process;
use crate::task::{PAUSED, RUNNING, Stdio};
use crate::wire::Message;
use serde_json::json;
use std::fs;
use std::time::Duration;

cases!("resources":
    pause_and_resume,
    pause_before_start,
    pause_twice,
    a_paused_one_is_killed,
    exec_in_a_paused_one,
    pids,
    pids_after_the_end,
    update_of_pids,
    update_of_memory,
    update_with_garbage,
    stats,
    stats_after_the_end,
    checkpoint_is_unimplemented,
);

fn pause_and_resume(lab: &mut Lab) {
    let line = "while :; do echo tick; usleep 20000; done";
    let mut container = lab.container("", &["sh", "-c", line]);
    let output = container.read_stdout();
    let task = lab.started(&container);
    let id = &*container.id;
    output.await_word("tick");
    task.pause(id).expect("Pause");
    assert_eq!(task.state(id, "").expect("State").status, PAUSED);
    std::thread::sleep(Duration::from_millis(200));
    let before = output.count();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(output.count(), before, "it runs while it is paused");
    task.resume(id).expect("Resume");
    assert_eq!(task.state(id, "").expect("State").status, RUNNING);
    assert!(process::eventually(Duration::from_secs(3), || output
        .count()
        > before));
    lab.events.await_event(&format!("TaskPaused {id}"));
    lab.events.await_event(&format!("TaskResumed {id}"));
}

/// Whatever it says, the container is neither lost nor stuck.
fn pause_before_start(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.created(&container);
    if task.pause(&container.id).is_ok() {
        task.resume(&container.id).expect("Resume");
    }
    task.start(&container.id, "").expect("Start");
}

fn pause_twice(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    task.pause(&container.id).expect("Pause");
    // An error or not.
    let _ = task.pause(&container.id);
    assert_eq!(task.state(&container.id, "").expect("State").status, PAUSED);
    task.resume(&container.id).expect("Resume");
    let status = task.resume(&container.id);
    assert!(status.is_ok() || status.is_err_and(|status| status.code < 100));
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

/// containerd resumes before it kills, but a second client may not; resumed, it must be dead.
fn a_paused_one_is_killed(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    task.pause(&container.id).expect("Pause");
    let wait = task.begin_wait(&container.id, "");
    task.kill(&container.id, "", 9).expect("Kill");
    // On v1 the signal waits for the thaw, unless the shim thaws it.
    let _ = task.resume(&container.id);
    let end = wait.within(Duration::from_secs(5)).expect("Wait");
    assert_eq!(end.number(1), 137);
}

fn exec_in_a_paused_one(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    task.pause(&container.id).expect("Pause");
    let process = container.process(&["true"]);
    let added = task.exec(&container.id, "e", &process, &Stdio::default());
    let started = added.and_then(|()| task.start(&container.id, "e"));
    let status = started.expect_err("it would hang");
    assert!(status.code < 100, "{status}");
    assert_eq!(task.state(&container.id, "").expect("State").status, PAUSED);
}

fn pids(lab: &mut Lab) {
    let mut container = lab.container(
        "",
        &["sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"],
    );
    let output = container.read_stdout();
    let task = lab.started(&container);
    output.await_word("ready");
    let pids = task.pids(&container.id).expect("Pids");
    assert_eq!(pids.len(), 3, "{pids:?}");
    let init = task.state(&container.id, "").expect("State").pid;
    assert!(pids.iter().any(|(pid, _)| *pid == init), "{pids:?}");
    assert!(pids.iter().all(|(pid, _)| process::is_alive(*pid)));
}

fn pids_after_the_end(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    // An end that containerd has not been told of may still have its process.
    let mut last = None;
    let empty = process::eventually(Duration::from_secs(2), || {
        let answer = task.pids(&container.id);
        let empty = match &answer {
            Ok(pids) => pids.is_empty(),
            Err(status) => status.code < 100,
        };
        last = Some(answer);
        empty
    });
    assert!(empty, "{last:?}");
}

/// The first of the files that is there.
fn limit(container: &crate::container::Container, controller: &str, names: &[&str]) -> String {
    let Some(group) = container.cgroup(controller) else {
        skip(format!("no cgroup of {controller} here"));
    };
    let found = names
        .iter()
        .find_map(|name| fs::read_to_string(group.join(name)).ok());
    found
        .unwrap_or_else(|| skip(format!("{} has none of {names:?}", group.display())))
        .trim()
        .to_owned()
}

fn update_of_pids(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    for number in [17, 23] {
        task.update(&container.id, &json!({"pids": {"limit": number}}))
            .expect("Update");
        assert_eq!(limit(&container, "pids", &["pids.max"]), number.to_string());
    }
}

fn update_of_memory(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let bytes = 64_u64 << 20;
    task.update(&container.id, &json!({"memory": {"limit": bytes}}))
        .expect("Update");
    let seen = limit(
        &container,
        "memory",
        &["memory.limit_in_bytes", "memory.max"],
    );
    assert_eq!(seen, bytes.to_string());
}

fn update_with_garbage(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let status = task
        .update(&container.id, &json!({"pids": {"limit": "many"}}))
        .expect_err("it is no number");
    assert!(status.code < 100, "{status}");
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn stats(lab: &mut Lab) {
    let mut container = lab.container(
        "",
        &[
            "sh",
            "-c",
            "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 100 & echo ready; wait",
        ],
    );
    let output = container.read_stdout();
    let task = lab.started(&container);
    output.await_word("ready");
    let (kind, metrics) = task.stats(&container.id).expect("Stats");
    let (pids, memory, cpu) = match kind.as_str() {
        "io.containerd.cgroups.v1.Metrics" => (
            metrics.message(2).number(1),
            metrics.message(4).message(33).number(2),
            metrics.message(3).message(1).number(1),
        ),
        "io.containerd.cgroups.v2.Metrics" => (
            metrics.message(1).number(1),
            metrics.message(4).number(32),
            metrics.message(2).number(1),
        ),
        other => panic!("no metrics that containerd knows: {other}"),
    };
    assert_eq!(pids, 2, "the shell and its sleep");
    assert!((50_000..64 << 20).contains(&memory), "memory {memory}");
    assert!(cpu > 0, "it has used the processor");
}

/// containerd asks without looking first.
fn stats_after_the_end(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    if let Err(status) = task.stats(&container.id) {
        assert!(status.code < 100, "{status}");
    }
    task.delete(&container.id, "").expect("Delete");
    refused(task.stats(&container.id), code::NOT_FOUND);
}

fn checkpoint_is_unimplemented(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let path = lab.directory().join("checkpoint");
    let request = Message::new()
        .text(1, &container.id)
        .text(2, &path.to_string_lossy());
    refused(task.call("Checkpoint", request), code::UNIMPLEMENTED);
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}
