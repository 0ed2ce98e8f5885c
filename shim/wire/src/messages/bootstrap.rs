//! What containerd 2.3 and later write to a starting shim, and read from it.
use super::google::Any;
use crate::codec::messages;
use std::collections::BTreeMap;

/// How much to log; what is not listed lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Trace = -8,
    Debug = -4,
    Info = 0,
    Warn = 4,
    Error = 8,
    Fatal = 10,
    Panic = 12,
}

messages! {
    /// `log_level` is a [`LogLevel`].
    BootstrapParams = "containerd.runtime.bootstrap.v1.BootstrapParams" {
        1 instance_id: String,
        2 namespace: String,
        3 log_level: i32,
        4 containerd_version: String,
        5 containerd_ttrpc_address: String,
        6 containerd_grpc_address: String,
        7 containerd_binary: String,
        8 extensions: Vec<Extension>,
        9 socket_dir: Option<String>,
    }

    Extension = "containerd.runtime.bootstrap.v1.Extension" {
        1 value: Option<Any>,
    }

    /// There are no capabilities yet but the unspecified one, 0.
    BootstrapResult = "containerd.runtime.bootstrap.v1.BootstrapResult" {
        1 version: i32,
        2 address: String,
        3 protocol: String,
        4 capabilities: Vec<i32>,
        5 metadata: BTreeMap<String, String>,
    }
}
