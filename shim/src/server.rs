//! The server: one thread that waits for everything at once, and answers.
//!
//! What blocks is done by [`crate::work`] on threads that come and go; their results come back as one more thing to wait for. So
//! `State` is answered while a container is being made, and at rest there is one thread that sleeps.
use crate::arguments::Arguments;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::life::Which;
use crate::publish::Publisher;
use crate::task::{Caller, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tare_runtime::SignalReceiver;
use tare_shim_wire::messages::events::Event;
use tare_supervisor::{Interest, Jobs, Poll, Progress, Ready, Relay};

mod adopt;
mod calls;
mod done;
mod ends;
mod flows;
mod pods;
mod quick;
mod talk;

pub(crate) use done::Done;

/// What a token is of, in its upper byte; below it is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Listener = 1,
    Signals,
    Jobs,
    Events,
    Connection,
    Exit,
    Oom,
    Source,
    Target,
    Pod,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Listener,
        Kind::Signals,
        Kind::Jobs,
        Kind::Events,
        Kind::Connection,
        Kind::Exit,
        Kind::Oom,
        Kind::Source,
        Kind::Target,
        Kind::Pod,
    ];

    fn token(self, number: u64) -> u64 {
        (self as u64) << 56 | number
    }

    fn of(token: u64) -> Option<(Kind, u64)> {
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| *kind as u64 == token >> 56)?;
        Some((kind, token & (u64::MAX >> 8)))
    }
}

/// How long output that is still on its way may hold up a Delete.
const DRAIN: Duration = Duration::from_secs(10);
/// After so long without a call the server has settled.
const REST: Duration = Duration::from_secs(2);
/// How long a client of the sandbox service may take to hang up before the server does.
const POLITE: Duration = Duration::from_millis(500);
/// How long events may hold up the end of the server.
const LAST_EVENTS: Duration = Duration::from_secs(3);

/// A relay, and what is polled of it now.
struct Flow {
    relay: Relay,
    waits: Progress,
    /// Regular files can't be polled, and need not be.
    polled: bool,
}

/// A Delete that waits for output.
struct Draining {
    caller: Caller,
    id: String,
    which: Which,
    until: Instant,
}

/// All of it.
pub(crate) struct Server {
    namespace: String,
    socket: PathBuf,
    poll: Poll,
    listener: UnixListener,
    signals: SignalReceiver,
    jobs: Jobs<Done>,
    publisher: Publisher,
    connections: BTreeMap<u64, Connection>,
    tasks: BTreeMap<String, Task>,
    /// Ids of tasks that are being made.
    making: BTreeSet<String>,
    flows: BTreeMap<u64, Flow>,
    /// By the numbers of their tokens.
    exits: BTreeMap<u64, (String, Which)>,
    ooms: BTreeMap<u64, String>,
    draining: Vec<Draining>,
    sandboxes: BTreeMap<String, pods::Sandbox>,
    /// What holds sandboxes' namespaces, by the numbers of their tokens.
    pins: BTreeMap<u64, String>,
    /// A number that no token has had.
    next: u64,
    /// Closed for a moment when no descriptor is left, so that a client can be taken and turned away.
    spare: Option<OwnedFd>,
    /// Children have ended while a job, which may wait for one of its own, was in hand.
    reap: bool,
    stopping: Option<Instant>,
    /// Who is to hang up first, if he does soon: a client may lose an answer that comes together with the end.
    polite: Option<Instant>,
    /// Something was done since the last rest.
    restless: bool,
}

/// Serves the socket that is standard input, until told to stop.
///
/// # Errors
/// When the server can't be set up.
pub fn serve(arguments: &Arguments) -> Result<(), Failure> {
    let mut server =
        Server::new(arguments).map_err(|error| Failure::io("set up the server", &error))?;
    if !arguments.bundle.as_os_str().is_empty() {
        server.adopt(&arguments.bundle);
    }
    let result = server.run();
    let _ = std::fs::remove_file(&server.socket);
    result.map_err(|error| Failure::io("serve", &error))
}

impl Server {
    fn new(arguments: &Arguments) -> io::Result<Server> {
        let listener = UnixListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
        listener.set_nonblocking(true)?;
        if std::env::var_os("SCHED_CORE").is_some_and(|value| !value.is_empty()) {
            let scope = rustix::thread::CoreSchedulingScope::ProcessGroup;
            let own = rustix::process::getpid();
            if let Err(errno) = rustix::thread::create_core_scheduling_cookie(own, scope) {
                let error = io::Error::from(errno);
                eprintln!(
                    "SCHED_CORE: make a cookie for core scheduling: {error}; without SMT, or CONFIG_SCHED_CORE, the kernel has none, and none is needed: the shim goes on"
                );
            }
        }
        tare_supervisor::adopt_orphans()?;
        let signals = SignalReceiver::new().map_err(|error| io::Error::other(error.report()))?;
        let address = std::env::var("TTRPC_ADDRESS").unwrap_or_default();
        let server = Server {
            namespace: arguments.namespace.clone(),
            socket: arguments.socket.clone(),
            poll: Poll::new()?,
            listener,
            signals,
            jobs: Jobs::new()?,
            publisher: Publisher::new(&address, &arguments.namespace),
            connections: BTreeMap::new(),
            tasks: BTreeMap::new(),
            making: BTreeSet::new(),
            flows: BTreeMap::new(),
            exits: BTreeMap::new(),
            ooms: BTreeMap::new(),
            draining: Vec::new(),
            sandboxes: BTreeMap::new(),
            pins: BTreeMap::new(),
            next: 0,
            spare: Some(std::fs::File::open("/dev/null")?.into()),
            reap: false,
            stopping: None,
            polite: None,
            restless: true,
        };
        let poll = &server.poll;
        poll.add(&server.listener, Kind::Listener.token(0), Interest::Read)?;
        poll.add(&server.signals, Kind::Signals.token(0), Interest::Read)?;
        poll.add(&server.jobs, Kind::Jobs.token(0), Interest::Read)?;
        Ok(server)
    }

    fn run(&mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            if let Some(until) = self.stopping {
                let unsent = self.connections.values().any(Connection::wants_write);
                let waits =
                    self.polite.is_some_and(|polite| polite > now) && !self.connections.is_empty();
                if until <= now || (self.publisher.is_idle() && !unsent && !waits) {
                    return Ok(());
                }
            }
            let polite = self.polite.filter(|polite| *polite > now);
            let wakes = [self.publisher.wake(), self.stopping, polite];
            let drains = self.draining.iter().map(|draining| draining.until);
            let rest = (self.restless && self.jobs.running() == 0).then(|| now + REST);
            let wake = wakes.into_iter().flatten().chain(drains).chain(rest).min();
            let ready = self
                .poll
                .wait(wake.map(|wake| wake.saturating_duration_since(now)))?;
            if ready.is_empty() && rest.is_some_and(|rest| rest <= Instant::now()) {
                self.restless = false;
                forget();
            }
            for ready in ready {
                self.restless = true;
                self.ready(ready)?;
            }
            self.drained();
            self.events();
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn ready(&mut self, ready: Ready) -> io::Result<()> {
        match Kind::of(ready.token) {
            Some((Kind::Listener, _)) => self.accept()?,
            Some((Kind::Signals, _)) => self.signal(),
            Some((Kind::Jobs, _)) => {
                for done in self.jobs.done() {
                    self.done(done);
                }
                if self.reap && self.jobs.running() == 0 {
                    self.reap();
                }
            }
            Some((Kind::Connection, id)) => self.talk(id, ready),
            Some((Kind::Exit, number)) => self.exited(number),
            Some((Kind::Pod, number)) => self.unheld(number),
            Some((Kind::Oom, number)) => self.out_of_memory(number),
            Some((Kind::Source | Kind::Target, number)) => self.pump(number),
            // `events` looks at it after each wait.
            Some((Kind::Events, _)) | None => {}
        }
        Ok(())
    }

    pub(crate) fn publish<E: Event>(&mut self, event: &E) {
        self.publisher.publish(event);
    }

    /// The connection to containerd may be a new one, or want something else.
    fn events(&mut self) {
        self.publisher.advance();
        if let Some((socket, wants)) = self.publisher.wants() {
            let interest = if wants.write {
                Interest::Both
            } else {
                Interest::Read
            };
            let token = Kind::Events.token(0);
            let changed = self.poll.change(socket, token, interest);
            if changed.is_err()
                && let Err(error) = self.poll.add(socket, token, interest)
            {
                eprintln!("events: {error}");
            }
        }
    }
}

/// What was used to do the last thing is not needed to wait for the next.
fn forget() {
    #[cfg(target_env = "musl")]
    let _ = tare_sys::mem::forget_text();
}
