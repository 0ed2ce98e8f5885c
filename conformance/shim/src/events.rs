//! containerd's side of events: takes them, keeps them in their order, and can be away.
use crate::proto::Message;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// An event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Such as `/tasks/start`.
    pub topic: String,
    /// containerd's namespace.
    pub namespace: String,
    /// What is told.
    pub body: Message,
}

/// The server.
pub struct Events {
    path: PathBuf,
    seen: Arc<Mutex<Vec<Event>>>,
    running: Option<Arc<AtomicBool>>,
}

impl Events {
    /// Begins to serve.
    pub fn new(path: &Path) -> Events {
        let mut events = Events {
            path: path.to_owned(),
            seen: Arc::default(),
            running: None,
        };
        events.come();
        events
    }

    /// Serves again.
    pub fn come(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let listener = UnixListener::bind(&self.path).expect("bind the events' socket");
        listener.set_nonblocking(true).expect("non-blocking");
        let (running, seen) = (Arc::new(AtomicBool::new(true)), Arc::clone(&self.seen));
        self.running = Some(Arc::clone(&running));
        std::thread::spawn(move || {
            while running.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        let (running, seen) = (Arc::clone(&running), Arc::clone(&seen));
                        std::thread::spawn(move || serve(socket, &running, &seen));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
    }

    /// Is away, like a containerd that was stopped.
    pub fn go(&mut self) {
        if let Some(running) = self.running.take() {
            running.store(false, Ordering::Relaxed);
        }
        let _ = std::fs::remove_file(&self.path);
        std::thread::sleep(Duration::from_millis(150));
    }

    /// What has come: topics without `/tasks/`, with the id of the process for `exit` and of the exec.
    pub fn told(&self) -> Vec<String> {
        self.seen().iter().map(words).collect()
    }

    /// All that has come.
    pub fn seen(&self) -> Vec<Event> {
        self.seen.lock().expect("no panic").clone()
    }

    /// Waits until as many have come.
    pub fn wait(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + Duration::from_secs(15);
        while self.seen().len() < count && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.told()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.store(false, Ordering::Relaxed);
        }
    }
}

fn words(event: &Event) -> String {
    let topic = event.topic.trim_start_matches("/tasks/");
    match topic {
        "exit" | "exec-added" | "exec-started" => {
            format!("{topic} {}", event.body.get_text(2))
        }
        _ => topic.to_owned(),
    }
}

fn serve(mut socket: UnixStream, running: &AtomicBool, seen: &Mutex<Vec<Event>>) {
    let _ = socket.set_read_timeout(Some(Duration::from_millis(50)));
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while running.load(Ordering::Relaxed) {
        match socket.read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(_) => return,
        }
        while bytes.len() >= 10 {
            let length = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
            if bytes.len() < 10 + length {
                break;
            }
            let request = Message::decode(&bytes[10..10 + length]).unwrap_or_default();
            let stream: Vec<u8> = bytes[4..8].to_vec();
            bytes.drain(..10 + length);
            let envelope = Message::decode(request.get_bytes(3))
                .unwrap_or_default()
                .get_message(1);
            seen.lock().expect("no panic").push(Event {
                topic: envelope.get_text(3),
                namespace: envelope.get_text(2),
                body: envelope.get_message(4).get_message(2),
            });
            let answer = [&[0, 0, 0, 0], stream.as_slice(), &[2, 0]].concat();
            if socket.write_all(&answer).is_err() {
                return;
            }
        }
    }
}
