//! Ids, groups, capability sets, no_new_privs, filters and their listener, as `/proc/self/status` tells them.
use super::support::{Lane, await_barrier, is_root};
use crate::control::release;
use crate::plan::ir::{Barrier, ChildOp, Namespaces};
use crate::wait::ExitStatus;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tare_sys::Errno;

const STATUS: &str = "cat /proc/self/status";
const ALL: u64 = 1 << 41;
const KILL: u64 = 1 << 5;
const CHOWN: u64 = 1;
const SYS_ADMIN: u64 = 1 << 21;

/// A field of the status, single-spaced.
fn field(status: &str, name: &str) -> String {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .unwrap_or_else(|| panic!("no {name} in {status}"));
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn set(status: &str, name: &str) -> u64 {
    u64::from_str_radix(&field(status, name), 16).unwrap()
}

fn capset(effective: u64, permitted: u64, inheritable: u64) -> ChildOp {
    ChildOp::CapSet {
        effective,
        permitted,
        inheritable,
    }
}

#[test]
fn a_new_user_namespaces_root_has_all_and_hands_on_none() {
    let ended = Lane::bare().busybox(&["cat", "/proc/self/status"]);
    let status = ended.said();
    assert_eq!(field(status, "Uid"), "0 0 0 0");
    assert_eq!(field(status, "Gid"), "0 0 0 0");
    assert_eq!(set(status, "CapInh"), 0);
    assert_eq!(set(status, "CapAmb"), 0);
    assert_eq!(set(status, "CapEff"), set(status, "CapBnd"));
    assert_eq!(field(status, "NoNewPrivs"), "0");
    assert_eq!(field(status, "Seccomp"), "0");
    for mask in ["SigBlk", "SigIgn"] {
        assert_eq!(set(status, mask), 0, "{mask}");
    }
}

#[test]
fn ids_and_groups() {
    assert!(is_root(), "needs root: maps of 65,536 ids");
    let ended = Lane::bare()
        .op(ChildOp::Groups(vec![9, 5, 70, 65_535]))
        .op(ChildOp::Ids { uid: 11, gid: 12 })
        .shell(STATUS);
    let status = ended.said();
    assert_eq!(field(status, "Uid"), "11 11 11 11");
    assert_eq!(field(status, "Gid"), "12 12 12 12");
    assert_eq!(field(status, "Groups"), "5 9 70 65535");
    assert_eq!(set(status, "CapEff") | set(status, "CapPrm"), 0);
    // Ids without a map.
    Lane::bare()
        .op(ChildOp::Ids {
            uid: 70_000,
            gid: 1,
        })
        .run()
        .fails(Errno::EINVAL);
    Lane::bare()
        .op(ChildOp::Groups(vec![70_000]))
        .run()
        .fails(Errno::EINVAL);
    // The second change is judged by the rights that the first has left.
    let mut lane = Lane::bare();
    lane.op(ChildOp::Ids { uid: 11, gid: 12 });
    lane.op(ChildOp::Ids { uid: 0, gid: 0 })
        .run()
        .fails(Errno::EPERM);
}

#[test]
fn the_bounding_set_keeps_what_is_named() {
    let ended = Lane::bare()
        .op(ChildOp::Bounding(KILL | CHOWN))
        .shell(STATUS);
    assert_eq!(set(ended.said(), "CapBnd"), KILL | CHOWN);
    // Dropping needs a right only where there is something to drop.
    let mut lane = Lane::bare();
    lane.op(ChildOp::Bounding(KILL)).op(capset(0, 0, 0));
    lane.op(ChildOp::Bounding(KILL | CHOWN)).run().said();
    let mut lane = Lane::bare();
    lane.op(capset(0, 0, 0))
        .op(ChildOp::Bounding(KILL))
        .run()
        .fails(Errno::EPERM);
}

#[test]
fn the_five_sets_of_another_user() {
    assert!(is_root(), "needs root: maps of 65,536 ids");
    let both = KILL | CHOWN;
    let ended = Lane::bare()
        .op(ChildOp::Bounding(both | SYS_ADMIN))
        .op(ChildOp::Ids { uid: 5, gid: 5 })
        .op(capset(KILL, both, both))
        .op(ChildOp::Ambient(both))
        .op(ChildOp::NoNewPrivs)
        .shell(STATUS);
    let status = ended.said();
    for (name, expect) in [
        ("CapInh", both),
        ("CapAmb", both),
        ("CapPrm", both),
        ("CapEff", both),
        ("CapBnd", both | SYS_ADMIN),
        ("NoNewPrivs", 1),
    ] {
        assert_eq!(set(status, name), expect, "{name}");
    }
}

#[test]
fn sets_that_the_kernel_refuses() {
    Lane::bare()
        .op(capset(KILL, 0, 0))
        .op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::EPERM);
    let mut lane = Lane::bare();
    lane.op(capset(KILL, KILL, 0))
        .op(capset(CHOWN, CHOWN, 0))
        .run()
        .fails(Errno::EPERM);
    // Ambient needs permitted and inheritable.
    let mut lane = Lane::bare();
    lane.op(capset(KILL, KILL, 0))
        .op(ChildOp::Ambient(KILL))
        .run()
        .fails(Errno::EPERM);
    Lane::bare()
        .op(ChildOp::Ambient(ALL << 20))
        .run()
        .fails(Errno::EINVAL);
}

/// A filter by its JSON.
fn filter(json: &str) -> Vec<u8> {
    let wire: tare_oci::Seccomp = serde_json::from_str(json).unwrap();
    let native = tare_seccomp::Arch::native().expect("an architecture that we know");
    let target = tare_seccomp::Target::latest(native);
    tare_seccomp::compile(&wire, &target).unwrap().as_bytes()
}

fn install(program: Vec<u8>) -> ChildOp {
    ChildOp::Seccomp {
        program,
        flags: 0,
        listener: false,
    }
}

const NO_CHDIR: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["chdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42}]}"#;

#[test]
fn a_filter_is_in_force() {
    let ended = Lane::bare()
        .op(ChildOp::NoNewPrivs)
        .op(install(filter(NO_CHDIR)))
        .shell("cd / 2>&1; grep Seccomp: /proc/self/status");
    let said = ended.said();
    assert!(
        said.contains("can't cd to /: No message of desired type"),
        "{said}"
    );
    assert!(said.contains("Seccomp:\t2"), "{said}");
    Lane::bare()
        .op(install(vec![0; 8]))
        .op(ChildOp::Nothing)
        .run()
        .fails_before(1, Errno::EINVAL);
    Lane::bare()
        .op(install(Vec::new()))
        .run()
        .fails(Errno::EINVAL);
}

#[test]
fn a_filter_without_no_new_privs_needs_the_right() {
    assert!(is_root(), "needs root: maps of 65,536 ids");
    // The change of ids has cleared the effective set; the permitted one still allows it.
    let ended = Lane::bare()
        .op(ChildOp::Ids { uid: 5, gid: 5 })
        .op(install(filter(NO_CHDIR)))
        .op(capset(0, 0, 0))
        .shell("grep 'Seccomp:\\|NoNew' /proc/self/status");
    assert_eq!(ended.said(), "NoNewPrivs:\t0\nSeccomp:\t2");
    let mut lane = Lane::bare();
    lane.op(capset(0, 0, 0))
        .op(install(filter(NO_CHDIR)))
        .run()
        .fails(Errno::EACCES);
}

#[test]
fn a_filter_that_ends_the_process_leaves_no_word() {
    let kill = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["umask"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;
    let ended = Lane::bare()
        .op(ChildOp::NoNewPrivs)
        .op(install(filter(kill)))
        .op(ChildOp::Umask(0))
        .run();
    assert_eq!(ended.failure, None);
    assert_eq!(ended.status, ExitStatus::Signaled(31));
}

const HOLD_UMASK_AND_MKDIR: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent",
    "syscalls": [{"names": ["umask", "mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}"#;

/// SECCOMP_FILTER_FLAG_NEW_LISTENER.
const NEW_LISTENER: u32 = 8;

fn listener(program: Vec<u8>, flags: u32) -> ChildOp {
    ChildOp::Seccomp {
        program,
        flags,
        listener: true,
    }
}

/// Whether the filter holds a call, within this time.
fn holds(listener: &OwnedFd, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).unwrap();
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut fds, Some(&limit)).unwrap() > 0
}

#[test]
fn the_listener_is_taken_before_the_child_makes_a_call_that_it_may_hold() {
    let mut lane = Lane::bare();
    lane.op(ChildOp::NoNewPrivs)
        .op(listener(filter(HOLD_UMASK_AND_MKDIR), NEW_LISTENER))
        .op(ChildOp::Umask(0));
    lane.attend = Box::new(|child| {
        let progress = child.area.progress();
        let begin = Instant::now();
        let number = loop {
            match progress.listener.load(Ordering::Acquire) {
                0 => assert!(begin.elapsed() < Duration::from_secs(10), "no listener"),
                number => break number - 1,
            }
            std::thread::yield_now();
        };
        let pidfd = crate::spawn::number(child.pidfd.as_fd());
        let fd = crate::spawn::adopt(tare_sys::process::take_fd(pidfd, number).unwrap());
        assert!(
            !holds(&fd, Duration::from_millis(100)),
            "it made a call before the listener was taken"
        );
        progress.listener_taken.store(1, Ordering::Release);
        assert!(
            holds(&fd, Duration::from_secs(10)),
            "its next call is not held"
        );
        // The last listener goes: what the filter holds is then no call at all.
    });
    let ended = lane.shell("mkdir /proc 2>&1");
    assert_eq!(ended.failure, None, "{}", ended.output);
    assert!(
        ended.output.contains("Function not implemented"),
        "{}",
        ended.output
    );
    // Without the flag the kernel gives none, and nobody waits for it.
    let mut lane = Lane::bare();
    lane.op(ChildOp::NoNewPrivs)
        .op(listener(filter(NO_CHDIR), 0))
        .run()
        .fails(Errno::EPROTO);
}

/// A process of the same user, without a capability more than the child has: what /proc lets it see.
fn seen_by_an_equal(pid: i32) -> std::io::Result<PathBuf> {
    let none = tare_sys::cred::Capabilities {
        effective: 0,
        permitted: 0,
        inheritable: 0,
    };
    let look = std::thread::spawn(move || {
        // Of this thread only.
        tare_sys::cred::set_capabilities(none).unwrap();
        std::fs::read_link(format!("/proc/{pid}/exe"))
    });
    look.join().unwrap()
}

#[test]
fn what_is_not_dumpable_is_shut_to_its_equals() {
    let mut lane = Lane::privileged();
    lane.op(capset(0, 0, 0))
        .op(ChildOp::Barrier(Barrier::Hooks))
        .op(ChildOp::NonDumpable)
        .op(ChildOp::Barrier(Barrier::Hooks));
    lane.attend = Box::new(|child| {
        let go_on = || release(child.control.as_fd(), Barrier::Hooks.number(), &[]).unwrap();
        await_barrier(child, Barrier::Hooks);
        let before = seen_by_an_equal(child.pid);
        assert!(before.is_ok(), "the look shows nothing: {before:?}");
        go_on();
        await_barrier(child, Barrier::Hooks);
        let after = seen_by_an_equal(child.pid);
        let kind = after.map_err(|error| error.kind());
        assert_eq!(kind, Err(std::io::ErrorKind::PermissionDenied));
        go_on();
    });
    let ended = lane.run();
    assert_eq!((ended.failure, ended.status), (None, ExitStatus::Exited(0)));
}

#[test]
fn own_namespaces_are_the_programs() {
    let all = Namespaces::ALL
        .iter()
        .filter(|(kind, _)| ![Namespaces::USER, Namespaces::PID, Namespaces::TIME].contains(kind))
        .fold(Namespaces::default(), |set, (kind, _)| set.with(*kind));
    let list = "for n in mnt uts ipc net cgroup user pid; do readlink /proc/self/ns/$n; done";
    let ended = Lane::bare().op(ChildOp::Unshare(all)).shell(list);
    for (line, name) in ended
        .said()
        .lines()
        .zip(["mnt", "uts", "ipc", "net", "cgroup", "user", "pid"])
    {
        let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert!(line.starts_with(&format!("{name}:[")), "{line}");
        assert_ne!(Some(line), ours.to_str());
    }
    Lane::bare()
        .op(ChildOp::Unshare(Namespaces(0x1_0000_0000u64 as u32 | 1)))
        .run()
        .fails(Errno::EINVAL);
}
