//! `process` of `config.json` (config.md, "Process"); also the document that `exec --process` takes.
use crate::nullable;
use serde::{Deserialize, Serialize};

/// `process`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Whether the process gets a pseudo-terminal.
    #[serde(skip_serializing_if = "crate::is_false")]
    pub terminal: bool,
    /// Size of the terminal in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console_size: Option<ConsoleSize>,
    /// Ids of the process.
    pub user: User,
    /// argv.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// `NAME=VALUE`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Absolute working directory.
    pub cwd: String,
    /// Capability sets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
    /// Resource limits.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub rlimits: Vec<Rlimit>,
    /// prctl(PR_SET_NO_NEW_PRIVS).
    #[serde(skip_serializing_if = "crate::is_false")]
    pub no_new_privileges: bool,
    /// AppArmor profile name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub apparmor_profile: String,
    /// -1000..1000, /proc/PID/oom_score_adj.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    /// sched_setattr(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<Scheduler>,
    /// SELinux process label.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub selinux_label: String,
    /// ioprio_set(2).
    #[serde(rename = "ioPriority", skip_serializing_if = "Option::is_none")]
    pub io_priority: Option<IoPriority>,
    /// sched_setaffinity(2) for `exec`.
    #[serde(rename = "execCPUAffinity", skip_serializing_if = "Option::is_none")]
    pub exec_cpu_affinity: Option<ExecCpuAffinity>,
}

/// `process.consoleSize`, in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsoleSize {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
}

/// `process.user`. Ids are wide here so that a value above 32 bits is refused by name instead of wrapped.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct User {
    /// Id inside.
    pub uid: i64,
    /// Id inside.
    pub gid: i64,
    /// umask(2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// Supplementary groups.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<i64>,
}

/// `process.capabilities`: names like `CAP_CHOWN`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Limit of what an exec can give.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub bounding: Vec<String>,
    /// What is in force.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub effective: Vec<String>,
    /// What an exec of a file with inheritable bits keeps.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub inheritable: Vec<String>,
    /// What may be made effective.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub permitted: Vec<String>,
    /// What an exec of an unprivileged file keeps.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub ambient: Vec<String>,
}

/// One of `process.rlimits`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE` and so on.
    #[serde(rename = "type")]
    pub kind: String,
    /// Ceiling; `u64::MAX` is no limit.
    pub hard: u64,
    /// What is enforced.
    pub soft: u64,
}

/// `process.scheduler`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scheduler {
    /// `SCHED_OTHER` and so on.
    pub policy: String,
    /// -20..19.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<i32>,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// `SCHED_FLAG_RESET_ON_FORK` and so on.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Nanoseconds, `SCHED_DEADLINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<u64>,
    /// Nanoseconds, `SCHED_DEADLINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
    /// Nanoseconds, `SCHED_DEADLINE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
}

/// `process.ioPriority`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct IoPriority {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE`, `IOPRIO_CLASS_IDLE`.
    pub class: String,
    /// 0 (first) to 7.
    pub priority: i32,
}

/// `process.execCPUAffinity`: CPU lists like `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecCpuAffinity {
    /// Before the process enters the container's cgroup.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub initial: String,
    /// After it did.
    #[serde(rename = "final", skip_serializing_if = "String::is_empty")]
    pub final_: String,
}
