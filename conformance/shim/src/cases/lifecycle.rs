//! Create, Start, State, Wait, Kill, Delete, Connect, Shutdown: what containerd asks of every container.

use super::refused;
use crate::case::cases;
use crate::client::code;
use crate::lab::Lab;
use crate::process;
use crate::reaper;
use crate::task::{CREATED, RUNNING, STOPPED, Stdio};
use crate::wire::Message;
use rustix::process::Signal;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

cases!("lifecycle":
    a_whole_life,
    exit_status_of_a_program,
    exit_status_of_a_signal,
    a_program_that_is_not_there,
    create_twice,
    create_again_after_delete,
    create_without_a_bundle,
    create_with_a_broken_config,
    unknown_ids,
    start_twice,
    delete_while_running,
    delete_before_start,
    delete_twice,
    kill_with_each_signal,
    kill_before_start,
    kill_after_the_end,
    kill_all,
    wait_before_start,
    wait_after_the_end,
    waits_do_not_block,
    two_connections,
    connect,
    init_pid_file,
    shutdown_with_containers,
    shutdown_without_containers,
    fifty_lives_in_one_shim,
    kill_is_answered_before_delete,
);

fn a_whole_life(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let id = &*container.id;
    container.write();
    let task = lab.start(&container);
    let pid = lab.create(&task, &container);
    let state = task.state(id, "").expect("State");
    assert_eq!((state.status, state.pid), (CREATED, pid));
    assert_eq!(state.bundle, container.bundle.to_string_lossy());
    assert!(!state.exited && state.exec_id.is_empty() && !state.terminal);
    assert_eq!(task.start(id, "").expect("Start"), pid);
    assert_eq!(task.state(id, "").expect("State").status, RUNNING);
    let wait = task.begin_wait(id, "");
    assert!(wait.is_out(), "Wait answered while the program runs");
    task.kill(id, "", 15).expect("Kill");
    // A sleep that is init of its pid namespace does not die of SIGTERM.
    task.kill(id, "", 9).expect("Kill");
    let end = wait.within(Duration::from_secs(5)).expect("Wait");
    assert_eq!(end.number(1), 137);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("the clock is set").as_secs();
    assert!(now.abs_diff(end.message(2).number(1)) < 60, "exited_at");
    let state = task.state(id, "").expect("State");
    assert_eq!((state.status, state.exit_status), (STOPPED, 137));
    assert!(state.exited);
    let end = task.delete(id, "").expect("Delete");
    assert_eq!((end.pid, end.status), (pid, 137));
    refused(task.state(id, ""), code::NOT_FOUND);
}

fn exit_status_of_a_program(lab: &mut Lab) {
    for status in [0_u64, 1, 3, 126, 255] {
        let line = format!("exit {status}");
        let container = lab.container(&status.to_string(), &["sh", "-c", &line]);
        let task = lab.started(&container);
        assert_eq!(task.wait(&container.id, "").expect("Wait"), status);
        let end = task.delete(&container.id, "").expect("Delete");
        assert_eq!(end.status, status);
    }
}

fn exit_status_of_a_signal(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    process::kill(
        task.state(&container.id, "").expect("State").pid,
        rustix::process::Signal::KILL,
    );
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 137);
}

/// Create or Start says so, in words that callers look for; afterwards the shim serves on.
fn a_program_that_is_not_there(lab: &mut Lab) {
    let container = lab.container("", &["/no/such/program"]);
    container.write();
    let task = lab.start(&container);
    let created = task.create(
        &container.id,
        &container.bundle,
        &[],
        &Stdio::default(),
        lab.runc_options(),
    );
    let failed = match created {
        Ok(_) => task.start(&container.id, ""),
        Err(status) => Err(status),
    };
    let status = failed.expect_err("it cannot run");
    assert!(
        status.message.contains("/no/such/program")
            && status.message.contains("no such file or directory"),
        "{status}"
    );
    let _ = task.delete(&container.id, "");
    let good = lab.container("good", &["true"]);
    good.write();
    lab.create(&task, &good);
    task.start(&good.id, "").expect("the shim serves on");
    assert_eq!(task.wait(&good.id, "").expect("Wait"), 0);
    task.delete(&good.id, "").expect("Delete");
}

fn create_twice(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.created(&container);
    let again = task.create(
        &container.id,
        &container.bundle,
        &[],
        &Stdio::default(),
        lab.runc_options(),
    );
    refused(again, code::ALREADY_EXISTS);
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        CREATED
    );
    task.start(&container.id, "")
        .expect("the first one is unharmed");
}

fn create_again_after_delete(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
}

fn create_without_a_bundle(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let task = lab.start(&container);
    let missing = lab.directory().join("none");
    let status = task
        .create(
            "other",
            &missing,
            &[],
            &Stdio::default(),
            lab.runc_options(),
        )
        .expect_err("there is no bundle");
    assert!(status.code < 100, "{status}");
    refused(task.state("other", ""), code::NOT_FOUND);
    lab.create(&task, &container);
}

fn create_with_a_broken_config(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let task = lab.start(&container);
    fs::write(container.bundle.join("config.json"), "{\"ociVersion\": 1}").expect("own directory");
    let status = task
        .create(
            &container.id,
            &container.bundle,
            &[],
            &Stdio::default(),
            lab.runc_options(),
        )
        .expect_err("it is no configuration");
    assert!(status.code < 100 && !status.message.is_empty(), "{status}");
    refused(task.state(&container.id, ""), code::NOT_FOUND);
    container.write();
    lab.create(&task, &container);
}

fn unknown_ids(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let none = "none";
    refused(task.state(none, ""), code::NOT_FOUND);
    refused(task.start(none, ""), code::NOT_FOUND);
    refused(task.wait(none, ""), code::NOT_FOUND);
    refused(task.kill(none, "", 9), code::NOT_FOUND);
    refused(task.delete(none, ""), code::NOT_FOUND);
    refused(task.pids(none), code::NOT_FOUND);
    refused(task.pause(none), code::NOT_FOUND);
    refused(task.resume(none), code::NOT_FOUND);
    refused(task.stats(none), code::NOT_FOUND);
    refused(task.close_io(none, ""), code::NOT_FOUND);
    refused(task.resize(none, "", 80, 25), code::NOT_FOUND);
    refused(task.update(none, &serde_json::json!({})), code::NOT_FOUND);
    let process = container.process(&["true"]);
    refused(
        task.exec(none, "e", &process, &Stdio::default()),
        code::NOT_FOUND,
    );
    // Execs that are not there, of a container that is.
    let id = &*container.id;
    refused(task.state(id, none), code::NOT_FOUND);
    refused(task.start(id, none), code::NOT_FOUND);
    refused(task.wait(id, none), code::NOT_FOUND);
    refused(task.kill(id, none, 9), code::NOT_FOUND);
    refused(task.delete(id, none), code::NOT_FOUND);
}

fn start_twice(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let status = task.start(&container.id, "").expect_err("it runs");
    assert!(status.code < 100, "{status}");
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn delete_while_running(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let status = task.delete(&container.id, "").expect_err("it runs");
    assert!(status.code < 100, "{status}");
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn delete_before_start(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.created(&container);
    let pid = task.state(&container.id, "").expect("State").pid;
    task.delete(&container.id, "").expect("Delete");
    assert!(process::eventually(Duration::from_secs(2), || {
        !process::is_alive(pid)
    }));
    refused(task.state(&container.id, ""), code::NOT_FOUND);
}

fn delete_twice(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    refused(task.delete(&container.id, ""), code::NOT_FOUND);
}

fn kill_with_each_signal(lab: &mut Lab) {
    for signal in [1_u64, 2, 10, 12, 15, 34] {
        let line =
            format!("trap 'exit {signal}' {signal}; echo ready; while :; do sleep 0.05; done");
        let mut container = lab.container(&signal.to_string(), &["sh", "-c", &line]);
        let output = container.read_stdout();
        let task = lab.started(&container);
        output.await_word("ready");
        task.kill(&container.id, "", signal).expect("Kill");
        assert_eq!(task.wait(&container.id, "").expect("Wait"), signal);
        task.delete(&container.id, "").expect("Delete");
    }
}

fn kill_before_start(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.created(&container);
    let wait = task.begin_wait(&container.id, "");
    task.kill(&container.id, "", 9).expect("Kill");
    let end = wait.within(Duration::from_secs(5)).expect("Wait");
    assert_eq!(end.number(1), 137);
    task.delete(&container.id, "").expect("Delete");
}

fn kill_after_the_end(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    let words = refused(task.kill(&container.id, "", 9), code::NOT_FOUND);
    assert!(words.contains("process already finished"), "{words}");
}

/// A container that shares the host's pid namespace: its other processes die only by `all`.
fn kill_all(lab: &mut Lab) {
    let mut container = lab.container(
        "",
        &["sh", "-c", "sleep 100 & sleep 100 & echo ready; wait"],
    );
    container.spec.without_namespace("pid");
    let output = container.read_stdout();
    let task = lab.started(&container);
    output.await_word("ready");
    let pids = task.pids(&container.id).expect("Pids");
    assert_eq!(pids.len(), 3, "{pids:?}");
    task.kill_all(&container.id, 9).expect("Kill");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 137);
    let alive = || pids.iter().any(|(pid, _)| process::is_alive(*pid));
    assert!(process::eventually(Duration::from_secs(2), || !alive()));
}

fn wait_before_start(lab: &mut Lab) {
    let container = lab.container("", &["sh", "-c", "exit 7"]);
    let task = lab.created(&container);
    let wait = task.begin_wait(&container.id, "");
    task.start(&container.id, "").expect("Start");
    let end = wait.within(Duration::from_secs(5)).expect("Wait");
    assert_eq!(end.number(1), 7);
}

fn wait_after_the_end(lab: &mut Lab) {
    let container = lab.container("", &["sh", "-c", "exit 7"]);
    let task = lab.started(&container);
    for _ in 0..3 {
        assert_eq!(task.wait(&container.id, "").expect("Wait"), 7);
    }
}

fn waits_do_not_block(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let waits: Vec<_> = (0..300)
        .map(|_| task.begin_wait(&container.id, ""))
        .collect();
    for _ in 0..20 {
        let state = task
            .state(&container.id, "")
            .expect("State among 300 Waits");
        assert_eq!(state.status, RUNNING);
    }
    task.kill(&container.id, "", 9)
        .expect("Kill among 300 Waits");
    for wait in waits {
        let end = wait.within(Duration::from_secs(5)).expect("each Wait ends");
        assert_eq!(end.number(1), 137);
    }
}

/// containerd that was restarted, or several of it.
fn two_connections(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    container.write();
    let socket = lab.start_socket(&container);
    let first = lab.connect(&socket);
    lab.create(&first, &container);
    let wait = first.begin_wait(&container.id, "");
    let second = lab.connect(&socket);
    second.start(&container.id, "").expect("Start");
    drop((first, wait));
    let third = lab.connect(&socket);
    assert_eq!(
        third.state(&container.id, "").expect("State").status,
        RUNNING
    );
    third.kill(&container.id, "", 9).expect("Kill");
    assert_eq!(second.wait(&container.id, "").expect("Wait"), 137);
}

fn connect(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let (shim, init) = task.connect(&container.id).expect("Connect");
    assert_eq!(init, task.state(&container.id, "").expect("State").pid);
    let program = fs::read_link(format!("/proc/{shim}/exe")).expect("the shim lives");
    assert_eq!(program, lab.options.shim);
}

fn init_pid_file(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    container.write();
    let task = lab.start(&container);
    let pid = lab.create(&task, &container);
    let text = fs::read_to_string(container.bundle.join("init.pid")).expect("init.pid");
    assert_eq!(text.trim(), pid.to_string());
}

fn shutdown_with_containers(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    task.shutdown(&container.id)
        .expect("it answers and does nothing");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn shutdown_without_containers(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let socket = lab.start_socket(&container);
    let task = lab.connect(&socket);
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    let shim = task.connect("none").expect("Connect").0;
    let answer = task.shutdown(&container.id);
    assert!(
        answer.as_ref().is_ok()
            || answer
                .as_ref()
                .is_err_and(|status| status.code == code::CLOSED),
        "{answer:?}"
    );
    assert!(process::eventually(Duration::from_secs(3), || {
        !process::is_alive(shim)
    }));
    assert!(!socket.exists(), "{} is left", socket.display());
}

fn fifty_lives_in_one_shim(lab: &mut Lab) {
    let first = lab.container("first", &["sleep", "100"]);
    let task = lab.started(&first);
    for round in 0..50 {
        let container = lab.container(&round.to_string(), &["true"]);
        container.write();
        lab.create(&task, &container);
        task.start(&container.id, "").expect("Start");
        assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
        task.delete(&container.id, "").expect("Delete");
    }
    assert_eq!(task.state(&first.id, "").expect("State").status, RUNNING);
}

/// Whoever deletes a container hangs up then: containerd would take a Kill that is still out for one that failed.
fn kill_is_answered_before_delete(lab: &mut Lab) {
    let mut load: Vec<_> = (0..2)
        .map(|_| reaper::spawn(Command::new("sh").args(["-c", "while :; do :; done"])))
        .collect();
    let group = lab.container("group", &["sleep", "1000"]);
    let group = group.in_group(&lab.namespace);
    let task = lab.started(&group);
    let mut late = Vec::new();
    let begun = Instant::now();
    // A host that is slow shows it in fewer.
    for number in (0..30).take_while(|_| begun.elapsed() < Duration::from_secs(5)) {
        let container = lab.container(&format!("c{number}"), &["sleep", "1000"]);
        let container = container.in_group(&lab.namespace);
        container.write();
        lab.create(&task, &container);
        task.start(&container.id, "").expect("Start");
        let wait = task.begin_wait(&container.id, "");
        let message = Message::new().text(1, &container.id).number(3, 9);
        let kill = task.begin("Kill", message);
        wait.within(Duration::from_secs(5)).expect("Wait");
        task.delete(&container.id, "").expect("Delete");
        // Answers come in one stream: what was sent before is here.
        match kill.within(Duration::ZERO) {
            Err(status) if status.code == code::TIMEOUT => late.push(number),
            answer => drop(answer.expect("Kill")),
        }
    }
    for process in &mut load {
        process::kill(process.id() as i32, Signal::KILL);
        let _ = process.wait();
    }
    assert!(late.is_empty(), "Kill was answered after Delete: {late:?}");
}
