//! Hosts by name and specs to change, for the tests of the planner.
#![allow(dead_code)] // each test program uses a part

use serde_json::{Value, json};
use std::path::PathBuf;
use tare_runtime::plan::facts::{HostFacts, PlanOptions, Verb};
use tare_runtime::plan::ir::{Extent, Namespaces};

/// The hosts that goldens name.
pub const HOSTS: [&str; 13] = [
    "v1",
    "hybrid",
    "v2",
    "systemd",
    "rootless",
    "bare",
    "nested",
    "inner",
    "bounded",
    "powerless",
    "old",
    "secure",
    "none",
];

/// The facts of a host.
///
/// - `v1`, `hybrid`, `v2`: root on a new kernel, by cgroup layout; `systemd`: v2 with systemd; `none`: no cgroup filesystem
/// - `rootless`: uid 1000 with newuidmap and systemd's delegation; `bare`: uid 1000 with nothing
/// - `nested`: root of a user namespace (v2)
/// - `inner`: in a rootless container: root of a user namespace with one id, without setgroups, below a seccomp filter
/// - `bounded`: root without CAP_NET_ADMIN, CAP_MKNOD and CAP_SYS_RESOURCE; `powerless`: root without any capability
/// - `old`: Linux 4.19, v1
/// - `secure`: v2 with AppArmor, SELinux and resctrl
pub fn host(name: &str) -> Option<HostFacts> {
    let all = Namespaces::ALL
        .iter()
        .fold(Namespaces::default(), |set, (kind, _)| set.with(*kind));
    let mut facts = HostFacts {
        kernel: (6, 12),
        uid: 0,
        gid: 0,
        capabilities: 0x1ff_ffff_ffff,
        last_capability: 40,
        initial_userns: true,
        own_uids: Vec::new(),
        own_gids: Vec::new(),
        setgroups_denied: false,
        no_new_privileges: false,
        filtered: false,
        namespaces: all,
        cgroup: layout(V2, "0::/\n", false),
        apparmor: false,
        selinux: false,
        mount_setattr: true,
        idmapped_mounts: true,
        seccomp_flags: 0x3f,
        newuidmap: Some("/usr/bin/newuidmap".to_owned()),
        newgidmap: Some("/usr/bin/newgidmap".to_owned()),
        resctrl: None,
    };
    match name {
        "v1" => facts.cgroup = layout(V1, OWN_V1, false),
        "hybrid" => {
            facts.cgroup = layout(&format!("{V1}{HYBRID}"), &format!("{OWN_V1}0::/\n"), false)
        }
        "v2" => {}
        "systemd" => {
            facts.cgroup = layout(V2, "0::/user.slice/user-0.slice/session-1.scope\n", true)
        }
        "rootless" | "bare" => {
            (facts.uid, facts.gid, facts.capabilities) = (1000, 1000, 0);
            let own = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.scope\n";
            facts.cgroup = layout(V2, own, true);
            if name == "bare" {
                (facts.newuidmap, facts.newgidmap) = (None, None);
                if let Some(unified) = &mut facts.cgroup.unified {
                    unified.writable = false;
                }
            }
        }
        "nested" => facts.initial_userns = false,
        "inner" => {
            let own = Extent {
                inside: 0,
                outside: 1000,
                size: 1,
            };
            facts.initial_userns = false;
            (facts.own_uids, facts.own_gids) = (vec![own], vec![own]);
            (facts.setgroups_denied, facts.filtered) = (true, true);
            facts.cgroup = tare_cgroup::Layout::default();
        }
        "bounded" => facts.capabilities &= !(1 << 12 | 1 << 24 | 1 << 27),
        "powerless" => facts.capabilities = 0,
        "old" => {
            facts.kernel = (4, 19);
            facts.last_capability = 37;
            facts.capabilities = 0x3f_ffff_ffff;
            facts.namespaces = all.without(Namespaces::TIME);
            facts.cgroup = layout(V1, OWN_V1, false);
            (
                facts.mount_setattr,
                facts.idmapped_mounts,
                facts.seccomp_flags,
            ) = (false, false, 0x7);
        }
        "secure" => {
            (facts.apparmor, facts.selinux) = (true, true);
            facts.resctrl = Some("/sys/fs/resctrl".to_owned());
        }
        "none" => facts.cgroup = tare_cgroup::Layout::default(),
        _ => return None,
    }
    Some(facts)
}

const V2: &str =
    "30 24 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - cgroup2 cgroup2 rw\n";
const HYBRID: &str = "41 30 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
const V1: &str = "31 30 0:27 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
34 30 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
35 30 0:31 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
36 30 0:32 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
";
const OWN_V1: &str =
    "6:pids:/\n5:devices:/\n4:memory:/\n3:cpuset:/\n2:cpu,cpuacct:/\n1:name=systemd:/\n";

fn layout(mountinfo: &str, own: &str, systemd: bool) -> tare_cgroup::Layout {
    let controllers = if mountinfo.contains("cgroup/unified") {
        ""
    } else {
        "cpuset cpu io memory hugetlb pids rdma"
    };
    tare_cgroup::Layout::parse(mountinfo, own, controllers, systemd)
}

/// `create c1` of the bundle `/bundle`, changed by words: `run`, `rootless`, `no-pivot`, `no-new-keyring`, `console`,
/// `pidfd-socket`, `pid-file`, `notify`, `systemd`, `systemd-user`, `disabled`, `preserve-fds=N`, `listen-fds=N`.
pub fn options(words: &str) -> Result<PlanOptions, String> {
    let mut options = PlanOptions {
        id: "c1".to_owned(),
        bundle: PathBuf::from("/bundle"),
        verb: Verb::Create,
        cgroup_manager: tare_cgroup::Manager::Cgroupfs,
        rootless: false,
        no_pivot: false,
        no_new_keyring: false,
        preserve_fds: 0,
        listen_fds: 0,
        console: false,
        pidfd_socket: false,
        pid_file: false,
        notify_socket: None,
        state_dir: PathBuf::from("/run/trun/c1"),
    };
    for word in words.split_whitespace() {
        let (name, number) = word.split_once('=').unwrap_or((word, "0"));
        let number: u32 = number
            .parse()
            .map_err(|_| format!("{word}: not a number"))?;
        match name {
            "run" => options.verb = Verb::Run,
            "rootless" => options.rootless = true,
            "no-pivot" => options.no_pivot = true,
            "no-new-keyring" => options.no_new_keyring = true,
            "console" => options.console = true,
            "pidfd-socket" => options.pidfd_socket = true,
            "pid-file" => options.pid_file = true,
            "notify" => options.notify_socket = Some("/run/systemd/notify".to_owned()),
            "systemd" => {
                options.cgroup_manager = tare_cgroup::Manager::Systemd {
                    user: false,
                    address: String::new(),
                }
            }
            "systemd-user" => {
                let address = "unix:path=/run/user/1000/bus".to_owned();
                options.cgroup_manager = tare_cgroup::Manager::Systemd {
                    user: true,
                    address,
                };
            }
            "disabled" => options.cgroup_manager = tare_cgroup::Manager::Disabled,
            "preserve-fds" => options.preserve_fds = number,
            "listen-fds" => options.listen_fds = number,
            other => return Err(format!("{other}: no such option")),
        }
    }
    Ok(options)
}

/// A spec to change: `minimal`, `docker` (what dockerd gives for `run`), `podman` (rootless), `empty`.
pub fn base(name: &str) -> Option<Value> {
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    Some(match name {
        "empty" => json!({"ociVersion": "1.3.0"}),
        "minimal" => json!({
            "ociVersion": "1.3.0",
            "process": {"args": ["/bin/true"], "cwd": "/", "env": ["HOME=/"], "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]}
        }),
        "docker" => serde_json::from_str(include_str!("docker.json")).unwrap_or_default(),
        "podman" => json!({
            "ociVersion": "1.2.0",
            "process": {"args": ["sh"], "cwd": "/", "env": [path], "user": {"uid": 0, "gid": 0}},
            "root": {"path": "/home/u/rootfs"},
            "hostname": "pod",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
                {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
                {"destination": "/etc/hosts", "type": "bind", "source": "/home/u/hosts", "options": ["bind", "rprivate"]}
            ],
            "linux": {
                "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}],
                "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 1, "hostID": 100000, "size": 65536}],
                "namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "ipc"}]
            }
        }),
        _ => return None,
    })
}

/// JSON merge patch (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(members) = target else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            merge(members.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
