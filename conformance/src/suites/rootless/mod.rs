//! Rootless: the runtime started by an ordinary user, and within containers, with what each of them denies.
//!
//! docs/rootless.md lists the situations, what the runtime does in each, and the case that shows it.

mod cgroups;
mod denied;
mod maps;
mod nested;
mod place;
mod user;

use crate::case::{Case, skip};
use crate::inspect::Report;
use crate::rootfs;
use crate::runtime::{Call, Output};
use crate::sandbox::{Container, Sandbox};
use crate::spec::Spec;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

pub fn cases() -> Vec<Case> {
    [
        user::cases(),
        maps::cases(),
        place::cases(),
        cgroups::cases(),
        nested::cases(),
        denied::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Nobody's id: no entry in passwd, no process.
const USER: u32 = 61_234;

/// First of the ids of a container that root maps to a range.
const RANGE: u32 = 700_000;

/// Every capability, for a container that makes containers.
const ALL_CAPABILITIES: [&str; 41] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_AUDIT_WRITE",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_KILL",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_MKNOD",
    "CAP_NET_ADMIN",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_RAW",
    "CAP_PERFMON",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_CHROOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_WAKE_ALARM",
];

fn one_id(inside: u32, outside: u32, size: u32) -> Value {
    json!([{"containerID": inside, "hostID": outside, "size": size}])
}

/// A user namespace with these ids, no cgroup path, and a devpts that asks for no group.
fn in_user_namespace(spec: &mut Spec, map: &Value) {
    let options = [
        "nosuid",
        "noexec",
        "newinstance",
        "ptmxmode=0666",
        "mode=0620",
    ];
    spec.namespace("user", None)
        .set("linux.uidMappings", map.clone())
        .set("linux.gidMappings", map.clone())
        .remove("linux.cgroupsPath")
        .unmount("/dev/pts")
        .mount("/dev/pts", "devpts", "devpts", &options);
}

fn give(path: &Path, user: u32) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            give(&entry.path(), user);
        }
        // The two programs are hard links into the shared template.
        if !kind.is_symlink() && !matches!(entry.file_name().to_str(), Some("busybox" | "inspect"))
        {
            chown(entry.path(), Some(user), Some(user)).unwrap();
        }
    }
    chown(path, Some(user), Some(user)).unwrap();
}

/// The container of an ordinary user, who owns all of it and has one id inside.
pub fn prepare(s: &mut Sandbox) {
    prepare_for(s, USER, &one_id(0, USER, 1));
}

fn prepare_for(s: &mut Sandbox, owner: u32, map: &Value) {
    if fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|text| text.trim() == "0")
    {
        skip("user namespaces are off");
    }
    in_user_namespace(&mut s.spec, map);
    fs::create_dir_all(&s.environment.root).unwrap();
    let directory = s.environment.directory.clone();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    s.write_spec();
    give(&directory, owner);
}

fn as_user(s: &Sandbox, call: Call) -> Call {
    let xdg = s.path("xdg");
    fs::create_dir_all(&xdg).unwrap();
    chown(&xdg, Some(USER), Some(USER)).unwrap();
    chown(s.bundle.join("config.json"), Some(USER), Some(USER)).unwrap();
    without_systemd(call).user(USER).env("XDG_RUNTIME_DIR", xdg)
}

/// For a caller who has no session and no bus, or says that it is none of root's.
fn without_systemd(mut call: Call) -> Call {
    call.globals.retain(|word| word != "--systemd-cgroup");
    call
}

pub fn run_as_user(s: &mut Sandbox, arguments: &[&str]) -> Output {
    s.spec.args(arguments);
    let call = s.run_call(&[]);
    as_user(s, call).run()
}

fn inspect_as_user(s: &mut Sandbox, probes: &[&str]) -> Report {
    Report::parse(
        &run_as_user(s, &[&["/inspect", "report"], probes].concat())
            .ok()
            .stdout,
    )
}

/// The call by way of a script of root's, which has to end in executing its arguments.
pub fn by_shell(mut call: Call, script: &str) -> Call {
    let runtime = std::mem::replace(&mut call.program, "/bin/sh".into());
    let mut arguments: Vec<OsString> = ["-c", script, "sh"].map(Into::into).to_vec();
    arguments.push(runtime.into());
    arguments.append(&mut call.globals);
    call.globals = arguments;
    call.user = None;
    call
}

/// The end of such a script: the runtime as the user.
fn then_as_user() -> String {
    format!("exec setpriv --reuid {USER} --regid {USER} --clear-groups -- \"$@\"")
}

/// The case judges words that are ours.
fn only_trun(s: &Sandbox) {
    if s.environment.runtime_name != "trun" {
        skip("other runtimes word it otherwise");
    }
}

pub fn need(programs: &[&str]) {
    for program in programs {
        if !Path::new(program).exists() {
            skip(format!(
                "{program} is absent (packages uidmap and util-linux)"
            ));
        }
    }
}

/// The words that run the inner container of a container.
const RUN_INNER: [&str; 7] = [
    "/trun", "--root", "/run/t", "run", "--bundle", "/inner", "inner",
];

/// Puts the runtime into a container that is to make containers; only a static program runs in any root.
fn with_runtime(spec: &mut Spec, runtime: &Path) {
    if runtime != Path::new("/trun") && !rootfs::is_static(&runtime.to_string_lossy()) {
        skip("the runtime is not a static program: it can't run in a bare container");
    }
    spec.capabilities(&ALL_CAPABILITIES)
        .set("process.noNewPrivileges", false)
        .bind(runtime, "/trun", &["ro"])
        .args(&RUN_INNER);
}

/// A container in the root file system `rootfs` of another, as /inner, with the id 0 of that one's.
fn inner(s: &Sandbox, rootfs: &Path, name: &str) -> Container {
    let mut inner = s.sibling(name);
    let place = rootfs.join("inner");
    fs::rename(&inner.bundle, &place).unwrap();
    inner.rootfs = place.join("rootfs");
    inner.bundle = place;
    in_user_namespace(&mut inner.spec, &one_id(0, 0, 1));
    inner
}
