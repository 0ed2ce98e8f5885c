//! What a pod as such uses: in its cgroup, in its containers where it has none, in its network.

use super::refused;
use crate::case::{cases, skip};
use crate::client::code;
use crate::container::Container;
use crate::lab::Lab;
use crate::sandbox::{
    CONTAINER, NODE, Network, OWN, POD, Sandbox, config, config_in, member, ready, shim_of,
};
use crate::task::Task;
use crate::wire::Fields;
use crate::{leaks, process, reaper};
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

cases!("sandbox":
    metrics_of_its_cgroup,
    metrics_of_its_containers,
    metrics_of_another_pods_container,
    metrics_of_its_network,
    metrics_on_the_hosts_network,
    metrics_when_it_is_not_ready,
    metrics_of_no_cgroup,
);

/// What SandboxMetrics tells, of either version.
#[derive(Debug)]
struct Metrics {
    id: String,
    at: u64,
    pids: u64,
    memory: u64,
    limit: u64,
    cpu: u64,
    /// Name, bytes received, bytes sent.
    network: Vec<(String, u64, u64)>,
}

#[track_caller]
fn metrics(sandbox: &Sandbox) -> Metrics {
    let answer = sandbox.simple("SandboxMetrics");
    let metric = answer.expect("SandboxMetrics").message(1);
    let any = metric.message(3);
    let found = any.message(2);
    let (pids, memory, limit, cpu, network) = match any.text(1).as_str() {
        "io.containerd.cgroups.v1.Metrics" => {
            let usage = found.message(4).message(33);
            let cpu = found.message(3).message(1).number(1);
            let pids = found.message(2).number(1);
            (
                pids,
                usage.number(2),
                usage.number(1),
                cpu,
                found.messages(7),
            )
        }
        "io.containerd.cgroups.v2.Metrics" => {
            let memory = found.message(4);
            let cpu = found.message(2).number(1);
            let pids = found.message(1).number(1);
            (
                pids,
                memory.number(32),
                memory.number(33),
                cpu,
                found.messages(9),
            )
        }
        other => panic!("no metrics that containerd knows: {other}"),
    };
    let device = |one: &Fields| (one.text(1), one.number(2), one.number(6));
    Metrics {
        id: metric.text(2),
        at: metric.message(1).number(1),
        pids,
        memory,
        limit,
        cpu,
        network: network.iter().map(device).collect(),
    }
}

/// A cgroup as kubelet makes one for a pod, in all hierarchies that the case asks of; with a neighbour of the containers in it.
struct PodCgroup {
    name: String,
    neighbour: Child,
}

const MEMORY: u64 = 64 << 20;

impl PodCgroup {
    fn new(path: &str) -> Self {
        let mount = Path::new("/sys/fs/cgroup");
        let v2 = mount.join("cgroup.controllers").exists();
        let roots: &[&str] = if v2 {
            &[""]
        } else {
            &["cpu", "cpuacct", "memory", "pids"]
        };
        let mut directories: Vec<PathBuf> = roots
            .iter()
            .map(|root| mount.join(root).join(path.trim_start_matches('/')))
            .collect();
        // Controllers may be mounted together.
        let mut seen = Vec::new();
        directories.retain(|path| {
            let real = path.parent().and_then(|above| fs::canonicalize(above).ok());
            let new = !seen.contains(&real);
            seen.push(real);
            new
        });
        let neighbour = reaper::spawn(Command::new("sleep").arg("1000"));
        let pod = Self {
            name: path.trim_start_matches('/').to_owned(),
            neighbour,
        };
        for directory in &directories {
            let below = directory.join("neighbour");
            fs::create_dir_all(&below).expect("as root");
            if v2 {
                let wanted = "+cpu +memory +pids";
                if fs::write(directory.join("cgroup.subtree_control"), wanted).is_err() {
                    skip("cgroup v2 gives a pod no controllers here");
                }
            }
            fs::write(below.join("cgroup.procs"), pod.neighbour.id().to_string()).expect("its own");
            let limit = if v2 {
                "memory.max"
            } else {
                "memory.limit_in_bytes"
            };
            if directory.join(limit).exists() {
                fs::write(directory.join(limit), MEMORY.to_string()).expect("its own");
            }
        }
        pod
    }
}

impl Drop for PodCgroup {
    fn drop(&mut self) {
        process::kill(self.neighbour.id() as i32, Signal::KILL);
        let _ = self.neighbour.wait();
        // The container's runtime has made it in further hierarchies.
        for path in leaks::cgroups(&self.name).iter().rev() {
            // The kernel may be at it still; what stays is found as left.
            process::eventually(Duration::from_secs(2), || {
                fs::remove_dir(path).is_ok() || !path.exists()
            });
        }
    }
}

/// One that has done something and stays, with two processes.
#[track_caller]
fn busy(
    lab: &Lab,
    sandbox: &Sandbox,
    task: &Task,
    pid: i32,
    name: &str,
    cgroup: &str,
) -> Container {
    let line = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 100 & echo ready; wait";
    let mut container = member(lab, sandbox, pid, name, &["sh", "-c", line]);
    if !cgroup.is_empty() {
        let path = format!("{cgroup}/{}", container.id);
        container.spec.set("linux.cgroupsPath", path.as_str());
    }
    let output = container.read_stdout();
    container.write();
    lab.create(task, &container);
    task.start(&container.id, "").expect("Start");
    output.await_word("ready");
    container
}

#[track_caller]
fn end(task: &Task, container: &Container) {
    task.kill_all(&container.id, 9).expect("Kill");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
}

/// The pod's own figures: its limit, and what is in it beside containers.
fn metrics_of_its_cgroup(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let cgroup = format!("/{}-pod", sandbox.id);
    let kubelets = PodCgroup::new(&cgroup);
    sandbox
        .create(&network.path(), &config_in(&cgroup).done())
        .expect("CreateSandbox");
    let pid = sandbox.start().expect("StartSandbox");
    assert_eq!(metrics(&sandbox).pids, 1, "the neighbour");
    let container = busy(lab, &sandbox, &task, pid, "c", &cgroup);
    let found = metrics(&sandbox);
    assert_eq!(found.id, sandbox.id);
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs();
    assert!((now - 5..=now).contains(&found.at), "{} at {now}", found.at);
    assert_eq!(found.pids, 3, "the neighbour, the shell and its sleep");
    assert_eq!(found.limit, MEMORY);
    assert!((50_000..MEMORY).contains(&found.memory), "{found:?}");
    assert!(found.cpu > 0, "{found:?}");
    end(&task, &container);
    // What the container has used stays the pod's.
    let after = metrics(&sandbox);
    assert!(after.pids == 1 && after.cpu >= found.cpu, "{after:?}");
    drop(kubelets);
    sandbox.end(shim);
}

/// A pod whose cgroup nobody has made.
fn metrics_of_its_containers(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    let pid = ready(&sandbox, &network.path(), OWN);
    let nothing = metrics(&sandbox);
    assert_eq!((nothing.pids, nothing.memory, nothing.cpu), (0, 0, 0));
    let mut sum = (0, 0);
    let containers = ["one", "two"].map(|name| busy(lab, &sandbox, &task, pid, name, ""));
    for container in &containers {
        let (kind, found) = task.stats(&container.id).expect("Stats");
        let (memory, cpu) = match kind.as_str() {
            "io.containerd.cgroups.v1.Metrics" => (
                found.message(4).message(33).number(2),
                found.message(3).message(1).number(1),
            ),
            _ => (found.message(4).number(32), found.message(2).number(1)),
        };
        sum = (sum.0 + memory, sum.1 + cpu);
    }
    let found = metrics(&sandbox);
    assert_eq!(found.pids, 4, "two shells, each with its sleep");
    // They sleep: memory may be given back, time is not.
    assert!(
        (50_000..=sum.0 * 2).contains(&found.memory),
        "{found:?} {sum:?}"
    );
    assert!(
        found.cpu >= sum.1 && found.cpu < sum.1 * 2,
        "{found:?} {sum:?}"
    );
    end(&task, &containers[0]);
    assert_eq!(metrics(&sandbox).pids, 2);
    end(&task, &containers[1]);
    assert_eq!(metrics(&sandbox).pids, 0);
    sandbox.end(shim);
}

/// The shim serves it, and it is no part of the pod.
fn metrics_of_another_pods_container(lab: &mut Lab) {
    let network = Network::new();
    let sandbox = lab.sandbox("");
    let (task, shim) = shim_of(&sandbox);
    ready(&sandbox, &network.path(), OWN);
    let mut other = lab.container("other", &["sleep", "1000"]);
    other.spec["annotations"] = serde_json::json!({"io.containerd.runc.v2.group": sandbox.id});
    other.write();
    lab.create(&task, &other);
    task.start(&other.id, "").expect("Start");
    assert_eq!(metrics(&sandbox).pids, 0);
    end(&task, &other);
    sandbox.end(shim);
}

fn metrics_of_its_network(lab: &mut Lab) {
    let network = Network::new();
    for words in [
        "ip link add pod0 type veth peer name peer0",
        "ip addr add 10.9.9.1/24 dev pod0",
        "ip link set pod0 up",
        "ip link set peer0 up",
        "ip neigh add 10.9.9.2 lladdr 02:00:00:00:00:02 dev pod0",
    ] {
        network.run(&words.split(' ').collect::<Vec<_>>());
    }
    let table = network.run(&["cat", "/proc/net/dev"]);
    if !table.contains("pod0:") {
        skip("no pair of network devices (veth) can be made here");
    }
    // A thread, and a process, are looked at for it.
    for modes in [OWN, [POD, POD, POD]] {
        let sandbox = lab.sandbox(if modes == OWN { "" } else { "pids" });
        let (_, shim) = shim_of(&sandbox);
        ready(&sandbox, &network.path(), modes);
        let sent = || {
            let all = metrics(&sandbox).network;
            let mut names: Vec<&str> = all.iter().map(|device| device.0.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["peer0", "pod0"]);
            all.iter()
                .find(|device| device.0 == "pod0")
                .map_or(0, |device| device.2)
        };
        let before = sent();
        network.run(&[
            "busybox", "ping", "-c", "1", "-W", "1", "-s", "1000", "10.9.9.2",
        ]);
        let after = sent();
        assert!(after >= before + 1000, "{before} {after}");
        sandbox.end(shim);
    }
}

/// What the host's devices carry is not the pod's.
fn metrics_on_the_hosts_network(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    ready(&sandbox, "", [NODE, CONTAINER, POD]);
    assert_eq!(metrics(&sandbox).network, []);
    sandbox.end(shim);
}

fn metrics_when_it_is_not_ready(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let created = sandbox.create("", &config(OWN, &[]).done());
    created.expect("CreateSandbox");
    refused(sandbox.simple("SandboxMetrics"), code::FAILED_PRECONDITION);
    sandbox.start().expect("StartSandbox");
    metrics(&sandbox);
    sandbox.simple("StopSandbox").expect("StopSandbox");
    let words = refused(sandbox.simple("SandboxMetrics"), code::FAILED_PRECONDITION);
    assert!(words.contains("not ready"), "{words}");
    sandbox.end(shim);
}

/// A name that can be none: it is told, and nothing outside of the hierarchies is looked at.
fn metrics_of_no_cgroup(lab: &mut Lab) {
    let sandbox = lab.sandbox("");
    let (_, shim) = shim_of(&sandbox);
    let created = sandbox.create("", &config_in("/pods/../../../etc").done());
    created.expect("CreateSandbox");
    sandbox.start().expect("StartSandbox");
    let words = refused(sandbox.simple("SandboxMetrics"), code::INVALID_ARGUMENT);
    assert!(words.contains("`..`"), "{words}");
    assert!(leaks::cgroups(&sandbox.id).is_empty());
    sandbox.end(shim);
}
