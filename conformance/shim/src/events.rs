//! The Events service that containerd has for its shims: keeps what is forwarded, in order; can go away and come back, or be slow.

use crate::wire::{self, Fields, Message};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const FORWARD: (&str, &str) = ("containerd.services.events.ttrpc.v1.Events", "Forward");

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub namespace: String,
    pub topic: String,
    /// The message's name without its package.
    pub kind: String,
    pub container: String,
    pub exec: String,
    pub pid: i32,
    pub status: u64,
    /// The whole message.
    pub fields: Fields,
}

impl Event {
    /// `TaskExit c1` or `TaskExit c1/exec`.
    pub fn name(&self) -> String {
        let slash = if self.exec.is_empty() { "" } else { "/" };
        format!("{} {}{slash}{}", self.kind, self.container, self.exec)
    }
}

#[derive(Default)]
struct Shared {
    events: Mutex<Vec<Event>>,
    came: Condvar,
    delay: AtomicU64,
    closing: AtomicBool,
    clients: Mutex<Vec<UnixStream>>,
    connections: AtomicU64,
}

pub struct Events {
    pub path: PathBuf,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

impl Events {
    pub fn serve(path: &Path) -> Self {
        let mut events = Self {
            path: path.to_owned(),
            shared: Arc::default(),
            acceptor: None,
        };
        events.restart();
        events
    }

    /// As containerd does when it ends: all connections and the socket go.
    pub fn stop(&mut self) {
        let Some(acceptor) = self.acceptor.take() else {
            return;
        };
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes accept.
        let _ = UnixStream::connect(&self.path);
        acceptor.join().expect("the acceptor does not panic");
        let _ = std::fs::remove_file(&self.path);
        for client in self.clients().drain(..) {
            let _ = client.shutdown(Shutdown::Both);
        }
    }

    pub fn restart(&mut self) {
        let listener = UnixListener::bind(&self.path).expect("the case's own directory");
        self.shared.closing.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        self.acceptor = Some(std::thread::spawn(move || accept(&listener, &shared)));
    }

    /// Answers come that much later.
    pub fn delay(&self, by: Duration) {
        self.shared
            .delay
            .store(by.as_millis() as u64, Ordering::SeqCst);
    }

    pub fn all(&self) -> Vec<Event> {
        self.shared.events.lock().expect("no panic").clone()
    }

    /// The events of one container, by name.
    pub fn names(&self, container: &str) -> Vec<String> {
        let all = self.all();
        let own = all.iter().filter(|event| event.container == container);
        own.map(Event::name).collect()
    }

    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The first event of that name, at most ten seconds from now.
    #[track_caller]
    pub fn await_event(&self, name: &str) -> Event {
        let found = self.await_that(Duration::from_secs(10), |events| {
            events.iter().any(|event| event.name() == name)
        });
        let all = self.all();
        let event = all.into_iter().find(|event| event.name() == name);
        match event.filter(|_| found) {
            Some(event) => event,
            None => panic!("no {name} came; there were {:?}", self.brief()),
        }
    }

    pub fn await_that(&self, limit: Duration, holds: impl Fn(&[Event]) -> bool) -> bool {
        let end = Instant::now() + limit;
        let mut events = self.shared.events.lock().expect("no panic");
        loop {
            if holds(&events) {
                return true;
            }
            let Some(left) = end.checked_duration_since(Instant::now()) else {
                return false;
            };
            events = self
                .shared
                .came
                .wait_timeout(events, left)
                .expect("no panic")
                .0;
        }
    }

    pub fn brief(&self) -> Vec<String> {
        self.all().iter().map(Event::name).collect()
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, Vec<UnixStream>> {
        self.shared.clients.lock().expect("no panic")
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let Ok(client) = client else { break };
        if shared.closing.load(Ordering::SeqCst) {
            break;
        }
        shared.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = client.try_clone() {
            shared.clients.lock().expect("no panic").push(copy);
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(client, &shared));
    }
}

fn serve(mut client: UnixStream, shared: &Shared) {
    while let Ok(frame) = wire::read_frame(&mut client) {
        std::thread::sleep(Duration::from_millis(shared.delay.load(Ordering::SeqCst)));
        let event = read(&frame.payload);
        let answer = match event {
            Some(_) => Message::new(),
            None => {
                let status = Message::new()
                    .number(1, 12)
                    .text(2, "only Forward is served");
                Message::new().message(1, status)
            }
        };
        let reply = wire::frame(frame.stream, wire::RESPONSE, &answer.done());
        if client.write_all(&reply).is_err() {
            break;
        }
        // Not before it is answered: who sees an event here may stop the server, and the shim would rightly send it again.
        if let Some(event) = event {
            shared.events.lock().expect("no panic").push(event);
            shared.came.notify_all();
        }
    }
}

fn read(request: &[u8]) -> Option<Event> {
    let request = Fields::read(request).ok()?;
    if (request.text(1).as_str(), request.text(2).as_str()) != FORWARD {
        return None;
    }
    let envelope = request.message(3).message(1);
    let any = envelope.message(4);
    let fields = any.message(2);
    let url = any.text(1);
    let kind = url.rsplit('.').next().unwrap_or_default().to_owned();
    // Numbers of events/task.proto.
    let (exec, pid, status) = match kind.as_str() {
        "TaskCreate" => (0, 6, 0),
        "TaskStart" => (0, 2, 0),
        "TaskExit" => (2, 3, 4),
        "TaskDelete" => (5, 2, 3),
        "TaskExecAdded" => (2, 0, 0),
        "TaskExecStarted" => (2, 3, 0),
        _ => (0, 0, 0),
    };
    let container = fields.text(1);
    // Older shims name init's process by the container's id, newer ones by nothing.
    let exec = Some(fields.text(exec)).filter(|exec| *exec != container);
    Some(Event {
        namespace: envelope.text(2),
        topic: envelope.text(3),
        kind,
        exec: exec.unwrap_or_default(),
        pid: fields.number(pid) as i32,
        status: fields.number(status),
        container,
        fields,
    })
}
