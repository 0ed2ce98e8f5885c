//! The features document (features.md, features-linux.md).
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `features` prints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Features {
    /// Oldest `ociVersion` taken.
    pub oci_version_min: String,
    /// Newest `ociVersion` known.
    pub oci_version_max: String,
    /// Kinds of hooks.
    pub hooks: Vec<String>,
    /// Known mount options.
    pub mount_options: Vec<String>,
    /// The Linux part.
    pub linux: LinuxFeatures,
    /// Free facts about this runtime.
    pub annotations: BTreeMap<String, String>,
    /// Annotations in a config that can change what the runtime does in an unsafe way.
    pub potentially_unsafe_config_annotations: Vec<String>,
}

/// `linux` of the features document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LinuxFeatures {
    /// Namespace types.
    pub namespaces: Vec<String>,
    /// Capability names.
    pub capabilities: Vec<String>,
    /// cgroup managers.
    pub cgroup: CgroupFeatures,
    /// seccomp.
    pub seccomp: SeccompFeatures,
    /// AppArmor.
    pub apparmor: Enabled,
    /// SELinux.
    pub selinux: Enabled,
    /// Intel RDT.
    pub intel_rdt: IntelRdtFeatures,
    /// NUMA memory policy.
    pub memory_policy: MemoryPolicyFeatures,
    /// Mount extensions.
    pub mount_extensions: MountExtensions,
    /// `linux.netDevices`.
    pub net_devices: Enabled,
}

/// `{"enabled": bool}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Enabled {
    /// Whether it is compiled in (not whether this host has it).
    pub enabled: bool,
}

/// `linux.cgroup`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CgroupFeatures {
    /// cgroup v1.
    pub v1: bool,
    /// cgroup v2.
    pub v2: bool,
    /// The systemd manager.
    pub systemd: bool,
    /// The systemd user manager.
    pub systemd_user: bool,
    /// The rdma controller.
    pub rdma: bool,
}

/// `linux.seccomp`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeccompFeatures {
    /// Whether seccomp is compiled in.
    pub enabled: bool,
    /// `SCMP_ACT_*`.
    pub actions: Vec<String>,
    /// `SCMP_CMP_*`.
    pub operators: Vec<String>,
    /// `SCMP_ARCH_*`.
    pub archs: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*` known.
    pub known_flags: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_*` that this kernel takes.
    pub supported_flags: Vec<String>,
}

/// `linux.intelRdt`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IntelRdtFeatures {
    /// Whether `linux.intelRdt` is known.
    pub enabled: bool,
    /// Whether `schemata` is known.
    pub schemata: bool,
    /// Whether `enableMonitoring` is known.
    pub monitoring: bool,
}

/// `linux.memoryPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryPolicyFeatures {
    /// `MPOL_*` modes.
    pub modes: Vec<String>,
    /// `MPOL_F_*` flags.
    pub flags: Vec<String>,
}

/// `linux.mountExtensions`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountExtensions {
    /// Idmapped mounts.
    pub idmap: Enabled,
}
