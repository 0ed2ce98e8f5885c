//! config.json under construction: docker's usual shape, changed by dotted path.

use serde_json::{Value, json};
use std::ops::{Deref, DerefMut};

/// Capabilities of docker's default profile.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];

pub struct Spec(Value);

impl Spec {
    /// A container with five new namespaces, the usual mounts and docker's capabilities.
    pub fn new(cgroup: &str) -> Self {
        let capabilities = json!(DEFAULT_CAPABILITIES);
        Self(json!({
            "ociVersion": "1.0.2",
            "process": {
                "args": ["/bin/true"],
                "cwd": "/",
                "env": ["PATH=/usr/bin:/bin"],
                "user": {"uid": 0, "gid": 0},
                "capabilities": {
                    "bounding": capabilities, "effective": capabilities, "permitted": capabilities
                },
                "noNewPrivileges": true
            },
            "root": {"path": "rootfs"},
            "hostname": "tare",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                 "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
                 "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs",
                 "options": ["nosuid", "noexec", "nodev", "ro"]}
            ],
            "linux": {
                "cgroupsPath": cgroup,
                "namespaces": [
                    {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}
                ]
            }
        }))
    }

    /// Sets `linux.resources.memory.limit` and the like, making the objects on the way.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) -> &mut Self {
        *self.at(path) = value.into();
        self
    }

    /// Appends to an array, making it if absent.
    pub fn push(&mut self, path: &str, value: impl Into<Value>) -> &mut Self {
        let place = self.at(path);
        if place.is_null() {
            *place = json!([]);
        }
        place.as_array_mut().expect("an array").push(value.into());
        self
    }

    pub fn remove(&mut self, path: &str) -> &mut Self {
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let place = if parent.is_empty() {
            &mut self.0
        } else {
            self.at(parent)
        };
        if let Some(object) = place.as_object_mut() {
            object.remove(key);
        }
        self
    }

    pub fn args(&mut self, arguments: &[&str]) -> &mut Self {
        self.set("process.args", json!(arguments))
    }

    pub fn env(&mut self, assignment: &str) -> &mut Self {
        self.push("process.env", assignment)
    }

    pub fn mount(
        &mut self,
        destination: &str,
        kind: &str,
        source: &str,
        options: &[&str],
    ) -> &mut Self {
        self.push(
            "mounts",
            json!({"destination": destination, "type": kind, "source": source, "options": options}),
        )
    }

    /// A bind mount; `options` come after `bind`.
    pub fn bind(
        &mut self,
        source: impl AsRef<std::path::Path>,
        destination: &str,
        options: &[&str],
    ) -> &mut Self {
        let mut all = vec!["bind"];
        all.extend(options);
        self.mount(
            destination,
            "bind",
            &source.as_ref().to_string_lossy(),
            &all,
        )
    }

    /// Removes the mount at `destination`.
    pub fn unmount(&mut self, destination: &str) -> &mut Self {
        let mounts = self.at("mounts").as_array_mut().expect("an array");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// Adds or replaces a namespace, new when `path` is None.
    pub fn namespace(&mut self, kind: &str, path: Option<&str>) -> &mut Self {
        self.without_namespace(kind);
        let entry = match path {
            Some(path) => json!({"type": kind, "path": path}),
            None => json!({"type": kind}),
        };
        self.push("linux.namespaces", entry)
    }

    pub fn without_namespace(&mut self, kind: &str) -> &mut Self {
        let namespaces = self
            .at("linux.namespaces")
            .as_array_mut()
            .expect("an array");
        namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    /// The same list for bounding, effective and permitted.
    pub fn capabilities(&mut self, names: &[&str]) -> &mut Self {
        self.set(
            "process.capabilities",
            json!({"bounding": names, "effective": names, "permitted": names}),
        )
    }

    fn at(&mut self, path: &str) -> &mut Value {
        let mut place = &mut self.0;
        for key in path.split('.') {
            if place.is_null() {
                *place = json!({});
            }
            place = &mut place[key];
        }
        place
    }
}

impl Deref for Spec {
    type Target = Value;
    fn deref(&self) -> &Value {
        &self.0
    }
}

impl DerefMut for Spec {
    fn deref_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}
