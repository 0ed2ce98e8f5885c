//! Options of runtimes, and what a runtime says of itself.
use super::google::Any;
use crate::codec::messages;
use std::collections::BTreeMap;

messages! {
    /// The options of containerd's own shim; [`crate::options`] reads them.
    RuncOptions = "containerd.runc.v1.Options" {
        1 no_pivot_root: bool,
        2 no_new_keyring: bool,
        3 shim_cgroup: String,
        4 io_uid: u32,
        5 io_gid: u32,
        6 binary_name: String,
        7 root: String,
        9 systemd_cgroup: bool,
        10 criu_image_path: String,
        11 criu_work_path: String,
        12 task_api_address: String,
        13 task_api_version: u32,
    }

    CheckpointOptions = "containerd.runc.v1.CheckpointOptions" {
        1 exit: bool,
        2 open_tcp: bool,
        3 external_unix_sockets: bool,
        4 terminal: bool,
        5 file_locks: bool,
        6 empty_namespaces: Vec<String>,
        7 cgroups_mode: String,
        8 image_path: String,
        9 work_path: String,
        10 parent_path: String,
    }

    ProcessDetails = "containerd.runc.v1.ProcessDetails" {
        1 exec_id: String,
    }

    /// The options of any other shim: a file or its content, in a form that the shim knows.
    GenericOptions = "runtimeoptions.v1.Options" {
        1 type_url: String,
        2 config_path: String,
        3 config_body: Vec<u8>,
    }

    RuntimeRequest = "containerd.types.RuntimeRequest" {
        1 runtime_path: String,
        2 options: Option<Any>,
    }

    RuntimeVersion = "containerd.types.RuntimeVersion" {
        1 version: String,
        2 revision: String,
    }

    /// `features` is JSON of [`urls::FEATURES`](super::urls::FEATURES).
    RuntimeInfo = "containerd.types.RuntimeInfo" {
        1 name: String,
        2 version: Option<RuntimeVersion>,
        3 options: Option<Any>,
        4 features: Option<Any>,
        5 annotations: BTreeMap<String, String>,
    }
}
