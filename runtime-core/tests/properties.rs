//! Properties of the planner over specs that nobody would write: it never panics, what it makes it can prove, and it always
//! answers the same.
mod support;

use proptest::prelude::*;
use proptest::test_runner::Config;
use serde_json::{Value, json};
use tare_runtime::plan::ir::Namespaces;
use tare_runtime::plan::{ExecTarget, check, plan, plan_exec};

/// A spec that uses every member, to be mutilated.
fn everything() -> Value {
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let hook = json!([{"path": "/h", "args": ["h", "1"], "env": ["A=1"], "timeout": 5}]);
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "terminal": true, "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3, 4]},
            "args": ["sh", "-c", "true"], "env": ["PATH=/bin:/usr/bin", "HOME=", "X=1"], "cwd": "/a/b",
            "capabilities": {"bounding": ["CAP_KILL", "CAP_BPF"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"],
                "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"]},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
            "noNewPrivileges": true, "apparmorProfile": "p", "selinuxLabel": "a:b:c", "oomScoreAdj": 5,
            "scheduler": {"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 6000, "period": 7000,
                "flags": ["SCHED_FLAG_RECLAIM"]},
            "ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 3},
            "execCPUAffinity": {"initial": "0-3", "final": "1"}
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "h", "domainname": "d",
        "annotations": {"run.oci.keep_original_groups": "0"},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro", "mode=755"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro", "nosuid"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]},
            {"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind", "rro", "ridmap", "rslave", "shared"],
                "uidMappings": map, "gidMappings": map},
            {"destination": "/t", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "ro"]},
            {"destination": "/x", "type": "none", "options": ["remount", "ro"]}
        ],
        "hooks": {"prestart": hook, "createRuntime": hook, "createContainer": hook, "startContainer": hook,
            "poststart": hook, "poststop": hook},
        "linux": {
            "uidMappings": map, "gidMappings": map,
            "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "user.max_user_namespaces": "1"},
            "resources": {"memory": {"limit": 1_000_000, "swap": 2_000_000}, "cpu": {"shares": 5, "cpus": "0"}, "pids": {"limit": 5},
                "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}]},
            "cgroupsPath": "/x/c1",
            "namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "network", "path": "/n/net"},
                {"type": "ipc"}, {"type": "uts"}, {"type": "cgroup"}, {"type": "time"}],
            "devices": [{"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
            "netDevices": {"eth1": {"name": "lan"}},
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "listenerPath": "/a.sock",
                "listenerMetadata": "m",
                "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"},
                    {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]},
            "rootfsPropagation": "rshared",
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "mountLabel": "a:b:c",
            "intelRdt": {"closID": "gold", "schemata": ["L3:0=f"], "enableMonitoring": true},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "personality": {"domain": "LINUX32", "flags": []},
            "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}}
        }
    })
}

/// Texts that break naive code, and words that mean something elsewhere in the spec.
const TEXTS: [&str; 40] = [
    "",
    "/",
    ".",
    "..",
    "/..",
    "/a/../..",
    "a\0b",
    "\n",
    "é",
    "/proc",
    "/proc/self",
    "/dev",
    "/dev/null",
    "/dev/ptmx",
    "ro",
    "bind",
    "rbind",
    "remount",
    "idmap",
    "tmpcopyup",
    "mode=755",
    "proc",
    "sysfs",
    "tmpfs",
    "cgroup",
    "user",
    "pid",
    "time",
    "mount",
    "CAP_SYS_ADMIN",
    "SCHED_OTHER",
    "private",
    "slave",
    "0-8191",
    "99999999999999999999",
    "-1",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_ERRNO",
    "=",
    "a=b=c",
];

const NUMBERS: [i64; 12] = [
    0,
    1,
    -1,
    2,
    255,
    4095,
    4096,
    65536,
    2_147_483_648,
    4_294_967_295,
    4_294_967_296,
    i64::MIN,
];

/// One change: which leaf (of all, in order), what to do there, and with what.
#[derive(Debug, Clone)]
struct Change {
    place: usize,
    kind: u8,
    text: String,
    number: i64,
}

fn change() -> impl Strategy<Value = Change> {
    let text = prop_oneof![4 => proptest::sample::select(TEXTS.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    let number = prop_oneof![3 => proptest::sample::select(NUMBERS.to_vec()), 1 => any::<i64>()];
    (any::<usize>(), any::<u8>(), text, number).prop_map(|(place, kind, text, number)| Change {
        place,
        kind,
        text,
        number,
    })
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

fn apply(value: &mut Value, place: &mut usize, change: &Change) {
    if *place == 0 {
        return alter(value, change);
    }
    *place -= 1;
    let children: Vec<&mut Value> = match value {
        Value::Array(list) => list.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => return,
    };
    for child in children {
        let size = nodes(child);
        if *place < size {
            return apply(child, place, change);
        }
        *place -= size;
    }
}

fn alter(value: &mut Value, change: &Change) {
    match value {
        Value::String(text) => text.clone_from(&change.text),
        Value::Number(_) => *value = json!(change.number),
        Value::Bool(flag) => *flag = !*flag,
        Value::Array(list) if change.kind.is_multiple_of(3) => list.clear(),
        Value::Array(list) => {
            if let Some(element) = list.get(change.place % list.len().max(1)).cloned() {
                if change.kind % 3 == 1 {
                    list.push(element);
                } else {
                    list.remove(change.place % list.len());
                }
            }
        }
        Value::Object(members) => {
            let key = members
                .keys()
                .nth(usize::from(change.kind) % members.len().max(1))
                .cloned();
            if let Some(key) = key {
                members.remove(&key);
            }
        }
        Value::Null => {}
    }
}

/// Members whose absence changes what the others mean.
const REMOVABLE: [&str; 24] = [
    "/process/terminal",
    "/process/scheduler",
    "/process/capabilities",
    "/process/apparmorProfile",
    "/process/rlimits",
    "/mounts",
    "/mounts/0",
    "/mounts/1",
    "/mounts/3",
    "/mounts/4",
    "/hooks",
    "/hooks/createContainer",
    "/linux/namespaces/3",
    "/linux/namespaces/2",
    "/linux/namespaces/0",
    "/linux/resources",
    "/linux/netDevices",
    "/linux/seccomp",
    "/linux/intelRdt",
    "/linux/sysctl",
    "/linux/uidMappings",
    "/linux/timeOffsets",
    "/linux/rootfsPropagation",
    "/linux/cgroupsPath",
];

fn remove(document: &mut Value, path: &str) {
    let Some((parent, key)) = path.rsplit_once('/') else {
        return;
    };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(key);
        }
        Some(Value::Array(list)) => {
            if let Some(index) = key.parse().ok().filter(|index: &usize| *index < list.len()) {
                list.remove(index);
            }
        }
        _ => {}
    }
    // Without its user namespace the maps go too.
    if path == "/linux/namespaces/0" {
        for path in ["/linux/uidMappings", "/linux/gidMappings"] {
            remove(document, path);
        }
    }
}

fn options() -> impl Strategy<Value = String> {
    let words = [
        "run",
        "rootless",
        "no-pivot",
        "no-new-keyring",
        "console",
        "pidfd-socket",
        "pid-file",
        "notify",
        "systemd",
        "systemd-user",
        "disabled",
        "preserve-fds=3",
        "preserve-fds=4294967295",
        "listen-fds=2",
    ];
    proptest::sample::subsequence(words.to_vec(), 0..words.len()).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(Config { cases: 3000, failure_persistence: None, ..Config::default() })]

    #[test]
    fn a_plan_of_anything_is_refused_or_proved(
        removed in proptest::sample::subsequence(REMOVABLE.to_vec(), 0..REMOVABLE.len()),
        changes in proptest::collection::vec(change(), 0..5),
        bare in proptest::bool::weighted(0.2),
        host in proptest::sample::select(support::HOSTS.to_vec()),
        options in options(),
        exec in any::<Option<u8>>(),
    ) {
        let mut document = everything();
        for path in removed {
            remove(&mut document, path);
        }
        for change in &changes {
            let mut place = change.place % nodes(&document);
            apply(&mut document, &mut place, change);
        }
        let mut facts = support::host(host).expect("a host of the list");
        let mut options = support::options(&options).expect("words of the list");
        if !bare {
            // Most refusals are for what a host lacks; behind them lies more.
            (facts.apparmor, facts.selinux, facts.resctrl) = (true, true, Some("/r".to_owned()));
            (options.console, options.rootless) = (true, options.rootless && facts.uid != 0);
        }
        let Ok(spec) = tare_runtime::config::load(document.to_string().as_bytes()) else { return Ok(()) };
        let make = || match (exec, &spec.process) {
            (Some(kinds), Some(process)) => {
                let set = Namespaces::ALL.iter().enumerate().filter(|(index, _)| kinds >> index & 1 == 1);
                let namespaces = set.fold(Namespaces::default(), |set, (_, (kind, _))| set.with(*kind));
                let linux = spec.linux.clone().unwrap_or_default();
                let cgroups = ["memory".to_owned()];
                let target = ExecTarget { pid: 1, namespaces, linux: &linux, cgroups: &cgroups, into_cgroup: kinds & 1 == 1 };
                plan_exec(process, &target, &facts, &options)
            }
            _ => plan(&spec, &facts, &options),
        };
        let first = make();
        prop_assert_eq!(&first, &make());
        match first {
            Err(error) => prop_assert!(!error.reason.is_empty() && !error.path.is_empty(), "{:?}", error),
            Ok(plan) => {
                prop_assert_eq!(check(&plan), Ok(()));
                let text = plan.to_string();
                prop_assert_eq!(text.lines().filter(|line| line.starts_with("  ")).count(), plan.host.len() + plan.child.len() + plan.skips.len());
            }
        }
    }
}

#[test]
fn the_whole_spec_is_planned_on_a_host_that_has_everything() {
    let mut document = everything();
    let facts = support::host("secure").expect("a host of the list");
    document["linux"]["seccomp"]["syscalls"][0]["action"] = json!("SCMP_ACT_NOTIFY");
    let spec =
        tare_runtime::config::load(document.to_string().as_bytes()).expect("a good document");
    let plan = plan(
        &spec,
        &facts,
        &support::options("console").expect("a word of the list"),
    )
    .expect("a plan");
    assert_eq!(check(&plan), Ok(()));
    assert!(plan.child.len() > 60, "{plan}");
}
