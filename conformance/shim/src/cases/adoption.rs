//! A shim that was killed, and `start` for a bundle that it has left: the next server takes over what still runs.

use super::kill_shim;
use crate::case::cases;
use crate::container::Container;
use crate::lab::Lab;
use crate::process;
use crate::task::{CREATED, PAUSED, RUNNING, STOPPED, Stdio, Task};
use rustix::process::Signal;
use std::time::Duration;

cases!("adoption":
    of_a_running_container,
    of_a_created_one,
    of_a_paused_one,
    of_one_that_ended_meanwhile,
    of_a_whole_pod,
    of_nothing,
);

/// Linux keeps how a process ended for whoever has a descriptor of it since 6.15.
fn is_kept() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release
        .split(['.', '-'])
        .map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 15)
}

/// Of the container, in the new shim.
#[track_caller]
fn status(task: &Task, container: &Container) -> u64 {
    task.state(&container.id, "").expect("State").status
}

fn of_a_running_container(lab: &mut Lab) {
    let script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.02; done";
    let mut container = lab.container("", &["sh", "-c", script]);
    let output = container.read_stdout();
    let task = lab.started(&container);
    output.await_word("up");
    let before = task.state(&container.id, "").expect("State");
    kill_shim(&task);
    let task = lab.start(&container);
    let after = task.state(&container.id, "").expect("State");
    assert_eq!((after.status, after.pid), (RUNNING, before.pid));
    assert_eq!(after.stdout, before.stdout);
    let spec = container.process(&["true"]);
    task.exec(&container.id, "e", &spec, &Stdio::default())
        .expect("Exec");
    task.start(&container.id, "e").expect("Start");
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 0);
    task.delete(&container.id, "e").expect("Delete");
    task.kill(&container.id, "", 15).expect("Kill");
    output.await_word("bye");
    task.wait(&container.id, "").expect("Wait");
    let end = task.delete(&container.id, "").expect("Delete");
    assert_eq!(end.status, if is_kept() { 7 } else { 255 });
    assert_eq!(end.pid, before.pid);
}

fn of_a_created_one(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.created(&container);
    kill_shim(&task);
    let task = lab.start(&container);
    assert_eq!(status(&task, &container), CREATED);
    task.start(&container.id, "").expect("Start");
    assert_eq!(status(&task, &container), RUNNING);
}

fn of_a_paused_one(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    task.pause(&container.id).expect("Pause");
    kill_shim(&task);
    let task = lab.start(&container);
    assert_eq!(status(&task, &container), PAUSED);
    task.resume(&container.id).expect("Resume");
    assert_eq!(status(&task, &container), RUNNING);
}

/// Nobody knows how.
fn of_one_that_ended_meanwhile(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let pid = task.state(&container.id, "").expect("State").pid;
    kill_shim(&task);
    process::kill(pid, Signal::KILL);
    assert!(process::eventually(Duration::from_secs(2), || {
        !process::is_alive(pid)
    }));
    let task = lab.start(&container);
    assert_eq!(status(&task, &container), STOPPED);
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 255);
    assert_eq!(task.delete(&container.id, "").expect("Delete").status, 255);
}

/// By one `start`: they shared their shim.
fn of_a_whole_pod(lab: &mut Lab) {
    let pod = ["a", "b"].map(|name| {
        let container = lab.container(name, &["sleep", "1000"]);
        container.in_group(&lab.namespace)
    });
    pod.iter().for_each(Container::write);
    let task = lab.start(&pod[0]);
    let _ = lab.start_socket(&pod[1]);
    for container in &pod {
        lab.create(&task, container);
        task.start(&container.id, "").expect("Start");
    }
    kill_shim(&task);
    let task = lab.start(&pod[1]);
    for container in &pod {
        assert_eq!(status(&task, container), RUNNING);
    }
}

/// A bundle of which no server has made anything.
fn of_nothing(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let task = lab.start(&container);
    kill_shim(&task);
    let task = lab.start(&container);
    let none = task.state(&container.id, "").expect_err("nothing is there");
    assert_eq!(none.code, crate::client::code::NOT_FOUND);
}
