//! The plans that the faults are tried on: a bundle each, and what has to be there beside it.

use super::ground::{Ground, PROGRAM};
use crate::process;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub struct Plan {
    pub name: &'static str,
    pub verb: Verb,
    pub prepare: fn(&mut Ground),
}

/// What makes the plan's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Create,
    Run,
    Exec,
}

/// Nobody's id: no entry in passwd, no process.
const USER: u32 = 61_235;

#[rustfmt::skip]
pub const ALL: [Plan; 18] = [
    Plan { name: "plain", verb: Verb::Create, prepare: |_| {} },
    Plan { name: "run", verb: Verb::Run, prepare: |_| {} },
    Plan { name: "docker", verb: Verb::Create, prepare: docker },
    Plan { name: "limits", verb: Verb::Create, prepare: limits },
    Plan { name: "userns", verb: Verb::Create, prepare: user_namespace },
    Plan { name: "rootless", verb: Verb::Create, prepare: rootless },
    Plan { name: "rootless-range", verb: Verb::Create, prepare: rootless_range },
    Plan { name: "systemd", verb: Verb::Create, prepare: super::systemd::prepare },
    Plan { name: "hooks", verb: Verb::Create, prepare: hooks },
    Plan { name: "notify", verb: Verb::Create, prepare: notify },
    Plan { name: "listener", verb: Verb::Create, prepare: listener },
    Plan { name: "terminal", verb: Verb::Create, prepare: terminal },
    Plan { name: "joined", verb: Verb::Create, prepare: joined },
    Plan { name: "netdevice", verb: Verb::Create, prepare: net_device },
    Plan { name: "mounts", verb: Verb::Create, prepare: mounts },
    Plan { name: "exec", verb: Verb::Exec, prepare: |_| {} },
    Plan { name: "exec-terminal", verb: Verb::Exec, prepare: exec_terminal },
    Plan { name: "exec-userns", verb: Verb::Exec, prepare: user_namespace },
];

const DOCKER: &str = include_str!("../../../runtime-core/tests/support/docker.json");

fn docker(g: &mut Ground) {
    let mut docker: Value = serde_json::from_str(DOCKER).expect("valid JSON");
    docker["process"]["args"] = g.sandbox.spec["process"]["args"].clone();
    docker["linux"]["cgroupsPath"] = g.sandbox.spec["linux"]["cgroupsPath"].clone();
    // The file's filter is cut to a few calls.
    docker["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["ptrace", "kexec_load", "swapon"], "action": "SCMP_ACT_ERRNO"}]
    });
    for name in ["resolv.conf", "hostname"] {
        fs::write(g.sandbox.rootfs.join("etc").join(name), "").expect("own directory");
    }
    let etc = g.sandbox.bundle.join("etc");
    fs::create_dir_all(&etc).expect("own directory");
    for name in ["resolv.conf", "hostname", "hosts"] {
        fs::write(etc.join(name), "").expect("own directory");
    }
    *g.sandbox.spec = docker;
}

fn limits(g: &mut Ground) {
    g.sandbox
        .spec
        .set("linux.resources.memory.limit", 64 << 20)
        .set("linux.resources.memory.reservation", 32 << 20)
        .set("linux.resources.pids.limit", 50)
        .set("linux.resources.cpu.shares", 512)
        .set("linux.resources.cpu.quota", 50_000)
        .set("linux.resources.cpu.period", 100_000)
        .set("process.oomScoreAdj", 100)
        .set("process.umask", 0o27)
        .set("process.user.additionalGids", json!([5, 6]))
        .set("process.noNewPrivileges", false)
        .set(
            "process.rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 256, "hard": 512}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]),
        )
        .set("process.scheduler", json!({"policy": "SCHED_OTHER", "nice": 1}))
        .set(
            "process.ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 5}),
        )
        .set("linux.personality", json!({"domain": "LINUX"}))
        .set("linux.timeOffsets", json!({"monotonic": {"secs": 100}}))
        .namespace("time", None)
        .set("domainname", "tare.example")
        .set("linux.sysctl", json!({"kernel.shmmax": "65536"}))
        .set("process.capabilities.inheritable", json!(["CAP_CHOWN"]))
        .set("process.capabilities.ambient", json!(["CAP_CHOWN"]))
        .set("root.readonly", false)
        .set("linux.rootfsPropagation", "slave");
}

pub fn user_namespace(g: &mut Ground) {
    let maps = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    g.sandbox
        .spec
        .namespace("user", None)
        .set("linux.uidMappings", maps.clone())
        .set("linux.gidMappings", maps);
    give(&g.sandbox.rootfs, 100_000);
    open_to_all(g);
}

fn rootless(g: &mut Ground) {
    let maps = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
    g.sandbox
        .spec
        .namespace("user", None)
        .set("linux.uidMappings", maps.clone())
        .set("linux.gidMappings", maps)
        .remove("linux.cgroupsPath")
        .unmount("/dev/pts")
        .mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
            ],
        );
    g.user = Some(USER);
    open_to_all(g);
    let directory = g.sandbox.environment.directory.clone();
    let xdg = directory.join("xdg");
    fs::create_dir_all(&xdg).expect("own directory");
    g.environment.push((
        "XDG_RUNTIME_DIR".to_owned(),
        xdg.to_string_lossy().into_owned(),
    ));
    g.sandbox.write_spec();
    give(&directory, USER);
}

/// The same with a range of ids by newuidmap(1), which are given in this part's own mount namespace.
fn rootless_range(g: &mut Ground) {
    let directory = g.sandbox.environment.directory.clone();
    let passwd = fs::read_to_string("/etc/passwd").expect("it is there");
    let user = format!("tftest:x:{USER}:{USER}::/:/bin/sh\n");
    for (name, text, places) in [
        ("passwd", passwd + &user, &["/etc/passwd"][..]),
        (
            "subuid",
            "tftest:700000:65536\n".to_owned(),
            &["/etc/subuid", "/etc/subgid"],
        ),
    ] {
        let path = directory.join(name);
        fs::write(&path, text).expect("own directory");
        for place in places {
            rustix::mount::mount_bind(&path, *place)
                .unwrap_or_else(|error| panic!("{place} (package uidmap): {error}"));
        }
    }
    rootless(g);
    for file in ["passwd", "subuid"] {
        chown(directory.join(file), Some(0), Some(0)).expect("own directory");
    }
    let maps = json!([
        {"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": 700_000, "size": 1000}
    ]);
    g.sandbox
        .spec
        .set("linux.uidMappings", maps.clone())
        .set("linux.gidMappings", maps);
}

fn hook(g: &mut Ground, kind: &str) {
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "cat > /dev/null"]});
    g.sandbox.spec.push(&format!("hooks.{kind}"), hook);
}

fn hooks(g: &mut Ground) {
    for kind in [
        "prestart",
        "createRuntime",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        hook(g, kind);
    }
}

fn notify(g: &mut Ground) {
    let path = g.sandbox.path("host-notify");
    g.notify = Some(UnixDatagram::bind(&path).expect("own directory"));
    g.environment.push(("NOTIFY_SOCKET".to_owned(), path));
    let program = PROGRAM.replace("exec", "/inspect probe notify:READY=1 >/dev/null; exec");
    g.sandbox.spec.args(&["/bin/sh", "-c", &program]);
}

fn listener(g: &mut Ground) {
    let path = g.sandbox.path("agent.sock");
    g.listeners
        .push(UnixListener::bind(&path).expect("own directory"));
    let pidfd = g.sandbox.path("pidfd.sock");
    g.listeners
        .push(UnixListener::bind(&pidfd).expect("own directory"));
    g.flags.extend(["--pidfd-socket".to_owned(), pidfd]);
    g.sandbox.spec.set(
        "linux.seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "listenerPath": path,
            "syscalls": [{"names": ["getpgid"], "action": "SCMP_ACT_NOTIFY"}]
        }),
    );
    g.sandbox.spec.set("process.noNewPrivileges", false);
}

fn terminal(g: &mut Ground) {
    let path = g.sandbox.path("console.sock");
    g.listeners
        .push(UnixListener::bind(&path).expect("own directory"));
    g.flags.extend(["--console-socket".to_owned(), path]);
    g.sandbox
        .spec
        .set("process.terminal", true)
        .set("process.consoleSize", json!({"height": 40, "width": 100}));
}

fn exec_terminal(g: &mut Ground) {
    let path = g.sandbox.path("console.sock");
    g.listeners
        .push(UnixListener::bind(&path).expect("own directory"));
    g.exec_flags
        .extend(["--tty", "--console-socket", &path].map(str::to_owned));
}

/// Joins the namespaces of a process that is there already, by a pid namespace too: the hop.
fn joined(g: &mut Ground) {
    let script = "exec sleep 1000000";
    let words = [
        "--fork",
        "--kill-child",
        "--pid",
        "--net",
        "--ipc",
        "--uts",
        "sh",
        "-c",
        script,
    ];
    let child = Command::new("unshare")
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("util-linux is there");
    let parent = child.id() as i32;
    g.helpers.push(child);
    let mut inner = None;
    process::eventually(Duration::from_secs(5), || {
        inner = process::descendants(parent).first().copied();
        inner.is_some_and(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep")
        })
    });
    let inner = inner.expect("the holder of the namespaces runs");
    for (kind, file) in [
        ("pid", "pid"),
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
    ] {
        let path = format!("/proc/{inner}/ns/{file}");
        g.sandbox.spec.namespace(kind, Some(&path));
    }
    g.sandbox.spec.remove("hostname");
}

fn net_device(g: &mut Ground) {
    let number = std::process::id();
    let (moved, other) = (format!("tfa{number:x}"), format!("tfb{number:x}"));
    g.sandbox
        .spec
        .set("linux.netDevices", json!({&moved: {"name": "eth7"}}));
    g.interface = Some((moved, other));
}

fn mounts(g: &mut Ground) {
    let source = g.sandbox.environment.directory.join("volume");
    fs::create_dir_all(&source).expect("own directory");
    let maps = json!([{"containerID": 0, "hostID": 1000, "size": 100}]);
    g.sandbox
        .spec
        .bind(&source, "/mnt", &["rw", "rprivate", "nosuid"])
        .bind(&source, "/var/data", &["ro", "rbind"])
        .mount("/tmp", "tmpfs", "tmpfs", &["nosuid", "size=16m", "tmpcopyup"])
        .push(
            "mounts",
            json!({"destination": "/run/mapped", "type": "bind", "source": source, "options": ["bind"],
                "uidMappings": maps, "gidMappings": maps}),
        )
        .set("linux.maskedPaths", json!(["/proc/keys", "/sys/firmware"]))
        .set("linux.readonlyPaths", json!(["/proc/sys"]))
        .set("root.readonly", false)
        .push(
            "linux.devices",
            json!({"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o600}),
        );
}

pub fn give(path: &Path, user: u32) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("own directory");
        if kind.is_dir() {
            give(&entry.path(), user);
        }
        // The two programs are hard links into the shared template.
        let shared = matches!(entry.file_name().to_str(), Some("busybox" | "inspect"));
        if !kind.is_symlink() && !shared {
            chown(entry.path(), Some(user), Some(user)).expect("own directory");
        }
    }
    chown(path, Some(user), Some(user)).expect("own directory");
}

/// A mapped root must be able to pass through to its root file system.
fn open_to_all(g: &Ground) {
    let environment = &g.sandbox.environment;
    for path in [&environment.directory, &g.sandbox.bundle] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("own directory");
    }
}
