//! What the server is as a process of the host, and what it leaves in the bundle for containerd.

use crate::case::{cases, skip};
use crate::client::code;
use crate::container::Container;
use crate::idle::{between, switches};
use crate::lab::{Dialect, Lab, Output};
use crate::leaks;
use crate::process;
use crate::task::{Stdio, Task};
use crate::wire::{Message, any};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

cases!("server":
    address_in_the_bundle,
    address_in_each_bundle_of_a_group,
    a_bundle_that_takes_no_address,
    socket_directory_in_the_bundle,
    no_namespace,
    score_for_want_of_memory,
    own_group_of_the_shim,
    own_group_that_is_not_there,
    orphans_are_collected,
    children_of_execs_are_collected,
    calls_that_race_on_one_container,
    creates_that_race_for_one_id,
    sleeps_while_nothing_happens,
    core_scheduling,
    core_scheduling_that_the_kernel_has_not,
);

fn shim_of(task: &Task) -> i32 {
    task.connect("none").expect("Connect").0
}

/// 1.6 reads it when it comes again.
#[track_caller]
fn has_address(container: &Container, socket: &Path) {
    let text = fs::read_to_string(container.bundle.join("address"));
    let text = text.unwrap_or_else(|error| panic!("address: {error}"));
    assert_eq!(text, format!("unix://{}", socket.display()));
}

fn address_in_the_bundle(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let socket = lab.start_socket(&container);
    has_address(&container, &socket);
}

fn address_in_each_bundle_of_a_group(lab: &mut Lab) {
    for name in ["a", "b"] {
        let container = lab.container(name, &["true"]).in_group(&lab.namespace);
        container.write();
        let socket = lab.start_socket(&container);
        has_address(&container, &socket);
    }
}

fn sockets() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir("/run/containerd/s").into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}

/// Nobody would know of the server: it ends, and its socket is gone.
fn a_bundle_that_takes_no_address(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    fs::create_dir_all(container.bundle.join("address/x")).expect("own directory");
    let before = sockets();
    let output = lab.start_output(&container, Dialect::V1_6, b"");
    assert!(
        output.code.is_some_and(|code| code != 0) && output.stderr.contains("address"),
        "{output:?}"
    );
    let me = std::process::id() as i32;
    let gone = || process::descendants(me).is_empty();
    assert!(process::eventually(Duration::from_secs(2), gone));
    // Other cases have some that are served.
    let dead = |path: &PathBuf| {
        let refused = UnixStream::connect(path).map_err(|error| error.kind());
        refused.is_err_and(|kind| kind == ErrorKind::ConnectionRefused)
    };
    let left = sockets()
        .difference(&before)
        .find(|path| dead(path))
        .cloned();
    assert_eq!(left, None);
}

/// From 2.3 on: a link `s`, by which containerd cleans up after a shim that is gone.
fn socket_directory_in_the_bundle(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let sockets = lab.directory().join("sockets");
    let params = Message::new()
        .text(1, &container.id)
        .text(2, &lab.namespace)
        .text(5, &lab.events.path.to_string_lossy())
        .text(9, &sockets.to_string_lossy());
    let output = lab.start_output(&container, Dialect::V2_3, &params.done());
    let answer = crate::wire::Fields::read(&output.stdout).unwrap_or_default();
    lab.socket(&container, &output, &answer.text(2));
    let link = fs::read_link(container.bundle.join("s"));
    assert_eq!(link.expect("the link s"), sockets);
}

fn no_namespace(lab: &mut Lab) {
    fs::write(lab.directory().join("config.json"), "{}").expect("own directory");
    let output = lab.plain(&["-id", "c", "-address", "/no/such/socket", "start"], b"");
    clear(&output);
    assert!(output.code.is_some_and(|code| code != 0), "{output:?}");
    assert!(output.stderr.contains("namespace"), "{output:?}");
}

/// The socket of a server that should not be there; it is ended with the case.
fn clear(output: &Output) {
    let address = String::from_utf8_lossy(&output.stdout);
    if let Some(path) = address.trim().strip_prefix("unix://") {
        let _ = fs::remove_file(path);
    }
}

fn score(pid: &str) -> i32 {
    let text = fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default();
    text.trim().parse().expect("a number")
}

/// One above containerd's, so that the kernel takes shims first; init is the config's matter.
fn score_for_want_of_memory(lab: &mut Lab) {
    let mut container = lab.container("", &["sleep", "100"]);
    container.spec.set("process.oomScoreAdj", 77);
    let task = lab.started(&container);
    let (shim, init) = task.connect(&container.id).expect("Connect");
    assert_eq!(score(&shim.to_string()), (score("self") + 1).min(1000));
    assert_eq!(score(&init.to_string()), 77);
}

/// ShimCgroup: the server is moved, not its containers.
fn own_group_of_the_shim(lab: &mut Lab) {
    let name = format!("{}-shim", lab.options.tag);
    let mut groups: Vec<PathBuf> = Vec::new();
    for hierarchy in fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = hierarchy.path();
        if path.join("cgroup.procs").exists() && path.join("tasks").exists() {
            fs::create_dir(path.join(&name)).expect("root may");
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(text) = fs::read_to_string(path.join(file)) {
                    fs::write(path.join(&name).join(file), text).expect("the parent's");
                }
            }
            groups.push(path.join(&name));
        }
    }
    if groups.is_empty() {
        skip("no v1 hierarchy here");
    }
    let container = lab.container("", &["sleep", "100"]);
    container.write();
    let options = Message::new().text(3, &format!("/{name}"));
    let stdin = any("containerd.runc.v1.Options", &options.done()).done();
    let output = lab.start_output(&container, Dialect::V1_6, &stdin);
    let address = String::from_utf8_lossy(&output.stdout).into_owned();
    let task = lab.connect(&lab.socket(&container, &output, &address));
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
    let (shim, init) = task.connect(&container.id).expect("Connect");
    let [shim_groups, init_groups] = [shim, init]
        .map(|pid| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default());
    let pids = |text: &str| {
        let line = text.lines().find(|line| line.contains(":pids:"));
        line.and_then(|line| line.rsplit(':').next())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(pids(&shim_groups), format!("/{name}"));
    assert_eq!(pids(&init_groups), format!("/{}", container.id));
    lab.end(&container);
    let removed = process::eventually(Duration::from_secs(3), || {
        groups
            .iter()
            .all(|group| !group.exists() || fs::remove_dir(group).is_ok())
    });
    assert!(removed, "the shim's group is in use");
}

/// `start` fails and leaves no server, or there is a server like any other.
fn own_group_that_is_not_there(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let options = Message::new().text(3, "/no-such-group-anywhere");
    let stdin = any("containerd.runc.v1.Options", &options.done()).done();
    let output = lab.start_output(&container, Dialect::V1_6, &stdin);
    if output.code == Some(0) {
        let address = String::from_utf8_lossy(&output.stdout).into_owned();
        shim_of(&lab.connect(&lab.socket(&container, &output, &address)));
        return;
    }
    assert!(output.code.is_some(), "{output:?}");
    assert!(!output.stderr.is_empty(), "{output:?}");
    let me = std::process::id() as i32;
    let ended = || process::descendants(me).is_empty();
    assert!(
        process::eventually(Duration::from_secs(3), ended),
        "a server is left"
    );
}

/// The children of the shim that have ended and are not collected.
fn zombies(shim: i32) -> Vec<String> {
    let all = process::descendants(shim);
    let dead = all
        .into_iter()
        .filter(|pid| process::state(*pid) == Some('Z'));
    dead.map(process::describe).collect()
}

#[track_caller]
fn no_zombie(shim: i32) {
    let none = || zombies(shim).is_empty();
    assert!(
        process::eventually(Duration::from_secs(3), none),
        "{:?}",
        zombies(shim)
    );
}

/// Without a pid namespace, what loses its parent falls to the shim.
fn orphans_are_collected(lab: &mut Lab) {
    let line = "for i in 1 2 3 4 5; do (sleep 0.1 & sleep 0.2 &); done; sleep 100; exit 0";
    let mut container = lab.container("", &["sh", "-c", line]);
    container.spec.without_namespace("pid");
    let task = lab.started(&container);
    std::thread::sleep(Duration::from_millis(500));
    no_zombie(shim_of(&task));
    let pids = task.pids(&container.id).expect("Pids");
    assert_eq!(pids.len(), 2, "the shell and its sleep: {pids:?}");
}

fn children_of_execs_are_collected(lab: &mut Lab) {
    let mut container = lab.container("", &["sleep", "100"]);
    container.spec.without_namespace("pid");
    let task = lab.started(&container);
    let process = container.process(&["sh", "-c", "sleep 0.1 & sleep 0.1 & exit 0"]);
    for number in 0..10 {
        let exec = format!("e{number}");
        task.exec(&container.id, &exec, &process, &Stdio::default())
            .expect("Exec");
        task.start(&container.id, &exec).expect("Start");
        assert_eq!(task.wait(&container.id, &exec).expect("Wait"), 0);
        task.delete(&container.id, &exec).expect("Delete");
    }
    std::thread::sleep(Duration::from_millis(200));
    no_zombie(shim_of(&task));
}

/// Whatever they answer, it is an answer, and the container ends and can be deleted.
fn calls_that_race_on_one_container(lab: &mut Lab) {
    let keeper = lab.container("keeper", &["sleep", "1000"]);
    let task = lab.started(&keeper);
    for round in 0..15 {
        let container = lab.container(&round.to_string(), &["sleep", "1000"]);
        container.write();
        lab.create(&task, &container);
        let over = Arc::new(AtomicBool::new(false));
        let actors: Vec<_> = (0..4)
            .map(|actor| {
                let (task, id, over) = (task.clone(), container.id.clone(), Arc::clone(&over));
                let process = container.process(&["true"]);
                std::thread::spawn(move || {
                    let mut number = 0;
                    while !over.load(Ordering::SeqCst) {
                        number += 1;
                        let exec = format!("e{actor}-{number}");
                        let result = match (actor + number) % 5 {
                            0 => task.start(&id, "").map(drop),
                            1 => task.state(&id, "").map(drop),
                            2 => task.pids(&id).map(drop),
                            3 => task
                                .exec(&id, &exec, &process, &Stdio::default())
                                .and_then(|()| task.start(&id, &exec))
                                .map(drop),
                            _ => task.delete(&id, "").map(drop),
                        };
                        if let Err(status) = result {
                            assert!(status.code < code::CLOSED, "{status}");
                        }
                    }
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(30));
        let _ = task.kill(&container.id, "", 9);
        std::thread::sleep(Duration::from_millis(50));
        over.store(true, Ordering::SeqCst);
        for actor in actors {
            actor.join().expect("each call was answered");
        }
        lab.end(&container);
        assert_eq!(
            leaks::cgroups(&container.id),
            Vec::<PathBuf>::new(),
            "round {round}"
        );
    }
    task.state(&keeper.id, "").expect("the shim serves on");
}

/// One of them wins.
fn creates_that_race_for_one_id(lab: &mut Lab) {
    let keeper = lab.container("keeper", &["sleep", "1000"]);
    let task = lab.started(&keeper);
    for round in 0..10 {
        let container = lab.container(&round.to_string(), &["sleep", "1000"]);
        container.write();
        let actors: Vec<_> = (0..3)
            .map(|_| {
                let (task, options) = (task.clone(), lab.runc_options());
                let (id, bundle) = (container.id.clone(), container.bundle.clone());
                std::thread::spawn(move || {
                    task.create(&id, &bundle, &[], &Stdio::default(), options)
                })
            })
            .collect();
        let results: Vec<_> = actors
            .into_iter()
            .map(|actor| actor.join().expect("no panic"))
            .collect();
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(made, 1, "{results:?}");
        task.start(&container.id, "")
            .expect("the one that was made is whole");
        task.kill(&container.id, "", 9).expect("Kill");
        task.wait(&container.id, "").expect("Wait");
        task.delete(&container.id, "").expect("Delete");
    }
}

/// Beside a container and a connection that do nothing.
fn sleeps_while_nothing_happens(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let socket = lab.start_socket(&container);
    let task = lab.connect(&socket);
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
    let shim = task.connect(&container.id).expect("Connect").0;
    // What a shim tidies up once when calls have ceased: ours after two seconds.
    std::thread::sleep(Duration::from_secs(3));
    let before = switches(shim);
    std::thread::sleep(Duration::from_secs(3));
    let asleep = switches(shim);
    assert_eq!(between(&before, &asleep), 0, "wakeups in three seconds");
    task.state(&container.id, "").expect("State");
    assert!(
        between(&asleep, &switches(shim)) > 0,
        "an answer is no wakeup"
    );
}

/// A process's cookie; 0 is none.
fn cookie(pid: i32) -> rustix::io::Result<u64> {
    let scope = rustix::thread::CoreSchedulingScope::Thread;
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::thread::core_scheduling_cookie(pid, scope)
}

/// A shim with SCHED_CORE in its environment, as `enable_core_scheduling` of containerd has it.
#[track_caller]
fn scheduled(lab: &Lab, container: &Container) -> Task {
    container.write();
    let output = lab.start_with(container, "SCHED_CORE", "1");
    let address = String::from_utf8_lossy(&output.stdout).into_owned();
    lab.connect(&lab.socket(container, &output, &address))
}

/// It shares a core with its containers, and with nobody else.
fn core_scheduling(lab: &mut Lab) {
    if let Err(errno) = cookie(std::process::id() as i32) {
        skip(format!(
            "the kernel has no core scheduling ({errno}): no SMT, or no CONFIG_SCHED_CORE"
        ));
    }
    let other = lab.container("other", &["true"]);
    other.write();
    let other = lab.start(&other);
    assert_eq!(cookie(shim_of(&other)), Ok(0));
    let mut cookies = Vec::new();
    for name in ["a", "b"] {
        let container = lab.container(name, &["sleep", "100"]);
        let task = scheduled(lab, &container);
        let own = cookie(shim_of(&task)).expect("it was asked before");
        assert_ne!(own, 0);
        let init = lab.create(&task, &container);
        task.start(&container.id, "").expect("Start");
        assert_eq!(cookie(init), Ok(own), "of the container");
        cookies.push(own);
    }
    assert_ne!(cookies[0], cookies[1]);
}

/// Nothing is to be kept apart then: the shim serves, and its log tells.
fn core_scheduling_that_the_kernel_has_not(lab: &mut Lab) {
    if cookie(std::process::id() as i32).is_ok() {
        skip("the kernel has core scheduling");
    }
    let container = lab.container("", &["sh", "-c", "exit 3"]);
    let task = scheduled(lab, &container);
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 3);
    let told = || lab.log().contains("SCHED_CORE");
    assert!(
        process::eventually(Duration::from_secs(2), told),
        "{}",
        lab.log()
    );
}
