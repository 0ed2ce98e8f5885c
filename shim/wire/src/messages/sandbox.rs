//! The sandbox service.
use super::calls::methods;
use super::google::{Any, Timestamp};
use super::task::Mount;
use crate::codec::messages;
use std::collections::BTreeMap;

/// The service's name.
pub const SERVICES: [&str; 1] = ["containerd.runtime.sandbox.v1.Sandbox"];

methods! {
    CreateSandbox CreateSandboxRequest CreateSandboxResponse
    StartSandbox StartSandboxRequest StartSandboxResponse
    Platform PlatformRequest PlatformResponse
    StopSandbox StopSandboxRequest StopSandboxResponse
    WaitSandbox WaitSandboxRequest WaitSandboxResponse
    SandboxStatus SandboxStatusRequest SandboxStatusResponse
    PingSandbox PingRequest PingResponse
    ShutdownSandbox ShutdownSandboxRequest ShutdownSandboxResponse
    SandboxMetrics SandboxMetricsRequest SandboxMetricsResponse
}

messages! {
    CreateSandboxRequest = "containerd.runtime.sandbox.v1.CreateSandboxRequest" {
        1 sandbox_id: String,
        2 bundle_path: String,
        3 rootfs: Vec<Mount>,
        4 options: Option<Any>,
        5 netns_path: String,
        6 annotations: BTreeMap<String, String>,
    }

    CreateSandboxResponse = "containerd.runtime.sandbox.v1.CreateSandboxResponse" {}

    StartSandboxRequest = "containerd.runtime.sandbox.v1.StartSandboxRequest" {
        1 sandbox_id: String,
    }

    StartSandboxResponse = "containerd.runtime.sandbox.v1.StartSandboxResponse" {
        1 pid: u32,
        2 created_at: Option<Timestamp>,
        3 spec: Option<Any>,
    }

    PlatformRequest = "containerd.runtime.sandbox.v1.PlatformRequest" {
        1 sandbox_id: String,
    }

    PlatformResponse = "containerd.runtime.sandbox.v1.PlatformResponse" {
        1 platform: Option<Platform>,
    }

    Platform = "containerd.types.Platform" {
        1 os: String,
        2 architecture: String,
        3 variant: String,
        4 os_version: String,
        5 os_features: Vec<String>,
    }

    StopSandboxRequest = "containerd.runtime.sandbox.v1.StopSandboxRequest" {
        1 sandbox_id: String,
        2 timeout_secs: u32,
    }

    StopSandboxResponse = "containerd.runtime.sandbox.v1.StopSandboxResponse" {}

    UpdateSandboxRequest = "containerd.runtime.sandbox.v1.UpdateSandboxRequest" {
        1 sandbox_id: String,
        2 resources: Option<Any>,
        3 annotations: BTreeMap<String, String>,
    }

    UpdateSandboxResponse = "containerd.runtime.sandbox.v1.UpdateSandboxResponse" {}

    WaitSandboxRequest = "containerd.runtime.sandbox.v1.WaitSandboxRequest" {
        1 sandbox_id: String,
    }

    WaitSandboxResponse = "containerd.runtime.sandbox.v1.WaitSandboxResponse" {
        1 exit_status: u32,
        2 exited_at: Option<Timestamp>,
    }

    SandboxStatusRequest = "containerd.runtime.sandbox.v1.SandboxStatusRequest" {
        1 sandbox_id: String,
        2 verbose: bool,
    }

    SandboxStatusResponse = "containerd.runtime.sandbox.v1.SandboxStatusResponse" {
        1 sandbox_id: String,
        2 pid: u32,
        3 state: String,
        4 info: BTreeMap<String, String>,
        5 created_at: Option<Timestamp>,
        6 exited_at: Option<Timestamp>,
        7 extra: Option<Any>,
    }

    PingRequest = "containerd.runtime.sandbox.v1.PingRequest" {
        1 sandbox_id: String,
    }

    PingResponse = "containerd.runtime.sandbox.v1.PingResponse" {}

    ShutdownSandboxRequest = "containerd.runtime.sandbox.v1.ShutdownSandboxRequest" {
        1 sandbox_id: String,
    }

    ShutdownSandboxResponse = "containerd.runtime.sandbox.v1.ShutdownSandboxResponse" {}

    SandboxMetricsRequest = "containerd.runtime.sandbox.v1.SandboxMetricsRequest" {
        1 sandbox_id: String,
    }

    SandboxMetricsResponse = "containerd.runtime.sandbox.v1.SandboxMetricsResponse" {
        1 metrics: Option<Metric>,
    }

    Metric = "containerd.types.Metric" {
        1 timestamp: Option<Timestamp>,
        2 id: String,
        3 data: Option<Any>,
    }
}
