//! A strace of a real run equals the plan that the runtime shows for it.

use crate::case::{cases, skip};
use crate::process;
use crate::runtime::Call;
use crate::sandbox::Sandbox;
use crate::trace::compare;
use crate::trace_paths::into_root;
use serde_json::json;
use std::time::Duration;

cases!("trace":
    bare, usual, like_docker, limits, as_a_user, with_masks_and_readonly_root, namespaces_of_the_host, mounts_of_the_host, cgroup_namespace, scheduling,
);

fn agrees(s: &mut Sandbox) {
    // Before mount_setattr(2) a step takes calls of its own kind, which have no marks.
    crate::limits::need_kernel(5, 12);
    s.write_spec();
    let bundle = s.bundle_text();
    let planned = s.call(&["plan", "--bundle", &bundle, &s.id]).run();
    if planned.code != 0 && s.environment.runtime_name != "trun" {
        skip("this runtime shows no plan");
    }
    let plan = planned.ok().stdout;
    if std::process::Command::new("strace")
        .arg("-V")
        .output()
        .is_err()
    {
        skip("strace is not installed");
    }
    let file = s.path("strace");
    // strace follows the container's process past the end of `create`, to the exec that `start` lets happen.
    let call = under_strace(s.create_call(&[]), &file);
    let errors = call.stderr.clone();
    let traced = call.spawn();
    let state = || s.call(&["state", &s.id]).run();
    let created = process::eventually(Duration::from_secs(10), || {
        state().stdout.contains("\"status\": \"created\"")
    });
    let said = std::fs::read_to_string(errors).unwrap_or_default();
    assert!(created, "{}{said}", state().stderr);
    s.start().ok();
    traced.finish(Duration::from_secs(10)).ok();
    s.reap();
    s.delete().ok();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut problems = compare(&plan, &text);
    problems.extend(into_root(&text, &s.rootfs.to_string_lossy()));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The same call as strace sees it, with all that it starts.
pub fn under_strace(mut call: Call, file: &str) -> Call {
    let runtime = std::mem::replace(&mut call.program, "strace".into());
    let mut globals: Vec<std::ffi::OsString> = ["-f", "-s", "4096", "-o", file]
        .into_iter()
        .map(Into::into)
        .collect();
    globals.push(runtime.into());
    globals.append(&mut call.globals);
    call.globals = globals;
    call
}

fn bare(s: &mut Sandbox) {
    s.spec.remove("mounts").remove("hostname");
    agrees(s);
}

fn usual(s: &mut Sandbox) {
    agrees(s);
}

fn like_docker(s: &mut Sandbox) {
    s.spec
        .mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"])
        .mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"])
        .bind("/etc/hosts", "/etc/hosts", &["rprivate", "ro"])
        .set("linux.maskedPaths", json!(["/proc/acpi", "/proc/keys", "/proc/timer_list", "/sys/firmware"]))
        .set("linux.readonlyPaths", json!(["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"]))
        .set("linux.resources", json!({"devices": [{"allow": false, "access": "rwm"}], "memory": {"limit": 64 << 20}, "pids": {"limit": 100}}))
        .set("linux.seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]}))
        .set("process.oomScoreAdj", 100);
    agrees(s);
}

fn limits(s: &mut Sandbox) {
    s.spec
        .set("process.rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]))
        .set("linux.resources", json!({"memory": {"limit": 64 << 20}, "cpu": {"shares": 100, "quota": 50_000, "period": 100_000}, "pids": {"limit": 50}}));
    agrees(s);
}

fn as_a_user(s: &mut Sandbox) {
    s.spec
        .set(
            "process.user",
            json!({"uid": 1000, "gid": 1001, "additionalGids": [5], "umask": 0o27}),
        )
        .set("process.cwd", "/tmp");
    agrees(s);
}

fn with_masks_and_readonly_root(s: &mut Sandbox) {
    s.spec
        .set("root.readonly", true)
        .set(
            "linux.maskedPaths",
            json!(["/etc/hosts", "/var/data", "/nonexistent"]),
        )
        .set("linux.readonlyPaths", json!(["/etc/passwd", "/proc/sys"]));
    agrees(s);
}

fn namespaces_of_the_host(s: &mut Sandbox) {
    s.spec.remove("hostname");
    for kind in ["network", "ipc", "uts"] {
        s.spec.without_namespace(kind);
    }
    agrees(s);
}

fn mounts_of_the_host(s: &mut Sandbox) {
    s.spec.without_namespace("mount");
    agrees(s);
}

fn cgroup_namespace(s: &mut Sandbox) {
    s.spec.namespace("cgroup", None);
    agrees(s);
}

fn scheduling(s: &mut Sandbox) {
    s.spec
        .set(
            "process.scheduler",
            json!({"policy": "SCHED_BATCH", "nice": 3}),
        )
        .set(
            "process.ioPriority",
            json!({"class": "IOPRIO_CLASS_BE", "priority": 4}),
        )
        .set("linux.personality", json!({"domain": "LINUX32"}));
    agrees(s);
}
