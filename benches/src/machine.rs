//! What a reader must know of the machine to judge the figures.

use crate::arguments::Runtime;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Kernel, processor, memory, cgroups, load, and what each runtime says of itself. No paths.
pub fn describe(runtimes: &[Runtime], revision: &str) -> Result<Value, String> {
    let versions: Vec<Value> = runtimes
        .iter()
        .map(|runtime| json!({ "name": runtime.name, "version": version(&runtime.path) }))
        .collect();
    Ok(json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processor": field("/proc/cpuinfo", "model name"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        "distribution": field_of(&read("/etc/os-release"), "PRETTY_NAME", '=').trim_matches('"').to_owned(),
        "cgroups": cgroup_mode(),
        "load before": load(),
        "date": said("date", &["--utc", "--iso-8601=seconds"])?,
        "revision": revision,
        "runtimes": versions,
    }))
}

/// How much others ask of the machine; the bench itself is one process at a time, save for parallel callers.
pub fn load() -> String {
    read("/proc/loadavg")
}

fn version(path: &Path) -> String {
    let text = Command::new(path)
        .arg("--version")
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn cgroup_mode() -> &'static str {
    // As the machine has it; below rt.sh the empty unified mount of a hybrid machine is hidden.
    let mounts = fs::read_to_string("/proc/1/mounts").unwrap_or_default();
    let has = |kind: &str| {
        mounts
            .lines()
            .any(|line| line.split(' ').nth(2) == Some(kind))
    };
    match (has("cgroup"), has("cgroup2")) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn field(path: &str, key: &str) -> String {
    field_of(&read(path), key, ':')
}

fn field_of(text: &str, key: &str, separator: char) -> String {
    text.lines()
        .filter_map(|line| line.split_once(separator))
        .find(|(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
