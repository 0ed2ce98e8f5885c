//! `state.json`: what a container's state directory remembers, and the status that follows from it.
//!
//! The top keys are runc's, because tools read them (`cgroup_paths` and `init_process_pid` above all); what only we need is
//! under `tare`. Types and pure decisions; the directory itself is `store.rs`.
use crate::CgroupManager;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// `create` is at work on it.
    Creating,
    /// Made, and waiting for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its program stands still in the freezer.
    Paused,
    /// Its init has ended, or never came to be.
    Stopped,
}

impl Status {
    /// The word of the runtime-spec (and runc's `paused`).
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What was seen of a container, from which its status follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Observed {
    /// `create` has recorded a pid.
    pub has_pid: bool,
    /// A process of that pid and start time exists and is no zombie.
    pub alive: bool,
    /// `exec.fifo` is there: nobody has called `start`.
    pub has_start_fifo: bool,
    /// Another process holds the state directory's lock.
    pub locked: bool,
    /// The cgroup is frozen.
    pub frozen: bool,
}

impl Observed {
    /// The status.
    pub(crate) fn status(self) -> Status {
        match self {
            Observed {
                has_pid: false,
                locked: true,
                ..
            } => Status::Creating,
            Observed {
                has_pid: false,
                locked: false,
                ..
            }
            | Observed { alive: false, .. } => Status::Stopped,
            Observed { frozen: true, .. } => Status::Paused,
            Observed {
                has_start_fifo: true,
                ..
            } => Status::Created,
            _ => Status::Running,
        }
    }
}

/// The state of a container as `state` and `list` print it: the OCI state document and what runc adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// The spec's version.
    pub oci_version: String,
    /// The container's id.
    pub id: String,
    /// Host pid of init; 0 when stopped.
    pub pid: i32,
    /// `creating`, `created`, `running`, `paused`, `stopped`.
    pub status: &'static str,
    /// Absolute path of the bundle.
    pub bundle: String,
    /// Absolute path of the root filesystem.
    pub rootfs: String,
    /// When it was created, RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// The spec's annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// User name of the state directory's owner; empty when this library can't tell (a caller with a user database may).
    pub owner: String,
    /// The systemd scope, when systemd manages the cgroup.
    #[serde(rename = "systemd-scope", skip_serializing_if = "String::is_empty")]
    pub systemd_scope: String,
    /// User id of the state directory's owner.
    #[serde(skip)]
    pub owner_uid: u32,
}

/// The file `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// The container's id.
    pub id: String,
    /// Host pid of init; 0 until there is one.
    pub init_process_pid: i32,
    /// Start time of init in clock ticks since boot, field 22 of /proc/PID/stat.
    pub init_process_start: u64,
    /// RFC 3339 with nanoseconds, UTC.
    pub created: String,
    /// The part of runc's `config` that others read.
    pub config: RecordConfig,
    /// Whether it was made without root's rights on the host.
    pub rootless: bool,
    /// cgroup directories: by controller on v1, under the key `""` on v2.
    pub cgroup_paths: BTreeMap<String, String>,
    /// Namespace files of init by clone flag's name: `NEWPID` and so on.
    pub namespace_paths: BTreeMap<String, String>,
    /// Targets of fds 0, 1, 2 at creation.
    pub external_descriptors: Vec<String>,
    /// resctrl group, empty without.
    pub intel_rdt_path: String,
    /// What only Tare reads.
    pub tare: RecordTare,
}

/// `config` of `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordConfig {
    /// Absolute path of the root filesystem.
    pub rootfs: String,
    /// `ociVersion` of the bundle.
    pub version: String,
    /// The annotations as `KEY=VALUE`, and `bundle=PATH`.
    pub labels: Vec<String>,
    /// Limits in force, as given to `create` and merged by `update`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<tare_oci::Resources>,
}

/// `tare` of `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordTare {
    /// Absolute path of the bundle.
    pub bundle: String,
    /// The spec's annotations.
    pub annotations: BTreeMap<String, String>,
    /// `cgroupfs`, `systemd`, `disabled`.
    pub cgroup_manager: String,
    /// The systemd scope's name, empty without.
    pub systemd_scope: String,
    /// Whether it is the user's own systemd.
    pub systemd_user: bool,
    /// Bus address of that systemd, empty for the system's well-known one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub systemd_address: String,
    /// Whether the resctrl group in `intel_rdt_path` was made by `create`, so that `delete` removes it.
    pub intel_rdt_owned: bool,
    /// Directory of the container's own resctrl monitoring group, empty without; `delete` removes it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub intel_rdt_monitor: String,
    /// Hooks to run after `create`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<tare_oci::Hook>,
    /// Hooks to run by `delete`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<tare_oci::Hook>,
    /// Whether the container shares the runtime's pid namespace, so that killing init doesn't end the rest.
    pub shares_pid_namespace: bool,
    /// `process.args[0]`, for the message when `start` can't execute it.
    pub program: String,
    /// The child lane's steps after the barrier `start` as the plan renders them, with their numbers: what `start` shows when
    /// one of them fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tail: Vec<TailStep>,
    /// Number of steps of the whole plan.
    pub steps: usize,
    /// Host path of the service manager's notify socket, empty without.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub notify_socket: String,
}

/// A step that is left for `start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TailStep {
    /// Number in the plan, from 1.
    pub step: usize,
    /// Index that the child reports.
    pub op: usize,
    /// As rendered.
    pub text: String,
}

impl Record {
    /// What the cgroup crate keeps.
    pub fn cgroup(&self) -> tare_cgroup::Saved {
        let manager = match self.tare.cgroup_manager.as_str() {
            "systemd" => CgroupManager::Systemd {
                user: self.tare.systemd_user,
                address: self.tare.systemd_address.clone(),
            },
            "disabled" => CgroupManager::Disabled,
            _ => CgroupManager::Cgroupfs,
        };
        tare_cgroup::Saved {
            paths: self.cgroup_paths.clone(),
            manager,
            unit: self.tare.systemd_scope.clone(),
        }
    }

    /// The inverse of [`Record::cgroup`].
    pub fn set_cgroup(&mut self, saved: &tare_cgroup::Saved) {
        self.cgroup_paths = saved.paths.clone();
        self.tare.systemd_scope = saved.unit.clone();
        let name = match &saved.manager {
            CgroupManager::Cgroupfs => "cgroupfs",
            CgroupManager::Disabled => "disabled",
            CgroupManager::Systemd { user, address } => {
                self.tare.systemd_user = *user;
                self.tare.systemd_address = address.clone();
                "systemd"
            }
        };
        self.tare.cgroup_manager = name.to_owned();
    }

    /// The OCI state document with this status, as hooks get it on stdin.
    pub fn oci_state(&self, status: Status) -> tare_oci::State {
        tare_oci::State {
            oci_version: self.config.version.clone(),
            id: self.id.clone(),
            status: status.name().to_owned(),
            pid: if status == Status::Stopped {
                0
            } else {
                self.init_process_pid
            },
            bundle: self.tare.bundle.clone(),
            annotations: self.tare.annotations.clone(),
        }
    }

    /// The document of `state` and `list`.
    pub(crate) fn container_state(&self, status: Status, owner_uid: u32) -> ContainerState {
        let state = self.oci_state(status);
        ContainerState {
            oci_version: state.oci_version,
            id: state.id,
            pid: state.pid,
            status: status.name(),
            bundle: state.bundle,
            rootfs: self.config.rootfs.clone(),
            created: self.created.clone(),
            annotations: state.annotations,
            owner: if owner_uid == 0 {
                "root".to_owned()
            } else {
                String::new()
            },
            systemd_scope: self.tare.systemd_scope.clone(),
            owner_uid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_follows_from_what_is_seen() {
        let yes = Observed {
            has_pid: true,
            alive: true,
            has_start_fifo: false,
            locked: false,
            frozen: false,
        };
        for (seen, status) in [
            (yes, Status::Running),
            (
                Observed {
                    locked: true,
                    ..yes
                },
                Status::Running,
            ),
            (
                Observed {
                    has_start_fifo: true,
                    ..yes
                },
                Status::Created,
            ),
            (
                Observed {
                    frozen: true,
                    ..yes
                },
                Status::Paused,
            ),
            (
                Observed {
                    frozen: true,
                    has_start_fifo: true,
                    ..yes
                },
                Status::Paused,
            ),
            (
                Observed {
                    alive: false,
                    ..yes
                },
                Status::Stopped,
            ),
            (
                Observed {
                    alive: false,
                    frozen: true,
                    ..yes
                },
                Status::Stopped,
            ),
            (
                Observed {
                    alive: false,
                    has_start_fifo: true,
                    ..yes
                },
                Status::Stopped,
            ),
            (
                Observed {
                    has_pid: false,
                    alive: false,
                    locked: true,
                    ..yes
                },
                Status::Creating,
            ),
            // create was killed: nobody holds the lock, and there is no pid.
            (
                Observed {
                    has_pid: false,
                    alive: false,
                    ..yes
                },
                Status::Stopped,
            ),
        ] {
            assert_eq!(seen.status(), status, "{seen:?}");
        }
    }

    #[test]
    fn the_file_has_runcs_keys() {
        let value = serde_json::to_value(Record {
            id: "c1".into(),
            ..Record::default()
        })
        .unwrap();
        for key in [
            "id",
            "init_process_pid",
            "init_process_start",
            "created",
            "config",
            "rootless",
            "cgroup_paths",
            "namespace_paths",
            "external_descriptors",
            "intel_rdt_path",
        ] {
            assert!(value.get(key).is_some(), "{key}");
        }
        for key in ["rootfs", "version", "labels"] {
            assert!(value["config"].get(key).is_some(), "config.{key}");
        }
    }

    #[test]
    fn a_file_of_another_version_is_read_as_far_as_it_goes() {
        let record: Record =
            serde_json::from_str(r#"{"id":"a","init_process_pid":7,"later":{"x":1}}"#).unwrap();
        assert_eq!((record.id.as_str(), record.init_process_pid), ("a", 7));
        assert_eq!(record.cgroup().manager, CgroupManager::Cgroupfs);
    }

    #[test]
    fn cgroups_survive_the_file() {
        for manager in [
            CgroupManager::Cgroupfs,
            CgroupManager::Disabled,
            CgroupManager::Systemd {
                user: true,
                address: "unix:path=/run/user/1/bus".into(),
            },
        ] {
            let saved = tare_cgroup::Saved {
                paths: [("memory".to_owned(), "/sys/fs/cgroup/memory/c1".to_owned())].into(),
                manager,
                unit: "c1.scope".into(),
            };
            let mut record = Record::default();
            record.set_cgroup(&saved);
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(
                serde_json::from_str::<Record>(&text).unwrap().cgroup(),
                saved
            );
        }
    }

    #[test]
    fn the_state_document_has_the_keys_callers_read() {
        let record = Record {
            id: "c1".into(),
            init_process_pid: 42,
            ..Record::default()
        };
        let stopped = serde_json::to_value(record.container_state(Status::Stopped, 0)).unwrap();
        assert_eq!(stopped["pid"], 0);
        assert_eq!(stopped["owner"], "root");
        assert!(stopped.get("annotations").is_none() && stopped.get("systemd-scope").is_none());
        let running = serde_json::to_value(record.container_state(Status::Running, 1000)).unwrap();
        assert_eq!(
            (running["pid"].as_i64(), running["status"].as_str()),
            (Some(42), Some("running"))
        );
        for key in ["ociVersion", "id", "bundle", "rootfs", "created", "owner"] {
            assert!(running.get(key).is_some(), "{key}");
        }
    }
}
