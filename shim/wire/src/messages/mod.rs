//! The messages: fields and numbers as in containerd's .proto files, which say what they mean.
#![allow(missing_docs)]

pub mod bootstrap;
mod calls;
pub mod cgroup1;
pub mod cgroup2;
pub mod cri;
pub mod events;
pub mod google;
pub mod runtime;
pub mod sandbox;
pub mod task;
#[cfg(test)]
mod tests;

/// The type urls of values that are JSON, as containerd registers them: all other values are messages, named by
/// [`Message::NAME`](crate::Message::NAME).
pub mod urls {
    /// A config.json.
    pub const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
    /// The `process` of a config.json, which `Exec` carries.
    pub const PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
    /// The `linux.resources` of a config.json, which `Update` carries.
    pub const LINUX_RESOURCES: &str =
        "types.containerd.io/opencontainers/runtime-spec/1/LinuxResources";
    /// A features document, which a shim's `-info` carries.
    pub const FEATURES: &str =
        "types.containerd.io/opencontainers/runtime-spec/1/features/Features";
}
