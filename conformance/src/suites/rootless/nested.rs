//! The runtime within a container of the runtime, up to three deep, and the filesystems that only outer namespaces could give.

use super::{
    ALL_CAPABILITIES, RANGE, USER, as_user, give, in_user_namespace, inner, one_id, prepare,
    prepare_for, with_runtime,
};
use crate::case::cases;
use crate::inspect::{EROFS, Mount, Report};
use crate::limits;
use crate::runtime::Output;
use crate::sandbox::{Container, Sandbox};
use serde_json::json;
use std::path::Path;

cases!("rootless":
    three_deep_rootless, three_deep_as_root_of_a_range, three_deep_without_more_user_namespaces, nested_life, nested_terminal,
    masked_proc_is_told, masked_proc_shared_is_bound, masks_stay_shut, readonly_proc_gives_no_ids, readonly_proc_without_user_namespace,
    locked_readonly_proc, explicit_proc_bind, sys_of_the_outer_is_readonly, writable_sys_is_not_given, mqueue_of_the_outer, mqueue_absent_outside,
    nested_devices, nested_limit_refused, own_ids_only, nested_cgroup_namespace,
);

/// Who makes the outer container, and which ids its inner ones get.
#[derive(Clone, Copy, PartialEq)]
enum Outer {
    /// The user, with one id.
    User,
    /// Root, with a range of ids that aren't its own.
    Root,
}

/// An outer container with the runtime in it.
fn outer(s: &mut Sandbox, kind: Outer) -> Container {
    let owner = match kind {
        Outer::User => {
            prepare(s);
            USER
        }
        Outer::Root => {
            prepare_for(s, RANGE, &one_id(0, RANGE, 1000));
            RANGE
        }
    };
    let runtime = s.environment.runtime.clone();
    with_runtime(&mut s.spec, &runtime);
    let container = inner(s, &s.rootfs.clone(), "inner");
    finish(s, &container, owner);
    container
}

fn finish(s: &Sandbox, container: &Container, owner: u32) {
    container.write_spec();
    give(&s.rootfs, owner);
}

fn owner(kind: Outer) -> u32 {
    if kind == Outer::User { USER } else { RANGE }
}

fn run(s: &Sandbox, kind: Outer) -> Output {
    let call = s.run_call(&[]);
    match kind {
        Outer::User => as_user(s, call).run(),
        Outer::Root => {
            // It was given away with the rest of the case's directory; root trusts none of another user's.
            std::os::unix::fs::chown(&s.environment.root, Some(0), Some(0)).unwrap();
            call.run()
        }
    }
}

/// Runs the inner container with the inspector.
fn inspect(s: &mut Sandbox, kind: Outer, mut container: Container, probes: &[&str]) -> Report {
    container
        .spec
        .args(&[&["/inspect", "report"], probes].concat());
    finish(s, &container, owner(kind));
    Report::parse(&run(s, kind).ok().stdout)
}

/// What `plan` says of the inner container, from within the outer one.
fn plan_within(s: &mut Sandbox, kind: Outer) -> String {
    let before = s.spec["process"]["args"].clone();
    s.spec.args(&["/trun", "plan", "--bundle", "/inner"]);
    let text = run(s, kind).ok().stdout;
    s.spec.set("process.args", before);
    text
}

fn deep(s: &mut Sandbox, kind: Outer, maps: [Option<(u32, u32)>; 2]) -> Report {
    let mut second = outer(s, kind);
    with_runtime(&mut second.spec, Path::new("/trun"));
    let mut third = inner(s, &second.rootfs.clone(), "third");
    for (container, map) in [(&mut second, maps[0]), (&mut third, maps[1])] {
        match map {
            Some((first, size)) => in_user_namespace(&mut container.spec, &one_id(0, first, size)),
            None => {
                container
                    .spec
                    .without_namespace("user")
                    .remove("linux.uidMappings")
                    .remove("linux.gidMappings");
            }
        }
    }
    second.write_spec();
    third.spec.capabilities(&ALL_CAPABILITIES).args(&[
        "/inspect",
        "report",
        "chown:/tmp,5,5",
        "sethostname:third",
    ]);
    finish(s, &third, owner(kind));
    // Each root owns its files, as the machine sees its id.
    let below = |map: Option<(u32, u32)>| map.map_or(0, |(first, _)| first);
    let root = owner(kind) + below(maps[0]);
    give(&second.rootfs, root);
    give(&third.rootfs, root + below(maps[1]));
    Report::parse(&run(s, kind).ok().stdout)
}

fn is_init_of_its_own(report: &Report) {
    assert_eq!(report.number("pid"), 1);
    assert_eq!(report.mount("/proc").kind, "proc");
    assert_eq!(report.errno("sethostname:third"), 0);
}

fn three_deep_rootless(s: &mut Sandbox) {
    let report = deep(s, Outer::User, [Some((0, 1)), Some((0, 1))]);
    is_init_of_its_own(&report);
    assert_eq!(words(&report, "uid_map"), ["0", "0", "1"]);
    assert_eq!(
        report.texts("setgroups"),
        ["deny"],
        "denied outside, denied inside"
    );
    assert_ne!(report.errno("chown:/tmp,5,5"), 0);
}

fn three_deep_as_root_of_a_range(s: &mut Sandbox) {
    let report = deep(s, Outer::Root, [Some((1, 500)), Some((2, 100))]);
    is_init_of_its_own(&report);
    assert_eq!(words(&report, "uid_map"), ["0", "2", "100"]);
    assert_eq!(report.texts("setgroups"), ["allow"]);
}

fn three_deep_without_more_user_namespaces(s: &mut Sandbox) {
    let report = deep(s, Outer::Root, [None, None]);
    is_init_of_its_own(&report);
    let range = RANGE.to_string();
    assert_eq!(words(&report, "uid_map"), ["0", range.as_str(), "1000"]);
    assert_eq!(report.errno("chown:/tmp,5,5"), 0);
}

fn words<'a>(report: &'a Report, key: &str) -> Vec<&'a str> {
    report.texts(key)[0].split_whitespace().collect()
}

fn nested_life(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    container.spec.args(&["/inspect", "wait"]);
    finish(s, &container, USER);
    let trun = "/trun --root /run/t";
    let script = format!(
        "set -e; {trun} create --bundle /inner a > /tmp/out; {trun} start a; {trun} exec a /bin/echo executed;
         {trun} state a | grep status; {trun} kill a TERM; i=0
         while ! {trun} state a | grep -q stopped; do i=$((i+1)); [ $i -lt 500 ]; sleep 0.01; done
         {trun} delete a; {trun} list -q; ls /run/t | wc -l"
    );
    s.spec.args(&["/bin/sh", "-c", &script]);
    std::os::unix::fs::symlink("busybox", s.rootfs.join("bin/grep")).unwrap();
    std::os::unix::fs::symlink("busybox", s.rootfs.join("bin/wc")).unwrap();
    let output = run(s, Outer::User).ok();
    let lines: Vec<&str> = output.stdout.lines().map(str::trim).collect();
    assert_eq!(lines[0], "executed");
    assert!(lines[1].contains("running"), "{lines:?}");
    assert_eq!(lines[2..], ["0"], "nothing is left in the state root");
}

fn nested_terminal(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    container
        .spec
        .set("process.terminal", true)
        .args(&["/bin/sh", "-c", "tty; echo on; exit 3"]);
    finish(s, &container, USER);
    // The inner terminal's master is the outer program's: `run` copies between the two.
    run(s, Outer::User).exits(3);
}

fn mask(s: &mut Sandbox) {
    s.spec
        .set("linux.maskedPaths", json!(["/proc/keys", "/proc/fs"]))
        .set("linux.readonlyPaths", json!(["/proc/sys"]));
}

fn masked_proc_is_told(s: &mut Sandbox) {
    let container = outer(s, Outer::User);
    mask(s);
    finish(s, &container, USER);
    let plan = plan_within(s, Outer::User);
    assert!(plan.contains("mount proc on /proc nosuid,nodev,noexec, no symlink | or on EPERM: mount proc on /proc ro"), "{plan}");
    let output = run(s, Outer::User).fails_somehow();
    for words in [
        "mount proc on /proc",
        "EPERM",
        "/proc/fs, /proc/keys, /proc/sys",
        "unmask",
    ] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
}

fn masked_proc_shared_is_bound(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    mask(s);
    container.spec.without_namespace("pid");
    finish(s, &container, USER);
    let plan = plan_within(s, Outer::User);
    assert!(
        plan.contains("or on EPERM: rbind /proc on directory /proc"),
        "{plan}"
    );
    let report = inspect(s, Outer::User, container, &["read:/proc/keys"]);
    assert_ne!(report.number("pid"), 1);
    assert_eq!(report.read("/proc/keys"), "");
    assert!(report.mount("/proc/sys").has("ro"));
}

fn masks_stay_shut(s: &mut Sandbox) {
    // With every capability that the inner user namespace gives, and with the outer /proc bound: no mask comes off.
    let mut container = outer(s, Outer::User);
    mask(s);
    container
        .spec
        .without_namespace("pid")
        .capabilities(&ALL_CAPABILITIES);
    let probes = [
        "umount:/proc/keys",
        "umount:/proc/sys",
        "mount:none,/proc/sys,none,36",
        "mount:proc,/mnt,proc",
        "mount:/proc,/mnt,none,4096",
        "list:/proc/fs",
    ];
    let report = inspect(s, Outer::User, container, &probes);
    for probe in &probes[..5] {
        assert_ne!(report.errno(probe), 0, "{probe}");
    }
    assert_eq!(report.probe("list:/proc/fs")["names"], json!([]));
}

/// The outer container's /proc is read-only as a whole.
fn readonly_proc(s: &mut Sandbox) {
    s.spec
        .unmount("/proc")
        .mount("/proc", "proc", "proc", &["ro"]);
    let mounts = s.spec["mounts"].as_array_mut().unwrap();
    mounts.rotate_right(1);
}

fn readonly_proc_gives_no_ids(s: &mut Sandbox) {
    let container = outer(s, Outer::User);
    readonly_proc(s);
    finish(s, &container, USER);
    let output = run(s, Outer::User).fails_somehow();
    for words in ["write maps", "EROFS", "/proc is read-only"] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
}

fn without_user_namespace(container: &mut Container) {
    container
        .spec
        .without_namespace("user")
        .remove("linux.uidMappings")
        .remove("linux.gidMappings");
}

fn readonly_proc_without_user_namespace(s: &mut Sandbox) {
    // No ids to write, and so it works, with what the kernel allows: a new procfs that is read-only as well.
    let mut container = outer(s, Outer::Root);
    readonly_proc(s);
    without_user_namespace(&mut container);
    let report = inspect(
        s,
        Outer::Root,
        container,
        &["write:/proc/self/oom_score_adj=500"],
    );
    assert_eq!(report.number("pid"), 1);
    assert!(report.mount("/proc").has("ro"));
    assert_eq!(report.errno("write:/proc/self/oom_score_adj=500"), EROFS);
}

fn locked_readonly_proc(s: &mut Sandbox) {
    // Read-only in a mount namespace of an outer user namespace it is locked in this one, whose ids were written before that.
    super::need(&["/usr/bin/unshare"]);
    s.spec
        .remove("linux.cgroupsPath")
        .unmount("/dev/pts")
        .args(&["/inspect", "report", "write:/proc/self/oom_score_adj=500"]);
    let directory = s.environment.directory.display().to_string();
    std::fs::write(s.path("lock.sh"), LOCK).unwrap();
    std::fs::write(s.path("then.sh"), THEN).unwrap();
    let script = format!(
        "exec unshare --mount --propagation private /bin/sh {directory}/lock.sh {directory} \"$@\""
    );
    let report = Report::parse(&super::by_shell(s.run_call(&[]), &script).run().ok().stdout);
    assert_eq!(report.number("pid"), 1);
    assert!(report.mount("/proc").has("ro"));
    assert_eq!(report.errno("write:/proc/self/oom_score_adj=500"), EROFS);
}

/// Makes a user namespace, then /proc read-only outside of it, then lets it go on.
const LOCK: &str = r#"set -e
directory=$1; shift
mkfifo $directory/go
unshare --user --map-root-user -- /bin/sh $directory/then.sh $directory "$@" &
child=$! i=0
while grep -q 4294967295 /proc/$child/uid_map || ! grep -q . /proc/$child/uid_map; do i=$((i+1)); [ $i -lt 500 ]; sleep 0.01; done
mount -o remount,bind,ro /proc
echo go > $directory/go
wait $child
"#;

/// In there: a mount namespace of its own, and what was asked for.
const THEN: &str = r#"directory=$1; shift
read line < $directory/go
exec unshare --mount --propagation slave -- "$@"
"#;

fn explicit_proc_bind(s: &mut Sandbox) {
    // What the error advises: asked for by name, the outer /proc is given, masks and all.
    let mut container = outer(s, Outer::User);
    mask(s);
    container
        .spec
        .unmount("/proc")
        .mount("/proc", "bind", "/proc", &["rbind"]);
    let mounts = container.spec["mounts"].as_array_mut().unwrap();
    mounts.rotate_right(1);
    let report = inspect(
        s,
        Outer::User,
        container,
        &["read:/proc/keys", "umount:/proc/keys"],
    );
    assert_eq!(report.read("/proc/keys"), "");
    assert_ne!(report.errno("umount:/proc/keys"), 0);
}

fn sys_of_the_outer_is_readonly(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    container
        .spec
        .without_namespace("network")
        .capabilities(&ALL_CAPABILITIES);
    finish(s, &container, USER);
    let plan = plan_within(s, Outer::User);
    let fallback = "or on EPERM,EBUSY: rbind /sys on directory /sys ro,nosuid,nodev,noexec";
    // Recursive attributes came with 5.12; before, what is mounted within is covered by name.
    let recursive = if limits::kernel_at_least(5, 12) {
        ",rro"
    } else {
        ""
    };
    assert!(plan.contains(&format!("{fallback}{recursive}")), "{plan}");
    // 4128: remount the mount itself, writable.
    let report = inspect(s, Outer::User, container, &["mount:none,/sys,none,4128"]);
    assert_eq!(
        (
            report.mount("/sys").kind.as_str(),
            report.mount("/sys").has("ro")
        ),
        ("sysfs", true)
    );
    assert_ne!(report.errno("mount:none,/sys,none,4128"), 0);
}

fn writable_sys_is_not_given(s: &mut Sandbox) {
    // CVE-2023-25809: the host's /sys carries cgroups that the user may own. Host here is the machine itself.
    prepare(s);
    s.spec
        .without_namespace("network")
        .unmount("/sys")
        .mount("/sys", "sysfs", "sysfs", &["rw"]);
    let report = super::inspect_as_user(
        s,
        &["create:/sys/fs/cgroup/x", "mkdir:/sys/fs/cgroup/memory/x"],
    );
    let mounts = report.mounts();
    // Only what is on top can be reached.
    let top = |mount: &Mount| {
        mounts
            .iter()
            .rfind(|other| other.point == mount.point)
            .is_some_and(|other| other == mount)
    };
    for mount in mounts
        .iter()
        .filter(|mount| mount.point.starts_with("/sys"))
    {
        assert!(mount.has("ro") || !top(mount), "{mount:?}");
    }
    assert_eq!(report.errno("create:/sys/fs/cgroup/x"), EROFS);
}

fn mqueue_of_the_outer(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    s.spec.mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid"]);
    container
        .spec
        .without_namespace("ipc")
        .mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid"]);
    s.spec.args(&[
        "/bin/sh",
        "-c",
        "touch /dev/mqueue/outer && exec /trun --root /run/t run --bundle /inner inner",
    ]);
    let report = inspect(s, Outer::User, container, &["list:/dev/mqueue"]);
    assert_eq!(report.probe("list:/dev/mqueue")["names"], json!(["outer"]));
    assert!(
        plan_within(s, Outer::User)
            .contains("or on EPERM,EBUSY: rbind /dev/mqueue on directory /dev/mqueue")
    );
}

fn mqueue_absent_outside(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    container
        .spec
        .without_namespace("ipc")
        .mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid"]);
    finish(s, &container, USER);
    let output = run(s, Outer::User).fails_somehow();
    assert!(
        output.stderr.contains("/dev/mqueue is missing"),
        "{}",
        output.stderr
    );
}

fn nested_devices(s: &mut Sandbox) {
    let container = outer(s, Outer::User);
    let report = inspect(
        s,
        Outer::User,
        container,
        &["openrw:/dev/null", "stat:/dev/zero", "mknod:/tmp/n,c,1,3"],
    );
    assert_eq!(report.errno("openrw:/dev/null"), 0);
    assert_eq!(report.probe("stat:/dev/zero")["minor"], 5);
    assert!(report.is_mounted("/dev/null"), "bound from the outer one");
    assert_ne!(report.errno("mknod:/tmp/n,c,1,3"), 0);
}

fn nested_limit_refused(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    container.spec.set("linux.resources.memory.limit", 64 << 20);
    finish(s, &container, USER);
    let output = run(s, Outer::User).fails_somehow();
    assert!(
        output.stderr.contains("linux.resources.memory.limit"),
        "{}",
        output.stderr
    );
}

fn own_ids_only(s: &mut Sandbox) {
    let mut container = outer(s, Outer::Root);
    in_user_namespace(&mut container.spec, &one_id(0, RANGE, 10));
    finish(s, &container, RANGE);
    let output = run(s, Outer::Root).fails_somehow();
    for words in ["linux.uidMappings[0].hostID", "700000-700009", "0-999"] {
        assert!(
            output.stderr.contains(words),
            "{words:?}: {}",
            output.stderr
        );
    }
}

fn nested_cgroup_namespace(s: &mut Sandbox) {
    let mut container = outer(s, Outer::User);
    container.spec.namespace("cgroup", None);
    let report = inspect(s, Outer::User, container, &["read:/proc/self/cgroup"]);
    for line in report.read("/proc/self/cgroup").lines() {
        // `/..`, which no process has outside: systemd has moved its unit's processes out of this hierarchy of v1 meanwhile.
        assert!(line.ends_with(":/") || line.ends_with(":/.."), "{line}");
    }
}
