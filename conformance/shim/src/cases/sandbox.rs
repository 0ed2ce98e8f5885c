//! Pods whose namespaces the shim holds, so that none has a container for that.

use super::refused;
use crate::case::cases;
use crate::client::code;
use crate::container::Container;
use crate::fifo::Reader;
use crate::lab::Lab;
use crate::process;
use crate::sandbox::{
    CONTAINER, NODE, Network, OWN, POD, Sandbox, config, config_of_users, member, namespace, ready,
    shim_of,
};
use crate::task::{self, Task};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

cases!("sandbox":
    is_ready_and_ends,
    is_a_thread,
    is_a_process_where_pids_are_shared,
    has_the_user_namespace_of_its_network,
    on_the_hosts_network,
    names_and_memory,
    a_container_with_files_of_its_own,
    shared_pids,
    the_hosts_pids_are_not_the_pods,
    sysctls,
    sysctls_of_the_host,
    many_waiters,
    is_killed,
    fails_to_start_and_starts,
    stops_before_it_starts,
    in_the_wrong_state,
    nobody_knows_it,
    outlives_its_containers,
    a_shim_that_is_killed,
    options_that_are_none,
);

/// Runs one to its end; what it said.
#[track_caller]
fn said(lab: &Lab, task: &Task, mut container: Container) -> String {
    let (output, errors) = container.read_both();
    container.write();
    lab.create(task, &container);
    task.start(&container.id, "").expect("Start");
    let status = task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    let text = |reader: Reader| {
        String::from_utf8_lossy(&reader.whole(Duration::from_secs(5))).into_owned()
    };
    let (output, errors) = (text(output), text(errors));
    assert!(status == 0, "exit status {status}: {output}{errors}");
    output
}

#[track_caller]
fn nothing_mounted(sandbox: &Sandbox) {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("procfs");
    let own = sandbox.directory().to_string_lossy().into_owned();
    assert!(!mounts.contains(&own), "{mounts}");
}

fn is_ready_and_ends(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    sandbox
        .create(&network.path(), &config(OWN, &[]).done())
        .expect("CreateSandbox");
    let before = sandbox.status().expect("SandboxStatus");
    assert_eq!(before.state, "SANDBOX_NOTREADY");
    let platform = sandbox.simple("Platform").expect("Platform").message(1);
    assert_eq!(platform.text(1), "linux");
    assert!(
        ["amd64", "arm64"].contains(&&*platform.text(2)),
        "{platform:?}"
    );
    let pid = sandbox.start().expect("StartSandbox");
    sandbox.simple("PingSandbox").expect("PingSandbox");
    let status = sandbox.status().expect("SandboxStatus");
    assert_eq!((status.pid, &*status.state), (pid, "SANDBOX_READY"));
    assert!(
        status.created && !status.exited && status.info == 1,
        "{status:?}"
    );
    let me = std::process::id() as i32;
    assert_eq!(namespace(pid, "net"), network.of("net"));
    for kind in ["ipc", "uts"] {
        assert_ne!(namespace(pid, kind), namespace(me, kind), "{kind}");
    }
    assert_eq!(namespace(pid, "mnt"), namespace(me, "mnt"));
    let wait = sandbox.begin_wait();
    assert!(wait.is_out());
    sandbox.simple("StopSandbox").expect("StopSandbox");
    let end = wait.within(Duration::from_secs(5)).expect("WaitSandbox");
    assert_eq!(end.number(1), 0);
    assert!(end.message(2).number(1) > 0, "exited_at");
    let status = sandbox.status().expect("SandboxStatus");
    assert_eq!((status.pid, &*status.state), (0, "SANDBOX_NOTREADY"));
    assert!(status.exited);
    assert!(
        !fs::exists(format!("/proc/{pid}")).expect("procfs"),
        "it is held on"
    );
    sandbox.simple("StopSandbox").expect("twice");
    sandbox.end(shim);
}

/// No process more than the shim's own.
fn is_a_thread(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    let group = format!("Tgid:\t{shim}\n");
    assert!(pid != shim && status.contains(&group), "{status}");
    assert!(process::descendants(shim).is_empty());
    sandbox.end(shim);
}

fn is_a_process_where_pids_are_shared(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), [POD, POD, POD]);
    assert_eq!(process::descendants(shim), [pid]);
    let me = std::process::id() as i32;
    for kind in ["pid", "ipc", "uts"] {
        assert_ne!(namespace(pid, kind), namespace(me, kind), "{kind}");
    }
    assert_eq!(namespace(pid, "net"), network.of("net"));
    sandbox.end(shim);
    assert!(!process::is_alive(pid));
}

fn has_the_user_namespace_of_its_network(lab: &mut Lab) {
    let network = Network::with_users();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    sandbox
        .create(&network.path(), &config_of_users().done())
        .expect("CreateSandbox");
    let pid = sandbox.start().expect("StartSandbox");
    for kind in ["user", "net"] {
        assert_eq!(namespace(pid, kind), network.of(kind), "{kind}");
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    assert!(status.contains("Uid:\t0\t0\t0\t0"), "{status}");
    sandbox.end(shim);
    assert!(!process::is_alive(pid));
}

fn on_the_hosts_network(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, "", [NODE, CONTAINER, POD]);
    let me = std::process::id() as i32;
    for kind in ["net", "uts"] {
        assert_eq!(namespace(pid, kind), namespace(me, kind), "{kind}");
    }
    assert_ne!(namespace(pid, "ipc"), namespace(me, "ipc"));
    sandbox.end(shim);
}

/// What two containers have together, and from their pod.
fn names_and_memory(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    let first = "cat /etc/hostname /etc/resolv.conf; hostname; echo hello >/dev/shm/word; readlink /proc/self/ns/net";
    let first = member(lab, &sandbox, pid, "first", &["sh", "-c", first]);
    let expected = format!(
        "web-0\nsearch cluster.local\nnameserver 10.1.2.3\noptions ndots:5\nweb-0\n{}\n",
        network.of("net")
    );
    assert_eq!(said(lab, &task, first), expected);
    let second = ["sh", "-c", "cat /dev/shm/word; cat /etc/hosts"];
    let second = member(lab, &sandbox, pid, "second", &second);
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    assert_eq!(said(lab, &task, second), format!("hello\n{hosts}"));
    sandbox.end(shim);
    nothing_mounted(&sandbox);
}

/// kubelet gives /etc/hosts itself.
fn a_container_with_files_of_its_own(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    let hosts = lab.directory().join("hosts");
    fs::write(&hosts, "10.0.0.9 own\n").expect("own directory");
    let mut container = member(lab, &sandbox, pid, "c", &["cat", "/etc/hosts"]);
    container.spec.bind(&hosts, "/etc/hosts", &["ro"]);
    assert_eq!(said(lab, &task, container), "10.0.0.9 own\n");
    // One that is no part of it gets nothing of it.
    let mut other = lab.container("other", &["sh", "-c", "test ! -s /etc/resolv.conf"]);
    other.spec["annotations"] = serde_json::json!({"io.containerd.runc.v2.group": sandbox.id});
    said(lab, &task, other);
    sandbox.end(shim);
}

fn shared_pids(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), [POD, POD, POD]);
    let pids = format!("/proc/{pid}/ns/pid");
    let mut sleeper = member(
        lab,
        &sandbox,
        pid,
        "sleeper",
        &["sh", "-c", "exec sleep 1000"],
    );
    sleeper.spec.namespace("pid", Some(&pids));
    sleeper.write();
    lab.create(&task, &sleeper);
    task.start(&sleeper.id, "").expect("Start");
    // It sees its neighbour and the first process, whose program is the host's: that stays shut. A link that can't be read prints
    // nothing, which is what is compared; its exit status is not.
    let look = "grep -l sleep /proc/[0-9]*/comm | wc -l; for name in exe root cwd fd/0; do readlink /proc/1/$name || true; done; tr '\\0' ' ' </proc/1/cmdline";
    let mut looker = member(lab, &sandbox, pid, "looker", &["sh", "-c", look]);
    looker.spec.namespace("pid", Some(&pids));
    assert_eq!(said(lab, &task, looker), "1\ntare pod-init ");
    // Its orphans are reaped: one that isn't would be counted, and for none grep has the status 1.
    let orphan = [
        "sh",
        "-c",
        "(sleep 0.1 &) ; sleep 0.4; grep -c '^State:.Z' /proc/[0-9]*/status | grep -c ':1' || true",
    ];
    let mut orphan = member(lab, &sandbox, pid, "orphan", &orphan);
    orphan.spec.namespace("pid", Some(&pids));
    assert_eq!(said(lab, &task, orphan), "0\n");
    // The end of the first process is the end of all.
    let wait = task.begin_wait(&sleeper.id, "");
    sandbox.simple("StopSandbox").expect("StopSandbox");
    assert_eq!(
        wait.within(Duration::from_secs(5)).expect("Wait").number(1),
        137
    );
    task.delete(&sleeper.id, "").expect("Delete");
    sandbox.end(shim);
}

/// Where the pod has no pid namespace, the one at its id is the host's.
fn the_hosts_pids_are_not_the_pods(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    let mut container = member(lab, &sandbox, pid, "c", &["true"]);
    container
        .spec
        .namespace("pid", Some(&format!("/proc/{pid}/ns/pid")));
    container.write();
    let Container {
        id, bundle, stdio, ..
    } = &container;
    let words = refused(
        task.create(id, bundle, &[], stdio, None),
        code::INVALID_ARGUMENT,
    );
    assert!(words.contains("pid namespace"), "{words}");
    sandbox.end(shim);
}

fn sysctls(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let own = [
        ("net.ipv4.ip_unprivileged_port_start", "77"),
        ("kernel.shm_rmid_forced", "1"),
    ];
    sandbox
        .create(&network.path(), &config(OWN, &own).done())
        .expect("CreateSandbox");
    let pid = sandbox.start().expect("StartSandbox");
    let files = [
        "cat",
        "/proc/sys/net/ipv4/ip_unprivileged_port_start",
        "/proc/sys/kernel/shm_rmid_forced",
    ];
    let container = member(lab, &sandbox, pid, "c", &files);
    assert_eq!(said(lab, &task, container), "77\n1\n");
    let host = fs::read_to_string(files[1]).expect("procfs");
    assert_ne!(host, "77\n");
    sandbox.end(shim);
}

fn sysctls_of_the_host(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    for (modes, name) in [
        (OWN, "vm.swappiness"),
        ([POD, CONTAINER, NODE], "kernel.shm_rmid_forced"),
        (OWN, "net/../vm/swappiness"),
    ] {
        let made = sandbox.create(&network.path(), &config(modes, &[(name, "1")]).done());
        let words = refused(made, code::INVALID_ARGUMENT);
        assert!(words.contains("sysctl"), "{words}");
    }
    // Of a namespace that it has not.
    let made = sandbox.create(
        "",
        &config([NODE, CONTAINER, POD], &[("net.core.somaxconn", "1")]).done(),
    );
    refused(made, code::INVALID_ARGUMENT);
    sandbox
        .create("", &config(OWN, &[]).done())
        .expect("CreateSandbox");
    sandbox.end(shim);
}

fn many_waiters(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    ready(&sandbox, &network.path(), OWN);
    let waits: Vec<_> = (0..200).map(|_| sandbox.begin_wait()).collect();
    sandbox.simple("StopSandbox").expect("StopSandbox");
    for wait in waits {
        wait.within(Duration::from_secs(5)).expect("WaitSandbox");
    }
    sandbox.simple("WaitSandbox").expect("after the end");
    sandbox.end(shim);
}

/// The process that holds it, by somebody else.
fn is_killed(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), [POD, POD, POD]);
    let wait = sandbox.begin_wait();
    process::kill(pid, Signal::KILL);
    let end = wait.within(Duration::from_secs(5)).expect("WaitSandbox");
    assert_eq!(end.number(1), 137);
    let status = sandbox.status().expect("SandboxStatus");
    assert_eq!(status.state, "SANDBOX_NOTREADY");
    sandbox.end(shim);
}

fn fails_to_start_and_starts(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let place = lab.directory().join("net");
    let path = place.to_string_lossy().into_owned();
    sandbox
        .create(&path, &config(OWN, &[]).done())
        .expect("CreateSandbox");
    let status = sandbox.start().expect_err("no such namespace");
    assert!(status.message.contains(&path), "{status}");
    fs::write(&place, "").expect("own directory");
    let status = sandbox.start().expect_err("no namespace at all");
    assert!(status.message.contains("EINVAL"), "{status}");
    nothing_mounted(&sandbox);
    let network = Network::new();
    fs::remove_file(&place).expect("own directory");
    std::os::unix::fs::symlink(network.path(), &place).expect("own directory");
    sandbox.start().expect("StartSandbox");
    sandbox.end(shim);
}

fn stops_before_it_starts(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    sandbox
        .create("", &config(OWN, &[]).done())
        .expect("CreateSandbox");
    let wait = sandbox.begin_wait();
    sandbox.simple("StopSandbox").expect("StopSandbox");
    wait.within(Duration::from_secs(5)).expect("WaitSandbox");
    refused(sandbox.start(), code::FAILED_PRECONDITION);
    sandbox.end(shim);
}

fn in_the_wrong_state(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    refused(sandbox.start(), code::FAILED_PRECONDITION);
    let again = sandbox.create(&network.path(), &config(OWN, &[]).done());
    refused(again, code::ALREADY_EXISTS);
    let container = member(lab, &sandbox, pid, "c", &["sleep", "1000"]);
    container.write();
    lab.create(&task, &container);
    let words = refused(sandbox.simple("ShutdownSandbox"), code::FAILED_PRECONDITION);
    assert!(words.contains(&container.id), "{words}");
    task.delete(&container.id, "").expect("Delete");
    sandbox.end(shim);
}

fn nobody_knows_it(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (task, _) = shim_of(&sandbox);
    for method in [
        "StartSandbox",
        "Platform",
        "StopSandbox",
        "WaitSandbox",
        "SandboxStatus",
        "PingSandbox",
        "ShutdownSandbox",
        "SandboxMetrics",
    ] {
        let words = refused(sandbox.simple(method), code::NOT_FOUND);
        assert!(words.contains(&sandbox.id), "{method}: {words}");
    }
    for method in ["PortForward", "Dance"] {
        refused(sandbox.simple(method), code::UNIMPLEMENTED);
    }
    task.shutdown(&sandbox.id).expect("Shutdown");
}

/// Shutdown of the task service, which older versions of containerd call after each container, is not the pod's end.
fn outlives_its_containers(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    for name in ["one", "two"] {
        said(lab, &task, member(lab, &sandbox, pid, name, &["true"]));
        task.shutdown(&sandbox.id).expect("Shutdown");
    }
    assert_eq!(sandbox.status().expect("SandboxStatus").pid, pid);
    // A container's own `start` finds the sandbox's server.
    let late = member(lab, &sandbox, pid, "late", &["true"]);
    late.write();
    let socket = lab.start_socket(&late);
    let again = Task::new(
        crate::client::Connection::open(&socket).expect("it listens"),
        task::V2,
    );
    assert_eq!(again.connect(&late.id).expect("Connect").0, shim);
    sandbox.end(shim);
}

/// SIGKILL: what held the namespaces is gone with it, and `delete` takes the rest.
fn a_shim_that_is_killed(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), [POD, POD, POD]);
    process::kill(shim, Signal::KILL);
    let gone = || !process::is_alive(shim) && !process::is_alive(pid);
    assert!(
        process::eventually(Duration::from_secs(4), gone),
        "{}",
        process::describe(pid)
    );
    lab.delete(sandbox.as_container());
    nothing_mounted(&sandbox);
}

fn options_that_are_none(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (task, _) = shim_of(&sandbox);
    for bytes in [
        &b"\xff\xff\xff"[..],
        b"\x12\x7f",
        &[0x12, 3, 0xff, 0xfe, 0xfd],
    ] {
        refused(sandbox.create("", bytes), code::INVALID_ARGUMENT);
    }
    refused(sandbox.simple("SandboxStatus"), code::NOT_FOUND);
    task.shutdown(&sandbox.id).expect("Shutdown");
}
