//! A pod without a container of its own: what its containers share, and how it is told to them. Pure.
use crate::failure::{Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use tare_runtime::plan::ir::Namespaces;
use tare_runtime::plan::sysctl::{Scope, sysctls};
use tare_shim_wire::Message;
use tare_shim_wire::messages::cri::{NamespaceOption, PodSandboxConfig, mode};
use tare_shim_wire::messages::google::Any;
use tare_shim_wire::messages::sandbox::CreateSandboxRequest;

/// What a pod has of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Of its UTS namespace; empty: the host's name, in a namespace of its own all the same.
    pub hostname: String,
    /// The file of its network namespace, which is its maker's. Empty: the pod is in the host's, and in the host's UTS namespace.
    pub network: String,
    /// An IPC namespace.
    pub ipc: bool,
    /// Whose processes its containers see.
    pub pids: Pids,
    /// The user namespace that owns its network namespace.
    pub user: bool,
    /// Files below /proc and what they get.
    pub sysctls: Vec<(String, String)>,
    /// Where names are looked up; empty: as on the host.
    pub dns: Dns,
    /// The cgroup that its containers' are below, which is its maker's; empty: it has none.
    pub cgroup: String,
}

/// Whose processes the containers of a pod see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pids {
    /// Those of all containers: the pod has a pid namespace.
    #[default]
    Pod,
    /// Their own.
    Container,
    /// The host's.
    Node,
}

/// The contents of resolv.conf.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Addresses.
    pub servers: Vec<String>,
    /// Domains.
    pub searches: Vec<String>,
    /// Options.
    pub options: Vec<String>,
}

/// The files of a pod that its containers see, in the pod's directory, and where.
pub const FILES: [(&str, &str); 3] = [
    ("hostname", "/etc/hostname"),
    ("hosts", "/etc/hosts"),
    ("resolv.conf", "/etc/resolv.conf"),
];

/// The shared memory of a pod, in its directory, and where its containers see it.
pub const SHM: (&str, &str) = ("shm", "/dev/shm");

impl Pod {
    /// The pod that is asked for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what can't be, UNIMPLEMENTED for what isn't.
    pub fn of(request: &CreateSandboxRequest) -> Result<Pod, Failure> {
        if !request.rootfs.is_empty() {
            return Err(Failure::new(
                Code::Unimplemented,
                "a sandbox with a root file system: a pod of this runtime has no container of its own",
            ));
        }
        let config = config(request.options.as_ref())?;
        let linux = config.linux.unwrap_or_default();
        let security = linux.security_context.unwrap_or_default();
        let asked = security.namespace_options.unwrap_or_default();
        let pod = Pod {
            hostname: config.hostname,
            network: request.netns_path.clone(),
            ipc: asked.ipc != mode::NODE,
            // What a client doesn't say is the pod's, by the numbers of the CRI.
            pids: match asked.pid {
                mode::NODE => Pids::Node,
                mode::CONTAINER => Pids::Container,
                _ => Pids::Pod,
            },
            user: asked
                .userns_options
                .as_ref()
                .is_some_and(|user| user.mode == mode::POD),
            sysctls: Vec::new(),
            dns: config.dns_config.map_or_else(Dns::default, |dns| Dns {
                servers: dns.servers,
                searches: dns.searches,
                options: dns.options,
            }),
            cgroup: linux.cgroup_parent,
        };
        pod.possible(&asked)?;
        let scope = Scope {
            own: pod.own(),
            domainname: "",
        };
        let sysctls = sysctls(&linux.sysctls, scope)
            .map_err(|error| invalid(format!("the pod's sysctls: {error}")))?;
        Ok(Pod { sysctls, ..pod })
    }

    fn possible(&self, asked: &NamespaceOption) -> Result<(), Failure> {
        if self.network.is_empty() && asked.network != mode::NODE && self.user {
            return Err(invalid(
                "a pod with a user namespace needs a network namespace that it owns".to_owned(),
            ));
        }
        if self.hostname.len() > 64 || self.hostname.contains('\0') {
            return Err(invalid(format!(
                "hostname {:?}: the kernel takes 64 bytes",
                self.hostname
            )));
        }
        // resolv.conf has a line for each.
        let Dns {
            servers,
            searches,
            options,
        } = &self.dns;
        let words = servers.iter().chain(searches).chain(options);
        match words
            .into_iter()
            .find(|word| word.contains(['\n', '\r', '\0']))
        {
            Some(word) => Err(invalid(format!("dns_config: {word:?} is no word"))),
            None => Ok(()),
        }
    }

    fn own(&self) -> Namespaces {
        let kinds = [
            (!self.network.is_empty(), Namespaces::NETWORK),
            (!self.network.is_empty(), Namespaces::UTS),
            (self.ipc, Namespaces::IPC),
            (self.user, Namespaces::USER),
        ];
        kinds
            .into_iter()
            .filter(|(own, _)| *own)
            .fold(Namespaces::default(), |all, (_, kind)| all.with(kind))
    }

    /// Whether it needs a process: only a process can be the first of a pid namespace, or enter a user namespace.
    pub fn needs_process(&self) -> bool {
        self.pids == Pids::Pod || self.user
    }

    /// Its resolv.conf, where it doesn't look names up as the host does.
    pub fn resolv_conf(&self) -> Option<String> {
        let Dns {
            servers,
            searches,
            options,
        } = &self.dns;
        if servers.is_empty() && searches.is_empty() && options.is_empty() {
            return None;
        }
        let mut text = String::new();
        if !searches.is_empty() {
            text += &format!("search {}\n", searches.join(" "));
        }
        for server in servers {
            text += &format!("nameserver {server}\n");
        }
        if !options.is_empty() {
            text += &format!("options {}\n", options.join(" "));
        }
        Some(text)
    }
}

/// kubelet's words; none from other clients.
fn config(options: Option<&Any>) -> Result<PodSandboxConfig, Failure> {
    let Some(options) = options.filter(|options| !options.type_url.is_empty()) else {
        return Ok(PodSandboxConfig::default());
    };
    let name = options.type_url.rsplit('/').next().unwrap_or_default();
    if name != PodSandboxConfig::NAME {
        return Err(invalid(format!(
            "a sandbox's options are {}, not {:?}",
            PodSandboxConfig::NAME,
            options.type_url
        )));
    }
    PodSandboxConfig::decode(&options.value)
        .map_err(|error| invalid(format!("the sandbox's options: {error}")))
}

/// Where no process holds a pid namespace for the pod, `/proc/PID/ns/pid` of what holds the others is the host's: a container
/// that wants the pod's must not get that.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn guard(config: &Value, pod: &Pod, pid: u32) -> Result<(), Failure> {
    let namespaces = config["linux"]["namespaces"].as_array();
    let path = format!("/proc/{pid}/ns/pid");
    let wanted = namespaces.into_iter().flatten().any(|namespace| {
        namespace["type"] == "pid" && namespace["path"].as_str() == Some(path.as_str())
    });
    if wanted && pod.pids == Pids::Container {
        return Err(invalid(
            "the container is to share its pod's processes, and the pod was made with a pid namespace for each container"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Puts the pod's files into a container's config where it names nothing at their places, and the pod's shared memory where it
/// would have some of its own. Returns whether anything is new.
pub fn furnish(config: &mut Value, directory: &Path, shm: bool) -> bool {
    let read_only = config["root"]["readonly"].as_bool().unwrap_or_default();
    let Some(mounts) = config
        .as_object_mut()
        .map(|config| config.entry("mounts").or_insert(json!([])))
        .and_then(Value::as_array_mut)
    else {
        return false;
    };
    let before = mounts.clone();
    let source = |name: &str| directory.join(name).to_string_lossy().into_owned();
    if shm
        && let Some(own) = mounts
            .iter_mut()
            .find(|mount| mount["destination"] == SHM.1)
            .filter(|mount| mount["type"] == "tmpfs")
    {
        *own = json!({
            "destination": SHM.1, "type": "bind", "source": source(SHM.0),
            "options": ["rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"],
        });
    }
    for (name, place) in FILES {
        if !mounts.iter().any(|mount| mount["destination"] == place) {
            let access = if read_only { "ro" } else { "rw" };
            mounts.push(json!({
                "destination": place, "type": "bind", "source": source(name),
                "options": ["rbind", "rprivate", access],
            }));
        }
    }
    *mounts != before
}

fn invalid(why: String) -> Failure {
    Failure::new(Code::InvalidArgument, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tare_shim_wire::messages::cri::{
        DNSConfig, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, UserNamespace,
    };

    fn request(network: i32, pid: i32, ipc: i32, sysctls: &[(&str, &str)]) -> CreateSandboxRequest {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let config = PodSandboxConfig {
            hostname: "web-0".to_owned(),
            dns_config: None,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: "/kubepods/pod1".to_owned(),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(NamespaceOption {
                        network,
                        pid,
                        ipc,
                        userns_options: None,
                    }),
                }),
                sysctls: sysctls.iter().map(owned).collect(),
            }),
        };
        let netns_path = match network {
            mode::NODE => String::new(),
            _ => "/run/netns/cni-1".to_owned(),
        };
        CreateSandboxRequest {
            sandbox_id: "s1".to_owned(),
            options: Some(Any::pack(&config)),
            netns_path,
            ..CreateSandboxRequest::default()
        }
    }

    #[test]
    fn a_pod_of_kubelet() {
        let request = request(
            mode::POD,
            mode::CONTAINER,
            mode::POD,
            &[("net.ipv4.ip_forward", "1"), ("kernel.shmmax", "4096")],
        );
        let pod = Pod::of(&request).unwrap();
        let expected = Pod {
            hostname: "web-0".to_owned(),
            network: "/run/netns/cni-1".to_owned(),
            ipc: true,
            pids: Pids::Container,
            cgroup: "/kubepods/pod1".to_owned(),
            sysctls: [
                ("sys/kernel/shmmax", "4096"),
                ("sys/net/ipv4/ip_forward", "1"),
            ]
            .map(|(file, value)| (file.to_owned(), value.to_owned()))
            .into(),
            ..Pod::default()
        };
        assert_eq!(pod, expected);
        assert!(!pod.needs_process());
    }

    #[test]
    fn a_pod_of_somebody_else() {
        let pod = Pod::of(&CreateSandboxRequest::default()).unwrap();
        let expected = Pod {
            ipc: true,
            ..Pod::default()
        };
        assert_eq!(pod, expected);
        assert!(pod.needs_process(), "nobody may get the host's processes");
    }

    #[test]
    fn shared_pids_and_users_need_a_process() {
        let shared = Pod::of(&request(mode::POD, mode::POD, mode::POD, &[])).unwrap();
        assert!(shared.pids == Pids::Pod && shared.needs_process());
        let mut asked = request(mode::POD, mode::CONTAINER, mode::POD, &[]);
        let mut config = config(asked.options.as_ref()).unwrap();
        let linux = config.linux.as_mut().unwrap();
        let security = linux.security_context.as_mut().unwrap();
        security.namespace_options.as_mut().unwrap().userns_options =
            Some(UserNamespace { mode: mode::POD });
        asked.options = Some(Any::pack(&config));
        let users = Pod::of(&asked).unwrap();
        assert!(users.user && users.needs_process());
    }

    #[test]
    fn nothing_of_the_hosts_is_changed() {
        for (network, ipc, name) in [
            (mode::NODE, mode::POD, "net.core.somaxconn"),
            (mode::POD, mode::NODE, "kernel.sem"),
            (mode::POD, mode::POD, "vm.swappiness"),
            (mode::POD, mode::POD, "net/../vm/swappiness"),
            (mode::POD, mode::POD, "kernel.hostname"),
        ] {
            let asked = request(network, mode::CONTAINER, ipc, &[(name, "1")]);
            let failure = Pod::of(&asked).unwrap_err();
            assert_eq!(failure.code, Code::InvalidArgument, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let mut rootfs = CreateSandboxRequest::default();
        rootfs.rootfs.push(Default::default());
        let unknown = CreateSandboxRequest {
            options: Some(Any::json("some.Other", Vec::new())),
            ..CreateSandboxRequest::default()
        };
        let mut broken = request(mode::POD, mode::CONTAINER, mode::POD, &[]);
        broken.options.as_mut().unwrap().value = vec![0xff; 3];
        let long = |hostname: String, server: &str| {
            let config = PodSandboxConfig {
                hostname,
                dns_config: Some(DNSConfig {
                    servers: vec![server.to_owned()],
                    ..DNSConfig::default()
                }),
                linux: None,
            };
            CreateSandboxRequest {
                options: Some(Any::pack(&config)),
                ..CreateSandboxRequest::default()
            }
        };
        for (asked, code) in [
            (rootfs, Code::Unimplemented),
            (unknown, Code::InvalidArgument),
            (broken, Code::InvalidArgument),
            (long("x".repeat(65), "10.0.0.1"), Code::InvalidArgument),
            (
                long(String::new(), "10.0.0.1\noptions x"),
                Code::InvalidArgument,
            ),
        ] {
            assert_eq!(Pod::of(&asked).unwrap_err().code, code, "{asked:?}");
        }
    }

    #[test]
    fn resolv_conf_has_a_line_for_each_server() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let pod = Pod {
            dns: Dns {
                servers: words(&["10.0.0.1", "10.0.0.2"]),
                searches: words(&["a.local", "local"]),
                options: words(&["ndots:5"]),
            },
            ..Pod::default()
        };
        let text =
            "search a.local local\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions ndots:5\n";
        assert_eq!(pod.resolv_conf().as_deref(), Some(text));
        assert_eq!(Pod::default().resolv_conf(), None);
    }

    #[test]
    fn a_container_is_furnished() {
        let mut config = json!({
            "root": {"path": "rootfs", "readonly": true},
            "mounts": [
                {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
                {"destination": "/etc/hosts", "type": "bind", "source": "/kubelet/hosts"},
            ],
        });
        assert!(furnish(&mut config, Path::new("/pods/s1"), true));
        let expected = json!([
            {"destination": "/dev/shm", "type": "bind", "source": "/pods/s1/shm",
             "options": ["rbind", "rprivate", "rw", "nosuid", "nodev", "noexec"]},
            {"destination": "/etc/hosts", "type": "bind", "source": "/kubelet/hosts"},
            {"destination": "/etc/hostname", "type": "bind", "source": "/pods/s1/hostname",
             "options": ["rbind", "rprivate", "ro"]},
            {"destination": "/etc/resolv.conf", "type": "bind", "source": "/pods/s1/resolv.conf",
             "options": ["rbind", "rprivate", "ro"]},
        ]);
        assert_eq!(config["mounts"], expected);
        assert!(!furnish(&mut config, Path::new("/pods/s1"), true), "again");
        assert!(!furnish(&mut json!([]), Path::new("/pods/s1"), true));
    }

    #[test]
    fn the_hosts_processes_are_not_the_pods() {
        let joins = |path: &str| json!({"linux": {"namespaces": [{"type": "pid", "path": path}]}});
        let pod = |pids| Pod {
            pids,
            ..Pod::default()
        };
        guard(&joins("/proc/7/ns/pid"), &pod(Pids::Container), 7).unwrap_err();
        guard(&joins("/proc/7/ns/pid"), &pod(Pids::Pod), 7).unwrap();
        guard(&joins("/proc/7/ns/pid"), &pod(Pids::Node), 7).unwrap();
        guard(&joins("/proc/8/ns/pid"), &pod(Pids::Container), 7).unwrap();
        guard(&json!({}), &pod(Pids::Container), 7).unwrap();
    }

    #[test]
    fn memory_of_its_own_stays_where_the_pod_has_none() {
        let own = json!({"destination": "/dev/shm", "type": "tmpfs", "source": "shm"});
        let mut config = json!({ "mounts": [own] });
        furnish(&mut config, Path::new("/pods/s1"), false);
        assert_eq!(config["mounts"][0], own);
        assert_eq!(config["mounts"][1]["options"][2], "rw");
    }
}
