//! The sandbox service as its client sees it, kubelet's words for a pod, and a network namespace to put it in.

use crate::client::{Answer, Connection, Pending, Status};
use crate::container::Container;
use crate::lab::Lab;
use crate::task::{Task, V2};
use crate::wire::{Fields, Message, any};
use crate::{process, reaper};
use rustix::process::Signal;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

const SERVICE: &str = "containerd.runtime.sandbox.v1.Sandbox";

/// Whose namespace, by the numbers of kubelet's interface.
pub const POD: u64 = 0;
pub const CONTAINER: u64 = 1;
pub const NODE: u64 = 2;

/// The usual pod: network and IPC namespaces of its own, pid namespaces of its containers.
pub const OWN: [u64; 3] = [POD, CONTAINER, POD];

/// A sandbox with its shim.
pub struct Sandbox {
    pub connection: Connection,
    pub id: String,
    bundle: Container,
}

/// What SandboxStatus says.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub pid: i32,
    pub state: String,
    pub info: usize,
    pub created: bool,
    pub exited: bool,
}

impl Lab {
    /// A shim for a sandbox whose bundle holds nothing, as containerd makes it.
    #[track_caller]
    pub fn sandbox(&self, name: &str) -> Sandbox {
        let bundle = self.container(name, &["true"]);
        fs::remove_dir_all(bundle.bundle.join("rootfs")).expect("own directory");
        let socket = self.start_socket(&bundle);
        Sandbox {
            connection: Connection::open(&socket).expect("it listens"),
            id: bundle.id.clone(),
            bundle,
        }
    }
}

impl Sandbox {
    pub fn directory(&self) -> &Path {
        &self.bundle.bundle
    }

    /// For `Lab::delete`.
    pub fn as_container(&self) -> &Container {
        &self.bundle
    }

    pub fn call(&self, method: &str, message: Message) -> Answer {
        self.connection.call(SERVICE, method, &message.done())
    }

    pub fn begin(&self, method: &str, message: Message) -> Pending {
        self.connection.begin(SERVICE, method, &message.done())
    }

    fn named(&self) -> Message {
        Message::new().text(1, &self.id)
    }

    /// CreateSandbox.
    ///
    /// # Errors
    /// The shim's.
    pub fn create(&self, network: &str, config: &[u8]) -> Result<(), Status> {
        let options = any("runtime.v1.PodSandboxConfig", config);
        let message = self
            .named()
            .text(2, &self.bundle.bundle.to_string_lossy())
            .message(4, options)
            .text(5, network);
        self.call("CreateSandbox", message).map(drop)
    }

    /// StartSandbox: the pid.
    ///
    /// # Errors
    /// The shim's.
    pub fn start(&self) -> Result<i32, Status> {
        Ok(self.call("StartSandbox", self.named())?.number(1) as i32)
    }

    /// A call that names the sandbox and nothing else.
    ///
    /// # Errors
    /// The shim's.
    pub fn simple(&self, method: &str) -> Answer {
        self.call(method, self.named())
    }

    pub fn begin_wait(&self) -> Pending {
        self.begin("WaitSandbox", self.named())
    }

    /// SandboxStatus.
    ///
    /// # Errors
    /// The shim's.
    pub fn status(&self) -> Result<Found, Status> {
        let fields: Fields = self.call("SandboxStatus", self.named().flag(2, true))?;
        Ok(Found {
            pid: fields.number(2) as i32,
            state: fields.text(3),
            info: fields.messages(4).len(),
            created: fields.message(5).number(1) > 0,
            exited: fields.message(6).number(1) > 0,
        })
    }

    /// Stop and Shutdown, after which the shim is gone.
    #[track_caller]
    pub fn end(&self, shim: i32) {
        self.simple("StopSandbox").expect("StopSandbox");
        // It may close the connection before its answer is out.
        let _ = self.simple("ShutdownSandbox");
        let gone = || !process::is_alive(shim);
        assert!(
            process::eventually(Duration::from_secs(4), gone),
            "{}",
            process::describe(shim)
        );
    }
}

/// The task service beside it, and the shim's pid.
pub fn shim_of(sandbox: &Sandbox) -> (Task, i32) {
    let task = Task::new(sandbox.connection.clone(), V2);
    let pid = task.connect(&sandbox.id).expect("Connect").0;
    (task, pid)
}

/// Created and started: the pid of what holds it.
#[track_caller]
pub fn ready(sandbox: &Sandbox, network: &str, modes: [u64; 3]) -> i32 {
    let created = sandbox.create(network, &config(modes, &[]).done());
    created.expect("CreateSandbox");
    sandbox.start().expect("StartSandbox")
}

/// As CRI has it: in the sandbox's namespaces, and so in its shim.
pub fn member(lab: &Lab, sandbox: &Sandbox, pid: i32, name: &str, words: &[&str]) -> Container {
    let mut container = lab.container(name, words);
    container.spec.remove("hostname");
    for kind in ["network", "ipc", "uts"] {
        let file = if kind == "network" { "net" } else { kind };
        let path = format!("/proc/{pid}/ns/{file}");
        container.spec.namespace(kind, Some(&path));
    }
    container.spec["annotations"] = serde_json::json!({"io.kubernetes.cri.sandbox-id": sandbox.id});
    container
}

/// kubelet's words: modes of the network, pid and IPC namespaces, and sysctls.
pub fn config(modes: [u64; 3], sysctls: &[(&str, &str)]) -> Message {
    let [network, pid, ipc] = modes;
    let namespaces = Message::new()
        .number(1, network)
        .number(2, pid)
        .number(3, ipc);
    pod("/pods/one", namespaces, sysctls)
}

/// The same in a user namespace.
pub fn config_of_users() -> Message {
    let users = Message::new().number(1, POD);
    let namespaces = Message::new().number(2, CONTAINER).message(5, users);
    pod("/pods/one", namespaces, &[])
}

/// The usual pod with a cgroup, which is its maker's to make.
pub fn config_in(cgroup: &str) -> Message {
    pod(cgroup, Message::new().number(2, CONTAINER), &[])
}

fn pod(cgroup: &str, namespaces: Message, sysctls: &[(&str, &str)]) -> Message {
    let security = Message::new().message(1, namespaces);
    let linux = Message::new().text(1, cgroup).message(2, security);
    let linux = sysctls.iter().fold(linux, |linux, (name, value)| {
        linux.message(3, Message::new().text(1, name).text(2, value))
    });
    let dns = Message::new()
        .text(1, "10.1.2.3")
        .text(2, "cluster.local")
        .text(3, "ndots:5");
    Message::new()
        .text(2, "web-0")
        .message(4, dns)
        .message(8, linux)
}

/// A network namespace, held by a process.
pub struct Network(Child);

impl Network {
    #[track_caller]
    pub fn new() -> Self {
        Self::by(&["--net"])
    }

    /// Owned by a user namespace.
    #[track_caller]
    pub fn with_users() -> Self {
        Self::by(&["--user", "--map-root-user", "--net"])
    }

    #[track_caller]
    fn by(words: &[&str]) -> Self {
        let mut command = Command::new("unshare");
        command.args(words).args(["sleep", "1000"]);
        let network = Self(reaper::spawn(&mut command));
        let comm = format!("/proc/{}/comm", network.0.id());
        let runs = || fs::read_to_string(&comm).is_ok_and(|comm| comm.trim() == "sleep");
        assert!(process::eventually(Duration::from_secs(5), runs));
        network
    }

    pub fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }

    /// What a program of the host prints in it.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        let net = format!("--net={}", self.path());
        reaper::output(&[&["nsenter", &net, "--"], words].concat())
    }

    /// What the holder has of a kind.
    pub fn of(&self, kind: &str) -> String {
        namespace(self.0.id() as i32, kind)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        process::kill(self.0.id() as i32, Signal::KILL);
        let _ = self.0.wait();
    }
}

/// A process's namespace of a kind.
pub fn namespace(pid: i32, kind: &str) -> String {
    let link = fs::read_link(format!("/proc/{pid}/ns/{kind}"));
    link.map_or_else(
        |error| error.to_string(),
        |link| link.to_string_lossy().into_owned(),
    )
}
