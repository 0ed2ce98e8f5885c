//! The task service. Its versions 2 and 3 differ in the service's name only.
use super::calls::methods;
use super::google::{Any, Empty, Timestamp};
use crate::codec::messages;
use std::collections::BTreeMap;

/// The service's names; both are served.
pub const SERVICES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// What the status of a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessStatus {
    Unknown = 0,
    Created = 1,
    Running = 2,
    Stopped = 3,
    Paused = 4,
    Pausing = 5,
}

methods! {
    State StateRequest StateResponse
    Create CreateTaskRequest CreateTaskResponse
    Start StartRequest StartResponse
    Delete DeleteRequest DeleteResponse
    Pids PidsRequest PidsResponse
    Pause PauseRequest Empty
    Resume ResumeRequest Empty
    Checkpoint CheckpointTaskRequest Empty
    Kill KillRequest Empty
    Exec ExecProcessRequest Empty
    ResizePty ResizePtyRequest Empty
    CloseIO CloseIORequest Empty
    Update UpdateTaskRequest Empty
    Wait WaitRequest WaitResponse
    Stats StatsRequest StatsResponse
    Connect ConnectRequest ConnectResponse
    Shutdown ShutdownRequest Empty
}

// An empty `exec_id` means the container's first process.
messages! {
    Mount = "containerd.types.Mount" {
        1 r#type: String,
        2 source: String,
        3 target: String,
        4 options: Vec<String>,
    }

    /// A process as containerd's other services tell it; `status` is a [`ProcessStatus`].
    Process = "containerd.v1.types.Process" {
        1 container_id: String,
        2 id: String,
        3 pid: u32,
        4 status: i32,
        5 stdin: String,
        6 stdout: String,
        7 stderr: String,
        8 terminal: bool,
        9 exit_status: u32,
        10 exited_at: Option<Timestamp>,
    }

    /// `info` holds a [`ProcessDetails`](super::runtime::ProcessDetails) for what `Exec` made.
    ProcessInfo = "containerd.v1.types.ProcessInfo" {
        1 pid: u32,
        2 info: Option<Any>,
    }

    CreateTaskRequest = "containerd.task.v2.CreateTaskRequest" {
        1 id: String,
        2 bundle: String,
        3 rootfs: Vec<Mount>,
        4 terminal: bool,
        5 stdin: String,
        6 stdout: String,
        7 stderr: String,
        8 checkpoint: String,
        9 parent_checkpoint: String,
        10 options: Option<Any>,
    }

    CreateTaskResponse = "containerd.task.v2.CreateTaskResponse" {
        1 pid: u32,
    }

    DeleteRequest = "containerd.task.v2.DeleteRequest" {
        1 id: String,
        2 exec_id: String,
    }

    DeleteResponse = "containerd.task.v2.DeleteResponse" {
        1 pid: u32,
        2 exit_status: u32,
        3 exited_at: Option<Timestamp>,
    }

    /// `spec` is JSON of [`urls::PROCESS`](super::urls::PROCESS).
    ExecProcessRequest = "containerd.task.v2.ExecProcessRequest" {
        1 id: String,
        2 exec_id: String,
        3 terminal: bool,
        4 stdin: String,
        5 stdout: String,
        6 stderr: String,
        7 spec: Option<Any>,
    }

    ResizePtyRequest = "containerd.task.v2.ResizePtyRequest" {
        1 id: String,
        2 exec_id: String,
        3 width: u32,
        4 height: u32,
    }

    StateRequest = "containerd.task.v2.StateRequest" {
        1 id: String,
        2 exec_id: String,
    }

    /// `status` is a [`ProcessStatus`].
    StateResponse = "containerd.task.v2.StateResponse" {
        1 id: String,
        2 bundle: String,
        3 pid: u32,
        4 status: i32,
        5 stdin: String,
        6 stdout: String,
        7 stderr: String,
        8 terminal: bool,
        9 exit_status: u32,
        10 exited_at: Option<Timestamp>,
        11 exec_id: String,
    }

    KillRequest = "containerd.task.v2.KillRequest" {
        1 id: String,
        2 exec_id: String,
        3 signal: u32,
        4 all: bool,
    }

    CloseIORequest = "containerd.task.v2.CloseIORequest" {
        1 id: String,
        2 exec_id: String,
        3 stdin: bool,
    }

    PidsRequest = "containerd.task.v2.PidsRequest" {
        1 id: String,
    }

    PidsResponse = "containerd.task.v2.PidsResponse" {
        1 processes: Vec<ProcessInfo>,
    }

    /// `options` holds [`CheckpointOptions`](super::runtime::CheckpointOptions).
    CheckpointTaskRequest = "containerd.task.v2.CheckpointTaskRequest" {
        1 id: String,
        2 path: String,
        3 options: Option<Any>,
    }

    /// `resources` is JSON of [`urls::LINUX_RESOURCES`](super::urls::LINUX_RESOURCES).
    UpdateTaskRequest = "containerd.task.v2.UpdateTaskRequest" {
        1 id: String,
        2 resources: Option<Any>,
        3 annotations: BTreeMap<String, String>,
    }

    StartRequest = "containerd.task.v2.StartRequest" {
        1 id: String,
        2 exec_id: String,
    }

    StartResponse = "containerd.task.v2.StartResponse" {
        1 pid: u32,
    }

    WaitRequest = "containerd.task.v2.WaitRequest" {
        1 id: String,
        2 exec_id: String,
    }

    WaitResponse = "containerd.task.v2.WaitResponse" {
        1 exit_status: u32,
        2 exited_at: Option<Timestamp>,
    }

    StatsRequest = "containerd.task.v2.StatsRequest" {
        1 id: String,
    }

    /// `stats` holds the metrics of [`cgroup1`](super::cgroup1) or [`cgroup2`](super::cgroup2).
    StatsResponse = "containerd.task.v2.StatsResponse" {
        1 stats: Option<Any>,
    }

    ConnectRequest = "containerd.task.v2.ConnectRequest" {
        1 id: String,
    }

    ConnectResponse = "containerd.task.v2.ConnectResponse" {
        1 shim_pid: u32,
        2 task_pid: u32,
        3 version: String,
    }

    ShutdownRequest = "containerd.task.v2.ShutdownRequest" {
        1 id: String,
        2 now: bool,
    }

    PauseRequest = "containerd.task.v2.PauseRequest" {
        1 id: String,
    }

    ResumeRequest = "containerd.task.v2.ResumeRequest" {
        1 id: String,
    }
}
