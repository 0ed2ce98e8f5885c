//! What a shim tells containerd without being asked, and the service that takes it.
use super::google::{Any, Timestamp};
use super::task::Mount;
use crate::codec::{Message, messages};

/// The service's name.
pub const SERVICE: &str = "containerd.services.events.ttrpc.v1.Events";
/// Its only method; it takes a [`ForwardRequest`] and gives nothing.
pub const FORWARD: &str = "Forward";

/// A message that is an event.
pub trait Event: Message {
    /// What containerd's subscribers know it by.
    const TOPIC: &'static str;
}

impl ForwardRequest {
    /// An event on its way.
    pub fn of<E: Event>(namespace: &str, timestamp: Timestamp, event: &E) -> ForwardRequest {
        ForwardRequest {
            envelope: Some(Envelope {
                timestamp: Some(timestamp),
                namespace: namespace.to_owned(),
                topic: E::TOPIC.to_owned(),
                event: Some(Any::pack(event)),
            }),
        }
    }
}

messages! {
    ForwardRequest = "containerd.services.events.ttrpc.v1.ForwardRequest" {
        1 envelope: Option<Envelope>,
    }

    Envelope = "containerd.types.Envelope" {
        1 timestamp: Option<Timestamp>,
        2 namespace: String,
        3 topic: String,
        4 event: Option<Any>,
    }

    TaskCreate = "containerd.events.TaskCreate" {
        1 container_id: String,
        2 bundle: String,
        3 rootfs: Vec<Mount>,
        4 io: Option<TaskIO>,
        5 checkpoint: String,
        6 pid: u32,
    }

    TaskIO = "containerd.events.TaskIO" {
        1 stdin: String,
        2 stdout: String,
        3 stderr: String,
        4 terminal: bool,
    }

    TaskStart = "containerd.events.TaskStart" {
        1 container_id: String,
        2 pid: u32,
    }

    /// `id` is the exec's; empty for the container's first process.
    TaskDelete = "containerd.events.TaskDelete" {
        1 container_id: String,
        2 pid: u32,
        3 exit_status: u32,
        4 exited_at: Option<Timestamp>,
        5 id: String,
    }

    /// `id` is the exec's, or the container's for its first process.
    TaskExit = "containerd.events.TaskExit" {
        1 container_id: String,
        2 id: String,
        3 pid: u32,
        4 exit_status: u32,
        5 exited_at: Option<Timestamp>,
    }

    TaskOOM = "containerd.events.TaskOOM" {
        1 container_id: String,
    }

    TaskExecAdded = "containerd.events.TaskExecAdded" {
        1 container_id: String,
        2 exec_id: String,
    }

    TaskExecStarted = "containerd.events.TaskExecStarted" {
        1 container_id: String,
        2 exec_id: String,
        3 pid: u32,
    }

    TaskPaused = "containerd.events.TaskPaused" {
        1 container_id: String,
    }

    TaskResumed = "containerd.events.TaskResumed" {
        1 container_id: String,
    }

    TaskCheckpointed = "containerd.events.TaskCheckpointed" {
        1 container_id: String,
        2 checkpoint: String,
    }
}

macro_rules! topics {
    ($($event:ident $topic:literal)*) => {$(
        impl Event for $event {
            const TOPIC: &'static str = $topic;
        }
    )*};
}

topics! {
    TaskCreate "/tasks/create"
    TaskStart "/tasks/start"
    TaskOOM "/tasks/oom"
    TaskExit "/tasks/exit"
    TaskDelete "/tasks/delete"
    TaskExecAdded "/tasks/exec-added"
    TaskExecStarted "/tasks/exec-started"
    TaskPaused "/tasks/paused"
    TaskResumed "/tasks/resumed"
    TaskCheckpointed "/tasks/checkpointed"
}
