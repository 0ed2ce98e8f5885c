//! The bundles: six kinds of container over one read-only root filesystem, and what an exec sees in each.

use crate::world::World;
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Plain,
    User,
    Network,
    Seccomp,
    Terminal,
    Hooks,
}

pub const KINDS: [Kind; 6] = [
    Kind::Plain,
    Kind::User,
    Kind::Network,
    Kind::Seccomp,
    Kind::Terminal,
    Kind::Hooks,
];

/// Prints what tells the kinds apart, and ends with a status of its own.
pub const SCRIPT: &str = "hostname; read a b c < /proc/self/uid_map; echo $b; readlink /proc/self/ns/net; \
     grep Seccomp: /proc/self/status; echo $(readlink /proc/1/fd/0); mkdir /tmp/$(hostname) 2>/dev/null && echo made; exit 7";
pub const STATUS: i32 = 7;
/// The first host id of the containers with a user namespace.
const FIRST_ID: u32 = 100_000;

pub fn kind(number: usize) -> Kind {
    KINDS[number % KINDS.len()]
}

/// Writes the bundle and gives its directory.
pub fn write(world: &World, number: usize, args: &[&str]) -> std::io::Result<PathBuf> {
    let bundle = world.directory.join("bundles").join(number.to_string());
    fs::create_dir_all(&bundle)?;
    let spec = spec(world, number, args).to_string();
    fs::write(bundle.join("config.json"), spec)?;
    Ok(bundle)
}

/// What init and every exec may do.
pub const CAPABILITIES: [&str; 2] = ["CAP_KILL", "CAP_SYS_CHROOT"];

fn spec(world: &World, number: usize, args: &[&str]) -> Value {
    let id = world.id(number);
    let capabilities = json!(CAPABILITIES);
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "process": {
            "args": args, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "noNewPrivileges": true
        },
        "root": {"path": world.root_filesystem, "readonly": true},
        "hostname": id,
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=1024k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1024k"]}
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "resources": {"pids": {"limit": 64}},
            "namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]
        }
    });
    let new_namespace = |spec: &mut Value, name: &str| {
        let list = spec["linux"]["namespaces"].as_array_mut();
        list.expect("an array").push(json!({"type": name}));
    };
    match kind(number) {
        Kind::Plain => {}
        Kind::User => {
            new_namespace(&mut spec, "user");
            let map = json!([{"containerID": 0, "hostID": FIRST_ID, "size": 65536}]);
            spec["linux"]["uidMappings"] = map.clone();
            spec["linux"]["gidMappings"] = map;
        }
        Kind::Network => new_namespace(&mut spec, "network"),
        Kind::Seccomp => {
            spec["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]
            });
        }
        Kind::Terminal => spec["process"]["terminal"] = true.into(),
        Kind::Hooks => {
            for kind in HOOKS {
                let touch = format!(": > {}", hook_file(world, number, kind).display());
                spec["hooks"][kind] =
                    json!([{"path": "/bin/sh", "args": ["sh", "-c", touch], "timeout": 30}]);
            }
        }
    }
    spec
}

/// A process as the library's exec takes it, with init's capabilities.
pub fn process(args: &[&str]) -> tare_oci::Process {
    let set = CAPABILITIES.map(str::to_owned).to_vec();
    tare_oci::Process {
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        capabilities: Some(tare_oci::Capabilities {
            bounding: set.clone(),
            effective: set.clone(),
            permitted: set,
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub const HOOKS: [&str; 3] = ["createRuntime", "poststart", "poststop"];

/// What a hook of this kind makes.
pub fn hook_file(world: &World, number: usize, kind: &str) -> PathBuf {
    world
        .directory
        .join("bundles")
        .join(format!("{number}.{kind}"))
}

/// Compares what [`SCRIPT`] printed in container `number` with what its kind promises.
pub fn check(world: &World, number: usize, printed: &str) -> Result<(), String> {
    let own_network = fs::read_link("/proc/thread-self/ns/net").unwrap_or_default();
    let own_network = own_network.to_string_lossy();
    let kind = kind(number);
    let mut lines = printed.lines();
    let mut next = || lines.next().unwrap_or_default();
    let mut wrong = Vec::new();
    let mut see = |what: &str, seen: &str, right: bool| {
        if !right {
            wrong.push(format!("{what} is {seen:?}"));
        }
    };
    let seen = next();
    see("the host name", seen, seen == world.id(number));
    let seen = next();
    let first = if kind == Kind::User { FIRST_ID } else { 0 };
    see("the first host id", seen, seen == first.to_string());
    let seen = next();
    see(
        "the network",
        seen,
        seen.starts_with("net:[") && (seen != own_network) == (kind == Kind::Network),
    );
    let seen = next();
    let filtered = seen.trim_start_matches("Seccomp:").trim() == "2";
    see("the filter", seen, filtered == (kind == Kind::Seccomp));
    let seen = next();
    let terminal = seen.starts_with("/dev/pts/") || seen == "/dev/console";
    see("stdin of init", seen, terminal == (kind == Kind::Terminal));
    let seen = next();
    see("mkdir", seen, (seen == "made") == (kind != Kind::Seccomp));
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!("{kind:?}: {}", wrong.join(", ")))
    }
}
