//! What an outer container or an administrator denies: system calls, capabilities, namespaces. Either it works all the same, or the
//! error names what was refused and what to allow.

use super::{
    USER, as_user, by_shell, give, in_user_namespace, inner, need, one_id, only_trun, prepare,
    run_as_user, with_runtime,
};
use crate::case::cases;
use crate::inspect::Report;
use crate::limits;
use crate::process;
use crate::runtime::Output;
use crate::sandbox::{Container, Sandbox};
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::Duration;

cases!("rootless":
    outer_filter_that_notifies, outer_filter_like_dockers, outer_filter_without_clone3, outer_filter_without_unshare, outer_filter_without_fsopen,
    outer_filter_without_pivot_root, outer_filter_without_keyctl, user_namespaces_turned_off, user_namespaces_used_up, user_namespaces_too_deep,
    in_a_chroot, without_cap_sys_admin, without_cap_setfcap, without_cap_net_admin, without_cap_mknod, without_cap_sys_resource,
    without_cap_setuid_own_id, without_cap_setpcap,
);

/// A rootless container that runs another, below a filter.
fn below_filter(s: &mut Sandbox, default: &str, rules: Value) -> Container {
    prepare(s);
    let runtime = s.environment.runtime.clone();
    with_runtime(&mut s.spec, &runtime);
    s.spec.set(
        "linux.seccomp",
        json!({"defaultAction": default, "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules}),
    );
    let mut container = inner(s, &s.rootfs.clone(), "inner");
    container.spec.args(&["/inspect", "report"]);
    container.write_spec();
    give(&s.rootfs, USER);
    container
}

fn run(s: &Sandbox) -> Output {
    as_user(s, s.run_call(&[])).run()
}

/// Without the one call: EPERM as docker's filter answers, and its name in the error.
fn refused(s: &mut Sandbox, call: &str, errno: u32, step: &str) {
    below_filter(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno}]),
    );
    let output = run(s).fails_somehow();
    for words in [step, "seccomp filter", call] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
    // The filter is what refuses: without it the same container runs.
    s.spec.remove("linux.seccomp");
    run(s).ok();
}

fn outer_filter_without_clone3(s: &mut Sandbox) {
    refused(s, "clone3", 38, "spawn in new user,pid");
}

fn outer_filter_without_unshare(s: &mut Sandbox) {
    refused(s, "unshare", 1, "unshare");
}

fn outer_filter_without_fsopen(s: &mut Sandbox) {
    refused(s, "fsopen", 1, "mount");
}

fn outer_filter_without_pivot_root(s: &mut Sandbox) {
    refused(s, "pivot_root", 1, "pivot root");
}

fn outer_filter_without_keyctl(s: &mut Sandbox) {
    // As docker's and podman's. The container can't reach the keyring that it keeps: the filter holds for it too.
    below_filter(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": ["keyctl", "add_key", "request_key"], "action": "SCMP_ACT_ERRNO"}]),
    );
    s.spec.args(&["/trun", "plan", "--bundle", "/inner"]);
    assert!(
        run(s).ok().stdout.contains("join keyring _ses."),
        "the plan joins one"
    );
    assert!(
        run(s).stdout.contains("or on ENOSYS,EPERM: go on"),
        "and goes on without"
    );
    s.spec.args(&super::RUN_INNER);
    run(s).ok();
}

fn outer_filter_like_dockers(s: &mut Sandbox) {
    // docker's default for a container without CAP_SYS_ADMIN: no namespaces, no mounts, clone3 unknown.
    let denied = [
        "unshare",
        "setns",
        "mount",
        "umount2",
        "fsopen",
        "fsconfig",
        "fsmount",
        "fspick",
        "move_mount",
        "open_tree",
        "mount_setattr",
        "pivot_root",
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "sethostname",
        "setdomainname",
    ];
    let rules = json!([
        {"names": denied, "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    ]);
    below_filter(s, "SCMP_ACT_ALLOW", rules);
    let output = run(s).fails_somehow();
    for words in [
        "spawn in new user,pid",
        "ENOSYS",
        "seccomp filter",
        "clone3",
        "--security-opt seccomp=",
    ] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
    assert!(
        !output.stderr.contains("newer"),
        "the kernel is not to blame: {}",
        output.stderr
    );
}

/// The inspector on the host as the agent of the outer container; killed when dropped.
struct Agent(std::process::Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn outer_filter_that_notifies(s: &mut Sandbox) {
    let calls = [
        "mount",
        "umount2",
        "fsopen",
        "fsmount",
        "move_mount",
        "open_tree",
        "mount_setattr",
        "pivot_root",
        "unshare",
        "setns",
        "sethostname",
        "clone3",
        "keyctl",
        "mknodat",
    ];
    below_filter(
        s,
        "SCMP_ACT_ALLOW",
        json!([{"names": calls, "action": "SCMP_ACT_NOTIFY"}]),
    );
    let socket = s.path("agent.sock");
    let out = std::fs::File::create(s.path("agent.out")).unwrap();
    let mut command = Command::new(s.rootfs.join("inspect"));
    command
        .args(["seccomp-agent", &socket, "continue"])
        .stdin(Stdio::null())
        .stdout(out);
    let mut agent = Agent(command.spawn().unwrap());
    assert!(process::eventually(Duration::from_secs(5), || {
        std::path::Path::new(&socket).exists()
    }));
    std::os::unix::fs::chown(&socket, Some(USER), Some(USER)).unwrap();
    s.spec.set("linux.seccomp.listenerPath", socket);
    let report = Report::parse(&run(s).ok().stdout);
    assert_eq!(report.number("pid"), 1);
    assert!(
        process::wait_child(&mut agent.0, Duration::from_secs(5)).is_some(),
        "the agent still waits"
    );
    let answer: Value =
        serde_json::from_str(&std::fs::read_to_string(s.path("agent.out")).unwrap()).unwrap();
    assert!(
        answer["continued"].as_i64().unwrap() > 20,
        "each call went by the agent: {answer}"
    );
}

/// The container of root of a new user namespace, after `script` in there.
fn in_unshared(s: &mut Sandbox, script: &str) -> Output {
    need(&["/usr/bin/unshare"]);
    in_user_namespace(&mut s.spec, &one_id(0, 0, 1));
    s.spec.args(&["/bin/true"]);
    let script = format!(
        "exec unshare --user --map-root-user --mount --propagation slave /bin/sh -c '{script}; exec \"$@\"' sh \"$@\""
    );
    by_shell(s.run_call(&[]), &script).run()
}

fn limit(s: &mut Sandbox, number: u32) -> Output {
    // The limit belongs to the user namespace that it is written in: the host's stays.
    in_unshared(
        s,
        &format!("echo {number} > /proc/sys/user/max_user_namespaces"),
    )
}

fn user_namespaces_turned_off(s: &mut Sandbox) {
    only_trun(s);
    let output = limit(s, 0).fails_somehow();
    for words in ["ENOSPC", "user.max_user_namespaces is 0"] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
    limit(s, 1).ok();
}

fn user_namespaces_used_up(s: &mut Sandbox) {
    only_trun(s);
    let script = "echo 1 > /proc/sys/user/max_user_namespaces; unshare --user sleep 20 & i=0
        while grep -q \"^ *0 \" /proc/$!/uid_map; do i=$((i+1)); [ $i -lt 500 ] || exit 9; sleep 0.01; done; trap \"kill $!\" EXIT; \"$@\"; exit";
    let output = in_unshared(s, script).fails_somehow();
    for words in ["ENOSPC", "user.max_user_namespaces, 1 here"] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
}

fn user_namespaces_too_deep(s: &mut Sandbox) {
    only_trun(s);
    need(&["/usr/bin/unshare"]);
    in_user_namespace(&mut s.spec, &one_id(0, 0, 1));
    s.spec.args(&["/bin/true"]);
    let nested = |s: &Sandbox, depth: usize| {
        let words = "unshare --user --map-root-user -- ".repeat(depth);
        by_shell(
            s.run_call(&[]),
            &format!("exec {words} unshare --mount --propagation slave -- \"$@\""),
        )
        .run()
    };
    nested(s, 20).ok();
    let output = nested(s, 33).fails_somehow();
    assert!(output.stderr.contains("32"), "{}", output.stderr);
}

fn in_a_chroot(s: &mut Sandbox) {
    only_trun(s);
    prepare(s);
    need(&["/usr/sbin/chroot"]);
    // The kernel makes no user namespace for a caller whose root is not that of its mount namespace.
    let call = s.run_call(&[]);
    let root = s.path("elsewhere");
    std::fs::create_dir(&root).unwrap();
    let script = format!(
        "exec unshare --mount --propagation slave /bin/sh -c 'set -e; mount --rbind / {root}; exec chroot --userspec={USER}:{USER} --groups= {root} \"$@\"' sh \"$@\""
    );
    let output = by_shell(as_user(s, call), &script).run().fails_somehow();
    for words in ["EPERM", "chroot"] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
}

/// Root whose bounding set, and so every set, lacks these.
fn without(s: &Sandbox, capabilities: &str) -> Output {
    need(&["/usr/bin/setpriv"]);
    by_shell(
        s.run_call(&[]),
        &format!("exec setpriv --bounding-set {capabilities} -- \"$@\""),
    )
    .run()
}

fn without_cap_sys_admin(s: &mut Sandbox) {
    only_trun(s);
    let output = without(s, "-sys_admin").fails_somehow();
    assert!(output.stderr.contains("CAP_SYS_ADMIN"), "{}", output.stderr);
}

fn without_cap_setfcap(s: &mut Sandbox) {
    only_trun(s);
    in_user_namespace(&mut s.spec, &one_id(0, 0, 1));
    let output = without(s, "-setfcap").fails_somehow();
    assert!(output.stderr.contains("CAP_SETFCAP"), "{}", output.stderr);
}

fn without_cap_net_admin(s: &mut Sandbox) {
    s.spec
        .args(&["/inspect", "report", "interfaces:"])
        .capabilities(&[]);
    let output = without(s, "-net_admin");
    if limits::is_v2() && !limits::kernel_at_least(6, 9) {
        // Device rules in eBPF took that right as well.
        let output = output.fails_somehow();
        assert!(output.stderr.contains("CAP_NET_ADMIN"), "{}", output.stderr);
        return;
    }
    let report = Report::parse(&output.ok().stdout);
    let shown = report.probe("interfaces:")["interfaces"].to_string();
    assert!(!shown.contains("127.0.0.1"), "loopback is down: {shown}");
}

fn without_cap_mknod(s: &mut Sandbox) {
    s.spec
        .args(&["/inspect", "report", "openrw:/dev/null"])
        .capabilities(&[]);
    let report = Report::parse(&without(s, "-mknod").ok().stdout);
    assert_eq!(report.errno("openrw:/dev/null"), 0);
    assert!(
        report.is_mounted("/dev/null") && report.is_mounted("/dev/tty"),
        "bound from the host"
    );
}

fn without_cap_sys_resource(s: &mut Sandbox) {
    only_trun(s);
    s.spec
        .args(&["/inspect", "report"])
        .capabilities(&[])
        .set("process.oomScoreAdj", 300)
        .set(
            "process.rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]),
        );
    let report = Report::parse(&without(s, "-sys_resource").ok().stdout);
    assert_eq!(report.limit("NOFILE"), (100, 200));
    s.spec.set(
        "process.rlimits",
        json!([{"type": "RLIMIT_NOFILE", "soft": 1 << 30, "hard": 1 << 30}]),
    );
    let output = without(s, "-sys_resource").fails_somehow();
    assert!(output.stderr.contains("RLIMIT_NOFILE"), "{}", output.stderr);
}

fn without_cap_setuid_own_id(s: &mut Sandbox) {
    // One's own id takes no capability but CAP_SETFCAP; setgroups is denied then.
    in_user_namespace(&mut s.spec, &one_id(0, 0, 1));
    s.spec.args(&["/inspect", "report"]);
    let report = Report::parse(&without(s, "-setuid,-setgid").ok().stdout);
    assert_eq!(report.texts("setgroups"), ["deny"]);
}

fn without_cap_setpcap(s: &mut Sandbox) {
    s.spec.capabilities(&[]);
    let output = without(s, "-setpcap").fails_somehow();
    assert!(output.stderr.contains("CAP_SETPCAP"), "{}", output.stderr);
    // In a user namespace of its own it has that one, too.
    prepare(s);
    run_as_user(s, &["/bin/true"]).ok();
}
