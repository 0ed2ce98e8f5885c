//! Events: which ones, in which order, whatever else happens.

use crate::case::cases;
use crate::container::Container;
use crate::lab::Lab;
use crate::task::{Stdio, Task};
use serde_json::json;
use std::time::Duration;

cases!("order":
    of_a_life,
    what_events_say,
    of_early_exits,
    of_execs,
    of_execs_that_end_early,
    init_is_last,
    init_is_last_without_a_pid_namespace,
    of_a_failed_start,
    of_a_pod,
    of_what_init_leaves,
    nothing_but_what_was_asked,
    containerd_away,
    an_end_that_containerd_missed,
    containerd_restarted,
    containerd_slow,
    statuses_of_many,
    out_of_memory,
);

/// What came for the container within some seconds, once the last of them is there.
#[track_caller]
fn history(lab: &Lab, container: &Container, last: &str) -> Vec<String> {
    let id = &container.id;
    lab.events.await_event(&format!("{last} {id}"));
    let names = lab.events.names(id);
    let short = names
        .iter()
        .map(|name| name.replacen(&format!(" {id}"), "", 1));
    short.collect()
}

#[track_caller]
fn end(task: &Task, container: &Container) {
    task.kill(&container.id, "", 9).expect("Kill");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
}

const LIFE: [&str; 4] = ["TaskCreate", "TaskStart", "TaskExit", "TaskDelete"];

fn of_a_life(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    end(&task, &container);
    assert_eq!(history(lab, &container, "TaskDelete"), LIFE);
}

fn what_events_say(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "exit 3"]);
    container.read_both();
    let task = lab.created(&container);
    let pid = task.start(&container.id, "").expect("Start");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    lab.events
        .await_event(&format!("TaskDelete {}", container.id));
    let expected = [
        ("/tasks/create", 0),
        ("/tasks/start", 0),
        ("/tasks/exit", 3),
        ("/tasks/delete", 3),
    ];
    let events = lab.events.all();
    for (event, (topic, status)) in events.iter().zip(expected) {
        assert_eq!((event.topic.as_str(), event.status), (topic, status));
        assert_eq!((event.pid, &event.namespace), (pid, &lab.namespace));
    }
    assert_eq!(events.len(), expected.len());
    let (create, exit, delete) = (&events[0].fields, &events[2].fields, &events[3].fields);
    assert_eq!(create.text(2), container.bundle.to_string_lossy());
    assert_eq!(create.message(4).text(2), container.stdio.stdout);
    assert_eq!(create.message(4).text(3), container.stdio.stderr);
    assert!(exit.message(5).number(1) > 1_600_000_000, "exited_at");
    assert_eq!(delete.message(4), exit.message(5), "one end, two times");
}

/// The program has ended before Start has answered, or so.
fn of_early_exits(lab: &mut Lab) {
    let keeper = lab.container("keeper", &["sleep", "100"]);
    let task = lab.started(&keeper);
    for round in 0..50 {
        let container = lab.container(&round.to_string(), &["true"]);
        container.write();
        lab.create(&task, &container);
        task.start(&container.id, "").expect("Start");
        assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
        task.delete(&container.id, "").expect("Delete");
        assert_eq!(
            history(lab, &container, "TaskDelete"),
            LIFE,
            "round {round}"
        );
    }
}

fn of_execs(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let process = container.process(&["sleep", "0.2"]);
    task.exec(&container.id, "e", &process, &Stdio::default())
        .expect("Exec");
    task.start(&container.id, "e").expect("Start");
    task.wait(&container.id, "e").expect("Wait");
    task.delete(&container.id, "e").expect("Delete");
    end(&task, &container);
    let mut seen = history(lab, &container, "TaskDelete");
    // Some versions tell of an exec's deletion too.
    seen.retain(|name| name != "TaskDelete/e");
    let expected = [
        "TaskCreate",
        "TaskStart",
        "TaskExecAdded/e",
        "TaskExecStarted/e",
        "TaskExit/e",
        "TaskExit",
        "TaskDelete",
    ];
    assert_eq!(seen, expected);
}

fn of_execs_that_end_early(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    let process = container.process(&["true"]);
    for round in 0..50 {
        let exec = format!("e{round}");
        task.exec(&container.id, &exec, &process, &Stdio::default())
            .expect("Exec");
        task.start(&container.id, &exec).expect("Start");
        task.wait(&container.id, &exec).expect("Wait");
        lab.events
            .await_event(&format!("TaskExit {}/{exec}", container.id));
        let ending = format!("/{exec}");
        let mut seen = lab.events.names(&container.id);
        seen.retain(|name| name.ends_with(&ending));
        let kinds: Vec<&str> = seen
            .iter()
            .filter_map(|name| name.split(' ').next())
            .collect();
        assert_eq!(kinds, ["TaskExecAdded", "TaskExecStarted", "TaskExit"]);
        task.delete(&container.id, &exec).expect("Delete");
    }
}

/// Three execs run when init is killed.
fn init_dies_first(lab: &mut Lab, container: &Container) {
    let task = lab.started(container);
    let process = container.process(&["sleep", "100"]);
    for exec in ["a", "b", "c"] {
        task.exec(&container.id, exec, &process, &Stdio::default())
            .expect("Exec");
        task.start(&container.id, exec).expect("Start");
    }
    task.kill(&container.id, "", 9).expect("Kill");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 137);
    let seen = history(lab, container, "TaskExit");
    let exits: Vec<&String> = seen
        .iter()
        .filter(|name| name.starts_with("TaskExit"))
        .collect();
    assert_eq!(exits.len(), 4, "{seen:?}");
    assert_eq!(exits[3], "TaskExit", "{seen:?}");
    for exec in ["a", "b", "c"] {
        let event = lab
            .events
            .await_event(&format!("TaskExit {}/{exec}", container.id));
        assert_eq!(event.status, 137);
        task.delete(&container.id, exec).expect("Delete");
    }
}

fn init_is_last(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    init_dies_first(lab, &container);
}

/// Nothing but the shim ends the others.
fn init_is_last_without_a_pid_namespace(lab: &mut Lab) {
    let mut container = lab.container("", &["sleep", "100"]);
    container.spec.without_namespace("pid");
    init_dies_first(lab, &container);
}

fn of_a_failed_start(lab: &mut Lab) {
    let container = lab.container("", &["/no/such/program"]);
    container.write();
    let task = lab.start(&container);
    let Container { id, bundle, .. } = &container;
    let created = task.create(id, bundle, &[], &Stdio::default(), lab.runc_options());
    if created.is_ok() {
        task.start(id, "").expect_err("it cannot run");
        let _ = task.delete(id, "");
    }
    std::thread::sleep(Duration::from_millis(300));
    let names = lab.events.names(id);
    let started = names.iter().any(|name| name.starts_with("TaskStart"));
    assert!(!started, "it was never started: {names:?}");
}

/// Without a pid namespace the kernel ends nobody with init: the shim does.
fn of_what_init_leaves(lab: &mut Lab) {
    let line = "sleep 1000 & exec sleep 0.3";
    let mut container = lab.container("", &["sh", "-c", line]);
    container.spec.without_namespace("pid");
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    let ended = crate::process::eventually(Duration::from_secs(3), || {
        task.pids(&container.id).is_ok_and(|pids| pids.is_empty())
    });
    assert!(ended, "what init left runs on");
    assert!(lab.events.names(&container.id).len() <= 3);
}

/// Orphans and processes of the container that nobody started by Exec end without a word.
fn nothing_but_what_was_asked(lab: &mut Lab) {
    let line = "sleep 0.1 & (sleep 0.1 &); sleep 0.3; exit 0";
    let container = lab.container("", &["sh", "-c", line]);
    let task = lab.started(&container);
    task.wait(&container.id, "").expect("Wait");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(history(lab, &container, "TaskExit"), LIFE[..3]);
}

fn of_a_pod(lab: &mut Lab) {
    let containers = ["a", "b", "c"].map(|name| {
        let container = lab.container(name, &["sh", "-c", "sleep 0.3; exit 4"]);
        container.in_group(&lab.namespace)
    });
    for container in &containers {
        container.write();
    }
    let task = lab.start(&containers[0]);
    for container in &containers {
        lab.create(&task, container);
        task.start(&container.id, "").expect("Start");
    }
    for container in &containers {
        assert_eq!(task.wait(&container.id, "").expect("Wait"), 4);
        task.delete(&container.id, "").expect("Delete");
        assert_eq!(history(lab, container, "TaskDelete"), LIFE);
    }
}

/// Events happen while nobody listens, and come when somebody does.
fn containerd_away(lab: &mut Lab) {
    let container = lab.container("", &["sh", "-c", "exit 9"]);
    let task = lab.created(&container);
    lab.events
        .await_event(&format!("TaskCreate {}", container.id));
    lab.events.stop();
    task.start(&container.id, "")
        .expect("Start works without containerd");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 9);
    std::thread::sleep(Duration::from_millis(500));
    lab.events.restart();
    let exit = lab
        .events
        .await_event(&format!("TaskExit {}", container.id));
    assert_eq!(exit.status, 9);
    task.delete(&container.id, "").expect("Delete");
    lab.events
        .await_event(&format!("TaskDelete {}", container.id));
    let mut names = history(lab, &container, "TaskDelete");
    names.sort();
    let mut expected = LIFE;
    expected.sort_unstable();
    assert_eq!(names, expected, "each came, and came once");
}

/// containerd takes a task without a process for a leak when it comes back, and deletes it with its status.
fn an_end_that_containerd_missed(lab: &mut Lab) {
    let container = lab.container("", &["sh", "-c", "exit 9"]);
    let task = lab.created(&container);
    lab.events
        .await_event(&format!("TaskCreate {}", container.id));
    lab.events.stop();
    task.start(&container.id, "").expect("Start");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 9);
    let pids = task.pids(&container.id).expect("Pids");
    assert_eq!(pids.len(), 1, "{pids:?}");
    lab.events.restart();
    lab.events
        .await_event(&format!("TaskExit {}", container.id));
    let told = || task.pids(&container.id).is_ok_and(|pids| pids.is_empty());
    assert!(crate::process::eventually(Duration::from_secs(3), told));
}

/// The connection was lost between two events.
fn containerd_restarted(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "100"]);
    let task = lab.started(&container);
    lab.events
        .await_event(&format!("TaskStart {}", container.id));
    lab.events.stop();
    lab.events.restart();
    end(&task, &container);
    assert_eq!(history(lab, &container, "TaskDelete"), LIFE);
    assert!(lab.events.connections() >= 2);
}

/// A slow containerd slows no call.
fn containerd_slow(lab: &mut Lab) {
    lab.events.delay(Duration::from_millis(700));
    let container = lab.container("", &["sleep", "100"]);
    let begin = std::time::Instant::now();
    let task = lab.started(&container);
    end(&task, &container);
    let took = begin.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "calls waited for events: {took:?}"
    );
    assert_eq!(history(lab, &container, "TaskDelete"), LIFE);
}

/// Short processes, several at a time, pids that come again: each gets its own status.
fn statuses_of_many(lab: &mut Lab) {
    let count = if lab.options.nightly {
        10_000
    } else {
        200_usize
    };
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let threads: Vec<_> = (0..8)
        .map(|lane| {
            let (task, id) = (task.clone(), container.id.clone());
            let mut process = container.process(&[]);
            std::thread::spawn(move || {
                for number in (lane..count).step_by(8) {
                    let status = (number * 7 + 1) as u64 % 256;
                    let exec = format!("e{number}");
                    process["args"] = json!(["sh", "-c", format!("exit {status}")]);
                    task.exec(&id, &exec, &process, &Stdio::default())?;
                    task.start(&id, &exec)?;
                    let waited = task.wait(&id, &exec)?;
                    let deleted = task.delete(&id, &exec)?.status;
                    assert_eq!((waited, deleted), (status, status), "{exec}");
                }
                Ok::<_, crate::client::Status>(())
            })
        })
        .collect();
    for thread in threads {
        thread
            .join()
            .expect("right statuses")
            .expect("no call fails");
    }
    let exits = |events: &[crate::events::Event]| {
        events
            .iter()
            .filter(|event| event.kind == "TaskExit")
            .count()
    };
    assert!(
        lab.events
            .await_that(Duration::from_secs(10), |events| exits(events) == count),
        "{} exits of {count}",
        exits(&lab.events.all())
    );
    for event in lab.events.all() {
        if event.kind == "TaskExit" {
            let number: usize = event.exec[1..].parse().expect("a number");
            assert_eq!(
                event.status,
                (number * 7 + 1) as u64 % 256,
                "{}",
                event.exec
            );
        }
    }
}

/// 16 MiB, of which a program wants 64.
fn out_of_memory(lab: &mut Lab) {
    let line = "usleep 300000; x=$(head -c 67108864 /dev/zero | tr '\\0' x); echo ${#x}";
    let mut container = lab.container("", &["sh", "-c", line]);
    container.spec.set("linux.resources.memory.limit", 16 << 20);
    container.spec.set("linux.resources.memory.swap", 16 << 20);
    let task = lab.started(&container);
    lab.events.await_event(&format!("TaskOOM {}", container.id));
    let status = task.wait(&container.id, "").expect("Wait");
    assert_ne!(status, 0);
}
