//! Every message that rust-protobuf knows of those that we have, by our names.
#![forbid(unsafe_code)]

use containerd_shim_protos as protos;
use protobuf::MessageFull;
use protobuf::reflect::{FileDescriptor, MessageDescriptor};
use std::collections::BTreeMap;

/// Fields that containerd has got since the release that the oracle is made of: message, first and last number.
pub const NEWER: [(&str, u32, u32); 2] = [
    ("io.containerd.cgroups.v2.MemoryStat", 39, 42),
    ("containerd.runc.v1.CheckpointOptions", 10, 10),
];

/// Whether a field is one of [`NEWER`].
pub fn newer(message: &str, field: u32) -> bool {
    NEWER
        .iter()
        .any(|(name, first, last)| *name == message && (*first..=*last).contains(&field))
}

/// The messages of each file that one of these is in, and of what those import.
pub fn theirs() -> BTreeMap<String, MessageDescriptor> {
    let roots = [
        protos::shim::shim::StateRequest::descriptor(),
        protos::shim::oci::Options::descriptor(),
        protos::shim::events::ForwardRequest::descriptor(),
        protos::events::task::TaskExit::descriptor(),
        protos::types::task::Process::descriptor(),
        protos::types::introspection::RuntimeInfo::descriptor(),
        protos::cgroups::metrics::Metrics::descriptor(),
        protos::cgroups_v2::metrics::Metrics::descriptor(),
        protos::bootstrap_api::BootstrapParams::descriptor(),
        protos::sandbox_api::CreateSandboxRequest::descriptor(),
        ttrpc::proto::Request::descriptor(),
        protobuf::well_known_types::empty::Empty::descriptor(),
    ];
    let mut found = BTreeMap::new();
    for root in roots {
        collect(root.file_descriptor(), &mut found);
    }
    found
}

fn collect(file: &FileDescriptor, found: &mut BTreeMap<String, MessageDescriptor>) {
    for message in file.messages() {
        found.insert(ours(message.full_name()), message);
    }
    for import in file.deps() {
        collect(import, found);
    }
}

/// The name that a message of theirs has here: they have version 3 of the task service, and another package for ttrpc's own.
fn ours(name: &str) -> String {
    match name {
        "grpc.Status" | "ttrpc.Status" => "google.rpc.Status".to_owned(),
        _ => name
            .replace("containerd.task.v3.", "containerd.task.v2.")
            .replace("grpc.", "ttrpc."),
    }
}
