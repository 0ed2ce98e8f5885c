//! A task as the server keeps it: its life, and for each of its processes what is open.
use crate::clock::stamp;
use crate::life::{Life, Stage, Which};
use crate::options::Options;
use crate::stdio::Streams;
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use tare_runtime::OomWatch;
use tare_shim_wire::messages::task::{Call, Mount, ProcessStatus, StateResponse};
use tare_supervisor::Writer;

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The connection.
    pub connection: u64,
    /// Its call.
    pub stream: u32,
}

/// A process.
#[derive(Debug, Default)]
pub struct Process {
    /// On the host; 0 before it begins.
    pub pid: u32,
    /// Until it has ended.
    pub pidfd: Option<OwnedFd>,
    /// As asked for.
    pub streams: Streams,
    /// The terminal's other side.
    pub console: Option<OwnedFd>,
    /// Fifos whose readers may go and come.
    pub kept: Vec<Writer>,
    /// Relays of its output.
    pub output: Vec<u64>,
    /// The relay of its input.
    pub input: Option<u64>,
    /// Whoever waits for its end.
    pub waiters: Vec<Caller>,
    /// An exec's, until it is started.
    pub spec: Option<tare_oci::Process>,
}

/// A task.
#[derive(Debug)]
pub struct Task {
    /// Its directory.
    pub bundle: PathBuf,
    /// What containerd is configured to.
    pub options: Options,
    /// The mounts of its root, which is ours to unmount.
    pub mounts: Vec<Mount>,
    /// What it may do next.
    pub life: Life,
    /// Its init.
    pub init: Process,
    /// The others by their ids.
    pub execs: BTreeMap<String, Process>,
    /// Frozen.
    pub paused: bool,
    /// Readable when memory ran out.
    pub oom: Option<OomWatch>,
    /// The end of init ends nobody else.
    pub shares_pids: bool,
    /// A verb is at work that no other may come between; those wait.
    pub busy: bool,
    /// Kills that are at work: their answers are out before that of Delete, after which a client may hang up.
    pub kills: usize,
    /// Calls that wait.
    pub waiting: VecDeque<(Caller, Call)>,
}

impl Task {
    /// A process by its name.
    pub fn process(&self, which: &Which) -> Option<&Process> {
        match which {
            Which::Init => Some(&self.init),
            Which::Exec(id) => self.execs.get(id),
        }
    }

    /// A process by its name.
    pub fn process_mut(&mut self, which: &Which) -> Option<&mut Process> {
        match which {
            Which::Init => Some(&mut self.init),
            Which::Exec(id) => self.execs.get_mut(id),
        }
    }

    /// The answer to State.
    pub fn state(&self, id: &str, which: &Which, stage: Stage) -> StateResponse {
        let empty = Process::default();
        let process = self.process(which).unwrap_or(&empty);
        let (status, exit) = match stage {
            Stage::Created | Stage::Starting => (ProcessStatus::Created, None),
            Stage::Running if self.paused && *which == Which::Init => (ProcessStatus::Paused, None),
            Stage::Running => (ProcessStatus::Running, None),
            Stage::Stopped(exit) => (ProcessStatus::Stopped, Some(exit)),
        };
        StateResponse {
            id: id.to_owned(),
            bundle: self.bundle.to_string_lossy().into_owned(),
            pid: process.pid,
            status: status as i32,
            stdin: process.streams.stdin.clone(),
            stdout: process.streams.stdout.clone(),
            stderr: process.streams.stderr.clone(),
            terminal: process.streams.terminal,
            exit_status: exit.map_or(0, |exit| exit.status),
            exited_at: exit.map(|exit| stamp(exit.at)),
            exec_id: which.exec_id().to_owned(),
        }
    }
}
