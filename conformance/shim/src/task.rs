//! The task service as its client sees it: one function a method, messages by field numbers of shim.proto and of events.

use crate::client::{Answer, Connection, PATIENCE, Pending, Status};
use crate::wire::{Fields, Message, any};
use serde_json::Value;
use std::path::Path;

pub const V2: &str = "containerd.task.v2.Task";
pub const V3: &str = "containerd.task.v3.Task";

const PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const RESOURCES: &str = "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";

/// States of a task.
pub const CREATED: u64 = 1;
pub const RUNNING: u64 = 2;
pub const STOPPED: u64 = 3;
pub const PAUSED: u64 = 4;

/// Where a process's streams lead.
#[derive(Default, Clone, Debug)]
pub struct Stdio {
    pub terminal: bool,
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
}

/// A mount of a root file system.
pub struct Mount {
    pub kind: String,
    pub source: String,
    pub options: Vec<String>,
}

impl Mount {
    fn message(&self) -> Message {
        let message = Message::new().text(1, &self.kind).text(2, &self.source);
        self.options
            .iter()
            .fold(message, |message, option| message.text(4, option))
    }
}

/// The service under one of its names.
#[derive(Clone)]
pub struct Task {
    pub connection: Connection,
    service: &'static str,
}

/// What State says.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub id: String,
    pub pid: i32,
    pub status: u64,
    pub exit_status: u64,
    pub exited: bool,
    pub bundle: String,
    pub stdout: String,
    pub terminal: bool,
    pub exec_id: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    pub pid: i32,
    pub status: u64,
    /// Seconds of the clock.
    pub at: u64,
}

impl Task {
    pub fn new(connection: Connection, service: &'static str) -> Self {
        Self {
            connection,
            service,
        }
    }

    pub fn begin(&self, method: &str, message: Message) -> Pending {
        self.connection.begin(self.service, method, &message.done())
    }

    pub fn call(&self, method: &str, message: Message) -> Answer {
        self.connection.call(self.service, method, &message.done())
    }

    pub fn create(
        &self,
        id: &str,
        bundle: &Path,
        mounts: &[Mount],
        stdio: &Stdio,
        options: Option<Message>,
    ) -> Result<i32, Status> {
        let begun = self.begin_create(id, bundle, mounts, stdio, options);
        Ok(begun.within(PATIENCE)?.number(1) as i32)
    }

    pub fn begin_create(
        &self,
        id: &str,
        bundle: &Path,
        mounts: &[Mount],
        stdio: &Stdio,
        options: Option<Message>,
    ) -> Pending {
        let message = Message::new()
            .text(1, id)
            .text(2, &bundle.to_string_lossy());
        let message = mounts
            .iter()
            .fold(message, |message, mount| {
                message.message(3, mount.message())
            })
            .flag(4, stdio.terminal)
            .text(5, &stdio.stdin)
            .text(6, &stdio.stdout)
            .text(7, &stdio.stderr);
        let message = match options {
            Some(options) => message.message(10, options),
            None => message,
        };
        self.begin("Create", message)
    }

    pub fn start(&self, id: &str, exec: &str) -> Result<i32, Status> {
        Ok(self.call("Start", process(id, exec))?.number(1) as i32)
    }

    pub fn state(&self, id: &str, exec: &str) -> Result<State, Status> {
        let fields = self.call("State", process(id, exec))?;
        Ok(State {
            id: fields.text(1),
            bundle: fields.text(2),
            pid: fields.number(3) as i32,
            status: fields.number(4),
            stdout: fields.text(6),
            terminal: fields.number(8) != 0,
            exit_status: fields.number(9),
            // Go has the year 1 for "not yet".
            exited: fields.message(10).number(1).cast_signed() > 0,
            exec_id: fields.text(11),
        })
    }

    pub fn begin_wait(&self, id: &str, exec: &str) -> Pending {
        self.begin("Wait", process(id, exec))
    }

    /// The exit status.
    pub fn wait(&self, id: &str, exec: &str) -> Result<u64, Status> {
        Ok(self.call("Wait", process(id, exec))?.number(1))
    }

    pub fn kill(&self, id: &str, exec: &str, signal: u64) -> Result<(), Status> {
        let message = process(id, exec).number(3, signal);
        self.call("Kill", message).map(drop)
    }

    pub fn kill_all(&self, id: &str, signal: u64) -> Result<(), Status> {
        let message = process(id, "").number(3, signal).flag(4, true);
        self.call("Kill", message).map(drop)
    }

    pub fn delete(&self, id: &str, exec: &str) -> Result<End, Status> {
        self.call("Delete", process(id, exec))
            .map(|fields| end(&fields))
    }

    pub fn exec(&self, id: &str, exec: &str, spec: &Value, stdio: &Stdio) -> Result<(), Status> {
        let message = process(id, exec)
            .flag(3, stdio.terminal)
            .text(4, &stdio.stdin)
            .text(5, &stdio.stdout)
            .text(6, &stdio.stderr)
            .message(7, any(PROCESS, spec.to_string().as_bytes()));
        self.call("Exec", message).map(drop)
    }

    /// Pids, each with the exec it belongs to where the shim says so.
    pub fn pids(&self, id: &str) -> Result<Vec<(i32, Option<String>)>, Status> {
        let fields = self.call("Pids", Message::new().text(1, id))?;
        let one = |entry: &Fields| {
            let info = entry.message(2);
            let named = info.text(1).ends_with("containerd.runc.v1.ProcessDetails");
            let details = named.then(|| info.message(2).text(1));
            (entry.number(1) as i32, details)
        };
        Ok(fields.messages(1).iter().map(one).collect())
    }

    pub fn pause(&self, id: &str) -> Result<(), Status> {
        self.call("Pause", Message::new().text(1, id)).map(drop)
    }

    pub fn resume(&self, id: &str) -> Result<(), Status> {
        self.call("Resume", Message::new().text(1, id)).map(drop)
    }

    pub fn close_io(&self, id: &str, exec: &str) -> Result<(), Status> {
        self.call("CloseIO", process(id, exec).flag(3, true))
            .map(drop)
    }

    pub fn resize(&self, id: &str, exec: &str, columns: u64, rows: u64) -> Result<(), Status> {
        let message = process(id, exec).number(3, columns).number(4, rows);
        self.call("ResizePty", message).map(drop)
    }

    pub fn update(&self, id: &str, resources: &Value) -> Result<(), Status> {
        let value = any(RESOURCES, resources.to_string().as_bytes());
        self.call("Update", Message::new().text(1, id).message(2, value))
            .map(drop)
    }

    /// The type and the fields of the metrics.
    pub fn stats(&self, id: &str) -> Result<(String, Fields), Status> {
        let any = self.call("Stats", Message::new().text(1, id))?.message(1);
        Ok((any.text(1), any.message(2)))
    }

    /// The shim's pid and the task's.
    pub fn connect(&self, id: &str) -> Result<(i32, i32), Status> {
        let fields = self.call("Connect", Message::new().text(1, id))?;
        Ok((fields.number(1) as i32, fields.number(2) as i32))
    }

    pub fn shutdown(&self, id: &str) -> Result<(), Status> {
        self.call("Shutdown", Message::new().text(1, id)).map(drop)
    }
}

/// A DeleteResponse, which the action `delete` prints too.
pub fn end(fields: &Fields) -> End {
    End {
        pid: fields.number(1) as i32,
        status: fields.number(2),
        at: fields.message(3).number(1),
    }
}

fn process(id: &str, exec: &str) -> Message {
    Message::new().text(1, id).text(2, exec)
}
