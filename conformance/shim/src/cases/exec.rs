//! Exec: further processes of a container.

use super::refused;
use crate::case::cases;
use crate::client::code;
use crate::container::Container;
use crate::fifo::Reader;
use crate::lab::Lab;
use crate::process;
use crate::task::{CREATED, RUNNING, STOPPED, Stdio, Task};
use serde_json::json;
use std::time::Duration;

cases!("exec":
    a_whole_life,
    exit_statuses,
    of_a_signal,
    the_same_id_twice,
    an_id_again_after_delete,
    before_start,
    after_the_end,
    a_program_that_is_not_there,
    a_broken_spec,
    start_twice,
    kill_after_the_end,
    kill_before_start,
    delete_while_running,
    delete_before_start,
    output_environment_and_user,
    all_at_once,
    pids_say_whose_they_are,
    ends_with_init,
    outlives_its_client,
);

/// Exec and Start.
#[track_caller]
fn run(task: &Task, container: &Container, exec: &str, arguments: &[&str]) -> i32 {
    let process = container.process(arguments);
    let added = task.exec(&container.id, exec, &process, &Stdio::default());
    added.unwrap_or_else(|status| panic!("Exec: {status}"));
    let started = task.start(&container.id, exec);
    started.unwrap_or_else(|status| panic!("Start: {status}"))
}

fn sleeping(lab: &Lab) -> (Container, Task) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    (container, task)
}

fn a_whole_life(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let id = &*container.id;
    let process = container.process(&["sleep", "100"]);
    task.exec(id, "e", &process, &Stdio::default())
        .expect("Exec");
    let state = task.state(id, "e").expect("State");
    assert_eq!((state.status, state.pid), (CREATED, 0));
    let pid = task.start(id, "e").expect("Start");
    let state = task.state(id, "e").expect("State");
    assert_eq!((state.status, state.pid), (RUNNING, pid));
    let wait = task.begin_wait(id, "e");
    assert!(wait.is_out());
    task.kill(id, "e", 15).expect("Kill");
    let end = wait.within(Duration::from_secs(5)).expect("Wait");
    assert_eq!(end.number(1), 143);
    let state = task.state(id, "e").expect("State");
    assert_eq!((state.status, state.exit_status), (STOPPED, 143));
    let end = task.delete(id, "e").expect("Delete");
    assert_eq!((end.pid, end.status), (pid, 143));
    refused(task.state(id, "e"), code::NOT_FOUND);
    assert_eq!(task.state(id, "").expect("State").status, RUNNING);
}

fn exit_statuses(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    for status in [0_u64, 1, 42, 255] {
        let line = format!("exit {status}");
        run(&task, &container, "e", &["sh", "-c", &line]);
        assert_eq!(task.wait(&container.id, "e").expect("Wait"), status);
        let end = task.delete(&container.id, "e").expect("Delete");
        assert_eq!(end.status, status);
    }
}

fn of_a_signal(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    run(&task, &container, "e", &["sh", "-c", "kill -9 $$"]);
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 137);
}

fn the_same_id_twice(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    run(&task, &container, "e", &["sleep", "100"]);
    let process = container.process(&["true"]);
    let again = task.exec(&container.id, "e", &process, &Stdio::default());
    refused(again, code::ALREADY_EXISTS);
    assert_eq!(
        task.state(&container.id, "e").expect("State").status,
        RUNNING
    );
}

fn an_id_again_after_delete(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    for _ in 0..3 {
        run(&task, &container, "e", &["true"]);
        assert_eq!(task.wait(&container.id, "e").expect("Wait"), 0);
        task.delete(&container.id, "e").expect("Delete");
    }
}

/// Allowed or not, the container can be started afterwards.
fn before_start(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.created(&container);
    let process = container.process(&["true"]);
    if let Err(status) = task.exec(&container.id, "e", &process, &Stdio::default()) {
        assert!(status.code < 100, "{status}");
    } else {
        match task.start(&container.id, "e") {
            Ok(_) => drop(task.wait(&container.id, "e").expect("Wait")),
            Err(status) => assert!(status.code < 100, "{status}"),
        }
    }
    task.start(&container.id, "").expect("Start");
    run(&task, &container, "later", &["true"]);
    assert_eq!(task.wait(&container.id, "later").expect("Wait"), 0);
}

fn after_the_end(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    let process = container.process(&["true"]);
    let added = task.exec(&container.id, "e", &process, &Stdio::default());
    let started = added.and_then(|()| task.start(&container.id, "e"));
    refused(started, code::FAILED_PRECONDITION);
}

fn a_program_that_is_not_there(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let process = container.process(&["/no/such/program"]);
    let added = task.exec(&container.id, "e", &process, &Stdio::default());
    let failed = added.and_then(|()| task.start(&container.id, "e"));
    let status = failed.expect_err("it cannot run");
    assert!(
        status.message.contains("/no/such/program")
            && status.message.contains("no such file or directory"),
        "{status}"
    );
    let _ = task.delete(&container.id, "e");
    run(&task, &container, "e", &["true"]);
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 0);
}

fn a_broken_spec(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let added = task.exec(&container.id, "e", &json!({"args": 7}), &Stdio::default());
    let failed = added.and_then(|()| task.start(&container.id, "e"));
    let status = failed.expect_err("it is no process");
    assert!(status.code < 100, "{status}");
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn start_twice(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    run(&task, &container, "e", &["sleep", "100"]);
    let status = task.start(&container.id, "e").expect_err("it runs");
    assert!(status.code < 100, "{status}");
    assert_eq!(
        task.state(&container.id, "e").expect("State").status,
        RUNNING
    );
}

fn kill_after_the_end(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    run(&task, &container, "e", &["true"]);
    task.wait(&container.id, "e").expect("Wait");
    let words = refused(task.kill(&container.id, "e", 9), code::NOT_FOUND);
    assert!(words.contains("process already finished"), "{words}");
}

fn kill_before_start(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let process = container.process(&["sleep", "100"]);
    task.exec(&container.id, "e", &process, &Stdio::default())
        .expect("Exec");
    // There is no process yet: whatever it says, init must not get the signal.
    let _ = task.kill(&container.id, "e", 9);
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn delete_while_running(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    run(&task, &container, "e", &["sleep", "100"]);
    let status = task.delete(&container.id, "e").expect_err("it runs");
    assert!(status.code < 100, "{status}");
    assert_eq!(
        task.state(&container.id, "e").expect("State").status,
        RUNNING
    );
}

fn delete_before_start(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let process = container.process(&["true"]);
    task.exec(&container.id, "e", &process, &Stdio::default())
        .expect("Exec");
    task.delete(&container.id, "e").expect("Delete");
    refused(task.state(&container.id, "e"), code::NOT_FOUND);
}

fn output_environment_and_user(lab: &mut Lab) {
    let (mut container, task) = sleeping(lab);
    let mut process = container.process(&["sh", "-c", "echo $WHO $(id -u):$(id -g) $PWD"]);
    process["env"] = json!(["PATH=/bin", "WHO=exec"]);
    process["cwd"] = json!("/tmp");
    process["user"] = json!({"uid": 12, "gid": 34});
    let (output, errors) = container.read_both();
    let stdio = container.stdio.clone();
    task.exec(&container.id, "e", &process, &stdio)
        .expect("Exec");
    task.start(&container.id, "e").expect("Start");
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 0);
    task.delete(&container.id, "e").expect("Delete");
    assert_eq!(output.text(), "exec 12:34 /tmp\n");
    assert_eq!(errors.text(), "");
}

fn all_at_once(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let threads: Vec<_> = (0..20_u64)
        .map(|status| {
            let (task, id) = (task.clone(), container.id.clone());
            let process = container.process(&["sh", "-c", &format!("exit {status}")]);
            std::thread::spawn(move || {
                let exec = format!("e{status}");
                task.exec(&id, &exec, &process, &Stdio::default())?;
                task.start(&id, &exec)?;
                let seen = task.wait(&id, &exec)?;
                task.delete(&id, &exec)?;
                Ok::<_, crate::client::Status>((status, seen))
            })
        })
        .collect();
    for thread in threads {
        let (expected, seen) = thread.join().expect("it does not panic").expect("an exec");
        assert_eq!(expected, seen);
    }
}

fn pids_say_whose_they_are(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let init = task.state(&container.id, "").expect("State").pid;
    let exec = run(&task, &container, "e", &["sleep", "100"]);
    let pids = task.pids(&container.id).expect("Pids");
    assert!(
        pids.iter()
            .any(|(pid, info)| *pid == init && info.as_deref() != Some("e")),
        "{pids:?}"
    );
    assert!(pids.contains(&(exec, Some("e".to_owned()))), "{pids:?}");
    assert_eq!(pids.len(), 2, "{pids:?}");
}

fn ends_with_init(lab: &mut Lab) {
    let (container, task) = sleeping(lab);
    let pid = run(&task, &container, "e", &["sleep", "100"]);
    task.kill(&container.id, "", 9).expect("Kill");
    assert_eq!(task.wait(&container.id, "e").expect("Wait"), 137);
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 137);
    assert!(!process::is_alive(pid));
}

fn outlives_its_client(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    container.write();
    let socket = lab.start_socket(&container);
    let first = lab.connect(&socket);
    lab.create(&first, &container);
    first.start(&container.id, "").expect("Start");
    let mut other = lab.container("unused", &["true"]);
    let output: Reader = other.read_stdout();
    let process = container.process(&["sh", "-c", "sleep 0.5; echo late; exit 3"]);
    first
        .exec(&container.id, "e", &process, &other.stdio)
        .expect("Exec");
    first.start(&container.id, "e").expect("Start");
    drop(first);
    let second = lab.connect(&socket);
    assert_eq!(second.wait(&container.id, "e").expect("Wait"), 3);
    assert_eq!(output.text(), "late\n");
}
