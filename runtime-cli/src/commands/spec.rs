//! `spec`: a config.json to start from.
use crate::args::Matches;
use crate::error::Failure;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

pub fn run(matches: &Matches) -> Result<u8, Failure> {
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    let spec = if matches.has("rootless") {
        rootless(uid, gid)
    } else {
        default()
    };
    let text = serde_json::to_string_pretty(&spec)
        .map_err(|error| Failure::new(error.to_string()))?
        + "\n";
    let file = matches.value("file").unwrap_or("config.json");
    if file == "-" {
        return crate::print(&text);
    }
    let path = Path::new(matches.value("bundle").unwrap_or("")).join(file);
    let shown = path.display().to_string();
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(|error| {
            if error.kind() == std::io::ErrorKind::AlreadyExists {
                return Failure::new(format!("file {shown} exists. Remove it first"));
            }
            Failure::file("write", &shown, &error)
        })?;
    created
        .write_all(text.as_bytes())
        .map_err(|error| Failure::file("write", &shown, &error))?;
    Ok(0)
}

/// A shell in all namespaces but user, with few capabilities and a read-only root.
fn default() -> Value {
    let capabilities = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": tare_runtime::config::OCI_VERSION_NEWEST,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "tare",
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"])
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
            ],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
        }
    })
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    let mut mount = json!({"destination": destination, "type": kind, "source": source});
    if !options.is_empty() {
        mount["options"] = json!(options);
    }
    mount
}

/// The same for a user without root: own user namespace, host's network, no limits, nothing that asks for more ids than one.
fn rootless(uid: u32, gid: u32) -> Value {
    let mut spec = default();
    let linux = &mut spec["linux"];
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
    linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        for mount in mounts.iter_mut() {
            if let Some(options) = mount.get_mut("options").and_then(Value::as_array_mut) {
                // These name ids that the map doesn't have.
                options.retain(|option| {
                    !option
                        .as_str()
                        .is_some_and(|text| text.starts_with("gid=") || text.starts_with("uid="))
                });
            }
            if mount["destination"] == "/sys" {
                // With the host's network a new sysfs is refused.
                *mount = self::mount(
                    "/sys",
                    "none",
                    "/sys",
                    &["rbind", "nosuid", "noexec", "nodev", "ro"],
                );
            }
        }
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_documents_are_read_as_they_are_meant() {
        for spec in [default(), rootless(1000, 1001)] {
            let text = spec.to_string();
            tare_runtime::config::load(text.as_bytes()).unwrap();
        }
        let spec = rootless(1000, 1001).to_string();
        assert!(spec.contains(r#""hostID":1000"#) && spec.contains(r#""type":"user""#));
        assert!(
            !spec.contains("gid=5")
                && !spec.contains(r#""type":"network""#)
                && !spec.contains("resources")
        );
    }
}
