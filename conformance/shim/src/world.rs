//! What a case has: a shim, bundles, a place of its own, and the removal of all that it leaves.
use crate::events::Events;
use crate::proto::{Message, any};
use crate::ttrpc::{Client, Failure};
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A case's surroundings.
pub struct World {
    /// The program under test.
    pub shim: PathBuf,
    /// A directory of its own.
    pub dir: PathBuf,
    /// containerd's namespace.
    pub namespace: String,
    /// Where the shim tells what happens.
    pub events: RefCell<Events>,
    /// Shims that were started.
    pids: RefCell<Vec<u32>>,
    bundles: RefCell<Vec<String>>,
    /// Held open, as containerd does.
    logs: RefCell<Vec<File>>,
}

/// How a program ends, with what it said.
pub struct Said {
    pub ok: bool,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl World {
    /// For one case.
    pub fn new(shim: &Path) -> World {
        // A socket's path has an end at 107 bytes, and a name of 64 in it.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ts-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("make the case's directory");
        World {
            shim: shim.to_owned(),
            events: RefCell::new(Events::new(&dir.join("events.sock"))),
            namespace: format!("ts-{}-{number}", std::process::id()),
            dir,
            pids: RefCell::default(),
            bundles: RefCell::default(),
            logs: RefCell::default(),
        }
    }

    /// Whether it is ours: some of what is demanded the Go shim of 1.6 does not know.
    pub fn is_ours(&self) -> bool {
        self.shim
            .file_name()
            .is_some_and(|name| name.to_string_lossy().contains("tare"))
    }

    /// A bundle whose program is this.
    pub fn bundle(&self, id: &str, args: &[&str]) -> PathBuf {
        self.bundle_with(id, args, &|_| {})
    }

    /// A bundle whose config is changed by `change`.
    pub fn bundle_with(&self, id: &str, args: &[&str], change: &dyn Fn(&mut Value)) -> PathBuf {
        let bundle = self.dir.join(id);
        let root = bundle.join("rootfs");
        make_root(&root);
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": {
                "user": { "uid": 0, "gid": 0 },
                "args": args,
                "env": ["PATH=/bin", "TERM=xterm"],
                "cwd": "/",
            },
            "root": { "path": "rootfs" },
            "hostname": "shim",
            "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"] },
                { "destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"] },
            ],
            "linux": {
                "cgroupsPath": format!("/{}/{id}", self.namespace),
                "namespaces": [{ "type": "pid" }, { "type": "mount" }, { "type": "ipc" }, { "type": "uts" }],
            },
        });
        change(&mut config);
        std::fs::write(bundle.join("config.json"), config.to_string()).expect("write config.json");
        let log = bundle.join("log");
        mkfifoat(CWD, &log, Mode::RWXU).expect("make the log fifo");
        let held = File::options()
            .read(true)
            .write(true)
            .open(&log)
            .expect("open the log fifo");
        self.logs.borrow_mut().push(held);
        self.bundles.borrow_mut().push(id.to_owned());
        bundle
    }

    /// Calls the program as containerd does.
    pub fn run(&self, bundle: &Path, id: &str, action: &[&str], input: &[u8]) -> Said {
        let mut command = Command::new(&self.shim);
        command
            .current_dir(bundle)
            .args([
                "-namespace",
                &self.namespace,
                "-address",
                "/run/containerd/containerd.sock",
            ])
            .args(["-publish-binary", "/usr/bin/containerd", "-id", id])
            .args(action)
            .env("TTRPC_ADDRESS", self.dir.join("events.sock"))
            .env("GRPC_ADDRESS", "/run/containerd/containerd.sock")
            .env("MAX_SHIM_VERSION", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the shim");
        child
            .stdin
            .take()
            .expect("piped")
            .write_all(input)
            .expect("write its input");
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().expect("its output");
        Said {
            ok: status.success(),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Starts a server; returns its address without the scheme.
    pub fn start(&self, bundle: &Path, id: &str) -> String {
        let said = self.run(bundle, id, &["start"], b"");
        assert!(said.ok, "start: {}", said.stderr);
        let text = String::from_utf8(said.stdout).expect("an address");
        text.trim().trim_start_matches("unix://").to_owned()
    }

    /// Connects to a server, and remembers it for the end.
    pub fn connect(&self, address: &str, id: &str) -> Client {
        let mut client = Client::connect(address)
            .unwrap_or_else(|error| panic!("connect to {address}: {error}"));
        if let Ok(answer) = client.call("Connect", &Message::new().text(1, id)) {
            self.pids.borrow_mut().push(answer.get(1) as u32);
        }
        client
    }

    /// The newest server's pid.
    pub fn pid(&self) -> u32 {
        *self.pids.borrow().last().expect("a server")
    }

    /// A bundle, a server and a task that has been created.
    pub fn created(&self, id: &str, args: &[&str]) -> Client {
        let bundle = self.bundle(id, args);
        let mut client = self.connect(&self.start(&bundle, id), id);
        client.call("Create", &self.create(id)).expect("Create");
        client
    }

    /// The same, started.
    pub fn started(&self, id: &str, args: &[&str]) -> Client {
        let mut client = self.created(id, args);
        client.call("Start", &which(id, "")).expect("Start");
        client
    }

    /// A Create request without streams.
    pub fn create(&self, id: &str) -> Message {
        Message::new()
            .text(1, id)
            .text(2, &self.dir.join(id).to_string_lossy())
    }

    /// A fifo.
    pub fn fifo(&self, name: &str) -> String {
        let path = self.dir.join(name);
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("make a fifo");
        path.to_string_lossy().into_owned()
    }

    /// Memory of the server, kB.
    pub fn resident(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .expect("VmRSS");
        line.split_whitespace()
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("kB")
    }

    /// Descriptors of the server.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .expect("its descriptors")
            .count()
    }

    /// Takes everything away.
    pub fn clean(&self) {
        for id in self.bundles.borrow().iter() {
            let bundle = self.dir.join(id);
            if bundle.is_dir() {
                let path = bundle.to_string_lossy().into_owned();
                self.run(&bundle, id, &["-bundle", &path, "delete"], b"");
            }
        }
        for pid in self.pids.borrow().iter() {
            if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed())
                && std::fs::read_link(format!("/proc/{}/exe", pid.as_raw_pid()))
                    .is_ok_and(|exe| exe.file_name() == self.shim.file_name())
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for id in self.bundles.borrow().iter() {
            let _ = rustix::mount::unmount(
                self.dir.join(id).join("rootfs"),
                rustix::mount::UnmountFlags::DETACH,
            );
        }
        let _ = std::fs::remove_dir_all(&self.dir);
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup")
            .into_iter()
            .flatten()
            .flatten()
        {
            let _ = std::fs::remove_dir(hierarchy.path().join(&self.namespace));
        }
        let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(&self.namespace));
    }
}

/// A process of a task.
pub fn which(id: &str, exec: &str) -> Message {
    Message::new().text(1, id).text(2, exec)
}

/// An Exec request.
pub fn exec(id: &str, exec: &str, args: &[&str]) -> Message {
    let process = json!({
        "user": { "uid": 0, "gid": 0 }, "args": args, "env": ["PATH=/bin"], "cwd": "/",
    });
    let kind = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    which(id, exec).message(7, &any(kind, process.to_string().as_bytes()))
}

/// A Kill request.
pub fn kill(id: &str, exec: &str, signal: u64) -> Message {
    which(id, exec).number(3, signal)
}

/// Waits until something holds.
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The call must fail with this code.
pub fn refused(result: Result<Message, Failure>, code: u64) -> String {
    match result {
        Ok(_) => panic!("it succeeded instead of failing with code {code}"),
        Err(failure) => {
            assert_eq!(failure.code, code, "{}", failure.message);
            failure.message
        }
    }
}

fn make_root(root: &Path) {
    for directory in ["bin", "dev", "proc", "tmp"] {
        std::fs::create_dir_all(root.join(directory)).expect("make the root");
    }
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).expect("copy busybox");
    for applet in [
        "sh", "true", "sleep", "echo", "cat", "stty", "dd", "tty", "head", "yes", "tail",
    ] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("link");
    }
}
