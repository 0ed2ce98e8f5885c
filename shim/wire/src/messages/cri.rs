//! What kubelet says of a pod, as containerd hands it to a sandbox: the fields that a runtime has to know, of the CRI's many.
use crate::codec::messages;
use std::collections::BTreeMap;

/// Whose namespace a process is in: the values of [`NamespaceOption`] and [`UserNamespace::mode`].
pub mod mode {
    /// All of a pod's containers share it.
    pub const POD: i32 = 0;
    /// Each container has its own.
    pub const CONTAINER: i32 = 1;
    /// The host's.
    pub const NODE: i32 = 2;
    /// That of a container of the pod.
    pub const TARGET: i32 = 3;
}

messages! {
    PodSandboxConfig = "runtime.v1.PodSandboxConfig" {
        2 hostname: String,
        4 dns_config: Option<DNSConfig>,
        8 linux: Option<LinuxPodSandboxConfig>,
    }

    DNSConfig = "runtime.v1.DNSConfig" {
        1 servers: Vec<String>,
        2 searches: Vec<String>,
        3 options: Vec<String>,
    }

    LinuxPodSandboxConfig = "runtime.v1.LinuxPodSandboxConfig" {
        1 cgroup_parent: String,
        2 security_context: Option<LinuxSandboxSecurityContext>,
        3 sysctls: BTreeMap<String, String>,
    }

    LinuxSandboxSecurityContext = "runtime.v1.LinuxSandboxSecurityContext" {
        1 namespace_options: Option<NamespaceOption>,
    }

    NamespaceOption = "runtime.v1.NamespaceOption" {
        1 network: i32,
        2 pid: i32,
        3 ipc: i32,
        5 userns_options: Option<UserNamespace>,
    }

    UserNamespace = "runtime.v1.UserNamespace" {
        1 mode: i32,
    }
}
