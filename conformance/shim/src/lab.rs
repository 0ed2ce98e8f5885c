//! What a case works with: a directory, a namespace, an Events server, a way to start the shim, and cleaning up after it.

use crate::args::CaseOptions;
use crate::client::{Connection, Status};
use crate::container::Container;
use crate::events::Events;
use crate::task::{self, End, Task};
use crate::wire::{Fields, Message, any};
use crate::{leaks, process, reaper};
use rustix::process::Signal;
use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Where shims have their sockets unless told otherwise, and where runtimes keep state by namespace.
const SOCKETS: &str = "/run/containerd/s";
const STATES: [&str; 2] = ["/run/containerd/runc", "/run/containerd/tare"];

/// How long an action of the binary may take.
const ACTION: Duration = Duration::from_secs(10);

pub struct Lab {
    pub options: CaseOptions,
    pub namespace: String,
    pub events: Events,
    /// Of containerd's own socket, which nobody serves.
    pub address: PathBuf,
    known: RefCell<Vec<Known>>,
    log: Arc<Mutex<String>>,
}

/// A container that a shim was started for.
struct Known {
    id: String,
    bundle: PathBuf,
    socket: PathBuf,
}

/// How containerd of some version calls a shim.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Dialect {
    V1_6,
    V1_7,
    V2_0,
    /// BootstrapParams on standard input.
    V2_3,
}

/// How a call of the binary ended.
#[derive(Debug)]
pub struct Output {
    /// None when it was killed, or did not end or close its streams in time.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Output {
    /// What 1.7 to 2.2 make of an answer: JSON with version and address, or the bare address of version 2.
    #[track_caller]
    pub fn old_answer(&self) -> (u64, String) {
        let text = String::from_utf8_lossy(&self.stdout).trim().to_owned();
        match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(json) => {
                assert_eq!(json["protocol"], "ttrpc", "{text}");
                let address = json["address"].as_str().unwrap_or_default().to_owned();
                (json["version"].as_u64().unwrap_or(0), address)
            }
            Err(_) => (2, text),
        }
    }
}

impl Lab {
    pub fn new(options: CaseOptions) -> Self {
        let events = Events::serve(&options.directory.join("events.sock"));
        Self {
            namespace: options.tag.clone(),
            address: options.directory.join("containerd.sock"),
            options,
            events,
            known: RefCell::default(),
            log: Arc::default(),
        }
    }

    pub fn directory(&self) -> &Path {
        &self.options.directory
    }

    /// A container whose bundle is not written yet; its id ends in `-NAME`.
    pub fn container(&self, name: &str, arguments: &[&str]) -> Container {
        Container::new(&self.options, name, arguments)
    }

    /// Runc's options as they are sent with Create, when there is anything to say.
    pub fn runc_options(&self) -> Option<Message> {
        let runc = self.options.runc.as_ref()?;
        let options = Message::new().text(6, &runc.to_string_lossy());
        Some(any("containerd.runc.v1.Options", &options.done()))
    }

    /// `start` in the oldest dialect; the service at the address that was printed.
    #[track_caller]
    pub fn start(&self, container: &Container) -> Task {
        let socket = self.start_socket(container);
        self.connect(&socket)
    }

    #[track_caller]
    pub fn start_socket(&self, container: &Container) -> PathBuf {
        let output = self.start_output(container, Dialect::V1_6, &[]);
        self.socket(
            container,
            &output,
            std::str::from_utf8(&output.stdout).unwrap_or(""),
        )
    }

    /// The socket behind an address that `start` printed; it is cleaned up with the case.
    #[track_caller]
    pub fn socket(&self, container: &Container, output: &Output, address: &str) -> PathBuf {
        assert!(
            output.code == Some(0) && output.stderr.is_empty(),
            "start: {output:?}"
        );
        let path = address.trim().strip_prefix("unix://");
        let path = PathBuf::from(path.unwrap_or_else(|| panic!("no address: {output:?}")));
        self.known.borrow_mut().push(Known {
            id: container.id.clone(),
            bundle: container.bundle.clone(),
            socket: path.clone(),
        });
        path
    }

    #[track_caller]
    pub fn connect(&self, socket: &Path) -> Task {
        self.connect_by(socket, 2)
    }

    /// By the version of the task service that the shim told.
    #[track_caller]
    pub fn connect_by(&self, socket: &Path, version: u64) -> Task {
        let connection = Connection::open(socket);
        let connection = connection.unwrap_or_else(|error| panic!("{}: {error}", socket.display()));
        Task::new(connection, if version == 3 { task::V3 } else { task::V2 })
    }

    pub fn start_output(&self, container: &Container, dialect: Dialect, stdin: &[u8]) -> Output {
        self.follow_log(container);
        let mut command = self.command(container, dialect);
        command.arg("start");
        finish(command, stdin)
    }

    /// The same with a variable more in its environment.
    pub fn start_with(&self, container: &Container, key: &str, value: &str) -> Output {
        self.follow_log(container);
        let mut command = self.command(container, Dialect::V1_6);
        command.env(key, value).arg("start");
        finish(command, b"")
    }

    /// The same, to be called on another thread.
    pub fn start_later(&self, container: &Container) -> impl FnOnce() -> Output + Send + use<> {
        self.follow_log(container);
        let mut command = self.command(container, Dialect::V1_6);
        command.arg("start");
        move || finish(command, b"")
    }

    /// `delete`, which has nothing but what is on disk.
    #[track_caller]
    pub fn delete(&self, container: &Container) -> End {
        let output = self.delete_output(container);
        assert_eq!(output.code, Some(0), "delete: {output:?}");
        let fields = Fields::read(&output.stdout);
        task::end(&fields.unwrap_or_else(|error| panic!("delete: {error}; {output:?}")))
    }

    pub fn delete_output(&self, container: &Container) -> Output {
        let mut command = self.command(container, Dialect::V1_6);
        command.arg("-bundle").arg(&container.bundle).arg("delete");
        finish(command, b"")
    }

    /// The shim with other words, in the case's directory.
    pub fn plain(&self, words: &[&str], stdin: &[u8]) -> Output {
        let mut command = Command::new(&self.options.shim);
        command.current_dir(self.directory()).args(words);
        finish(command, stdin)
    }

    fn command(&self, container: &Container, dialect: Dialect) -> Command {
        let mut command = Command::new(&self.options.shim);
        command
            .current_dir(&container.bundle)
            .args(["-namespace", &self.namespace, "-address"])
            .arg(&self.address)
            .args(["-publish-binary", "/no/such/containerd", "-id"])
            .arg(&container.id)
            .env("TTRPC_ADDRESS", &self.events.path)
            .env("GOMAXPROCS", "2");
        if dialect != Dialect::V1_6 {
            command
                .env("MAX_SHIM_VERSION", "2")
                .env("GRPC_ADDRESS", &self.address)
                .env("NAMESPACE", &self.namespace);
        }
        command
    }

    /// As containerd does: reads the fifo `log` in the bundle.
    fn follow_log(&self, container: &Container) {
        let path = container.bundle.join("log");
        if path.exists() || !container.bundle.is_dir() {
            return;
        }
        crate::fifo::make(&path);
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            // Shims come and go, the fifo's end here stays.
            let opened = File::options().read(true).write(true).open(path);
            let Ok(mut file) = opened else {
                return;
            };
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = file.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..count]);
                log.lock().expect("no panic").push_str(&text);
            }
        });
    }

    /// What shims have logged, for a failure's message.
    pub fn log(&self) -> String {
        let log = self.log.lock().expect("no panic");
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(8)..];
        if last.is_empty() {
            return String::new();
        }
        format!("\nlog: {}", last.join("\nlog: "))
    }

    /// Ends in an orderly way all that the case has left, then names all that is still there and clears it.
    pub fn finish(&self) -> Vec<String> {
        let mut left = Vec::new();
        let known = self.known.take();
        let mut sockets: Vec<PathBuf> = known.iter().map(|one| one.socket.clone()).collect();
        sockets.sort();
        sockets.dedup();
        for socket in &sockets {
            let own: Vec<&Known> = known.iter().filter(|one| one.socket == *socket).collect();
            if let Err(what) = self.end_shim(socket, &own) {
                left.push(what);
            }
        }
        let roots = STATES.map(|root| Path::new(root).join(&self.namespace));
        let watch = leaks::Watch {
            tag: &self.options.tag,
            directory: self.directory(),
            roots: &roots,
            temporary: None,
            descriptors: None,
        };
        left.extend(leaks::find(&watch));
        for socket in sockets.iter().filter(|socket| socket.exists()) {
            left.push(format!("socket {}", socket.display()));
            let _ = fs::remove_file(socket);
        }
        if !left.is_empty() {
            leaks::clear(&watch);
        }
        remove_state(&self.options.tag);
        left
    }

    /// Ends a container in the case's midst, whatever state it is in; its shim lives on if it has others.
    #[track_caller]
    pub fn end(&self, container: &Container) {
        let socket = self
            .known
            .borrow()
            .first()
            .map(|known| known.socket.clone());
        let task = self.connect(&socket.expect("a shim was started"));
        let ended = end_container(&task, &container.id);
        ended.unwrap_or_else(|status| panic!("{}: {status}", container.id));
        let _ = task.shutdown(&container.id);
    }

    fn end_shim(&self, socket: &Path, containers: &[&Known]) -> Result<(), String> {
        let Ok(connection) = Connection::open(socket) else {
            for one in containers.iter().filter(|one| one.bundle.is_dir()) {
                let container = self.container_of(one);
                let output = self.delete_output(&container);
                // It may say that nothing was there; what is there then is found below.
                if output.code.is_none() {
                    return Err(format!("delete {}: {output:?}", one.id));
                }
            }
            let _ = fs::remove_file(socket);
            return Ok(());
        };
        let task = Task::new(connection, task::V2);
        let pid = task.connect(&containers[0].id).map_or(0, |pids| pids.0);
        for one in containers {
            end_container(&task, &one.id).map_err(|status| format!("{}: {status}", one.id))?;
        }
        // It may close the connection before its answer is out.
        let _ = task.shutdown(&containers[0].id);
        let gone = || !process::is_alive(pid);
        if pid > 0 && !process::eventually(Duration::from_secs(4), gone) {
            return Err(format!(
                "the shim lives on after Shutdown: {}",
                process::describe(pid)
            ));
        }
        Ok(())
    }

    fn container_of(&self, known: &Known) -> Container {
        Container::at(&known.id, &known.bundle)
    }
}

/// Whatever the container does or does not do, it is gone afterwards.
fn end_container(task: &Task, id: &str) -> Result<(), Status> {
    if task.state(id, "").is_err() {
        return Ok(());
    }
    // Each may be needless or impossible; only the deletion counts.
    let _ = task.resume(id);
    let _ = task.kill_all(id, 9);
    let _ = task.kill(id, "", 9);
    let _ = task.begin_wait(id, "").within(Duration::from_secs(5));
    task.delete(id, "").map(drop)
}

/// Runs to the end of the program and of its streams, which a server that it leaves behind must not hold.
fn finish(mut command: Command, stdin: &[u8]) -> Output {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = reaper::spawn(&mut command);
    // It may not read its input.
    let _ = child.stdin.take().map(|mut pipe| pipe.write_all(stdin));
    let streams: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    let [stdout, stderr] = streams.map(|pipe| {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            let _ = sender.send(bytes);
        });
        receiver
    });
    let end = Instant::now() + ACTION;
    let status = process::wait_child(&mut child, ACTION);
    if status.is_none() {
        process::kill(child.id() as i32, Signal::KILL);
        let _ = child.wait();
    }
    let rest = || end.saturating_duration_since(Instant::now()) + Duration::from_secs(1);
    let stdout = stdout.recv_timeout(rest());
    let stderr = stderr.recv_timeout(rest());
    let ended = stdout.is_ok() && stderr.is_ok();
    let text = String::from_utf8_lossy(&stderr.unwrap_or_default()).into_owned();
    Output {
        code: status.and_then(|status| status.code()).filter(|_| ended),
        stdout: stdout.unwrap_or_default(),
        stderr: match ended {
            true => text,
            false => text + " (stdout or stderr stayed open)",
        },
    }
}

/// Runtimes leave their directory of a namespace.
pub fn remove_state(namespace: &str) {
    for root in STATES {
        let _ = fs::remove_dir_all(Path::new(root).join(namespace));
    }
}

/// Whether the default directory of sockets is where this one lies.
pub fn is_default_place(socket: &Path) -> bool {
    socket.starts_with(SOCKETS)
}
