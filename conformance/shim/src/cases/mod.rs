//! The cases, by what they ask of a shim.

use crate::case::Case;
use crate::client::Status;
use crate::process;
use crate::task::Task;
use rustix::process::Signal;
use std::time::Duration;

mod adoption;
mod adversity;
mod bootstrap;
mod cleanup;
mod exec;
mod hostile;
mod lifecycle;
mod loggers;
mod mounts;
mod options;
mod order;
mod pod_metrics;
mod resources;
mod sandbox;
mod server;
mod services;
mod stdio;
mod terminal;

pub fn all() -> Vec<Case> {
    [
        bootstrap::cases,
        cleanup::cases,
        adoption::cases,
        lifecycle::cases,
        exec::cases,
        resources::cases,
        order::cases,
        mounts::cases,
        stdio::cases,
        loggers::cases,
        terminal::cases,
        options::cases,
        services::cases,
        sandbox::cases,
        pod_metrics::cases,
        server::cases,
        hostile::cases,
        adversity::cases,
    ]
    .into_iter()
    .flat_map(|cases| cases())
    .collect()
}

/// Asserts a code, and shows the words when it is another.
#[track_caller]
pub fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: u64) -> String {
    match result {
        Err(status) if status.code == code => status.message,
        other => panic!("code {code} was expected, not {other:?}"),
    }
}

/// SIGKILL; its containers live on.
#[track_caller]
fn kill_shim(task: &Task) {
    let pid = task.connect("none").expect("Connect").0;
    process::kill(pid, Signal::KILL);
    assert!(process::eventually(Duration::from_secs(2), || {
        !process::is_alive(pid)
    }));
}
