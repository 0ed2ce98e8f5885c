//! `linux.seccomp` (config-linux.md, "Seccomp"), and the document sent to a notify listener.
use crate::{State, nullable};
use serde::{Deserialize, Serialize};

/// `linux.seccomp`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Seccomp {
    /// `SCMP_ACT_*` for a call that no rule matches.
    pub default_action: String,
    /// errno (or ptrace message) of `default_action`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_*`; none means the native one.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*`.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Unix socket of the agent that gets the notify fd.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// Opaque text for the agent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<SeccompSyscall>,
}

/// One of `linux.seccomp.syscalls`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompSyscall {
    /// Names as in the kernel's tables.
    #[serde(deserialize_with = "nullable")]
    pub names: Vec<String>,
    /// `SCMP_ACT_*`.
    pub action: String,
    /// errno of `SCMP_ACT_ERRNO`, message of `SCMP_ACT_TRACE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// All must match.
    #[serde(deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SeccompArg>,
}

/// One argument condition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompArg {
    /// 0..5.
    pub index: u32,
    /// Compared with; the mask for `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// The value for `SCMP_CMP_MASKED_EQ`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_two: Option<u64>,
    /// `SCMP_CMP_*`.
    pub op: String,
}

/// `containerProcessState`: what is sent with the fds to `listenerPath`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerProcessState {
    /// The spec's version.
    pub oci_version: String,
    /// Names of the fds in the order sent: `seccompFd`.
    pub fds: Vec<String>,
    /// The process under the filter, host pid.
    pub pid: i32,
    /// `listenerMetadata`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The container.
    pub state: State,
}
