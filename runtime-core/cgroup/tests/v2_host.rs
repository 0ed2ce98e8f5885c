//! On a host with cgroup v2 alone, as root: all controllers in the unified hierarchy.
//!
//! On any other host each test says that it is skipped: controllers that v1 holds can't be had on v2 at the same time.
mod common;

use common::*;
use std::fs;
use std::os::fd::AsFd;
use tare_cgroup::{Layout, Mode, OomEvent};
use tare_oci::Resources;

/// The layout, if the host is one for these tests.
fn v2_host() -> Option<Layout> {
    let layout = Layout::detect().unwrap();
    if layout.mode != Mode::V2 {
        println!(
            "skipped: this host's cgroups are {:?}, not v2 alone",
            layout.mode
        );
        return None;
    }
    Some(layout)
}

const ALL: &str = r#"{"devices":[{"allow":false,"access":"rwm"}],"memory":{"limit":67108864,"swap":134217728,"reservation":33554432},
    "cpu":{"shares":512,"quota":50000,"period":100000,BURST"cpus":"0","mems":"0"},"pids":{"limit":100},
    "unified":{"memory.high":"50331648","cgroup.max.depth":"7"}}"#;

/// All limits that this kernel has: cpu.max.burst came with Linux 5.14.
fn all() -> Resources {
    let burst = if kernel() < (5, 14) {
        ""
    } else {
        r#""burst":20000,"#
    };
    resources(&ALL.replace("BURST", burst))
}

fn kernel() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = text.split(['.', '-']).map(|part| part.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

#[test]
fn every_limit_reaches_its_file() {
    let Some(layout) = v2_host() else { return };
    let name = Name::new();
    let decision = decision(&layout, &format!("{}/a/b", name.0), &all());
    let mut program = Program::start("read line; sleep 1000 & sleep 1000 & wait");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    for (file, value) in [
        ("memory.max", "67108864"),
        ("memory.low", "33554432"),
        ("memory.high", "50331648"),
        ("memory.swap.max", "67108864"),
        ("cpu.weight", "59"),
        ("cpu.max", "50000 100000"),
        ("cpu.max.burst", "20000"),
        ("cpuset.cpus", "0"),
        ("cpuset.mems", "0"),
        ("pids.max", "100"),
        ("cgroup.max.depth", "7"),
    ] {
        if file != "cpu.max.burst" || kernel() >= (5, 14) {
            assert_eq!(read(&cgroup, "", file), value, "{file}");
        }
    }
    program.go();
    wait_for(|| cgroup.pids().unwrap().len() == 3);
    let stats = cgroup.stats().unwrap();
    assert_eq!((stats.pids.current, stats.pids.limit), (3, 100));
    assert_eq!(
        (stats.memory.usage.limit, stats.memory.swap.limit),
        (67_108_864, 134_217_728)
    );
    assert!(
        stats.memory.usage.usage > 0 && stats.cpu.usage.total > 0 && !stats.memory.raw.is_empty(),
        "{stats:?}"
    );
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    assert_eq!(cgroup.kill(9).unwrap(), 3);
    program.status();
    cgroup.destroy().unwrap();
    assert!(!cgroup.exists());
}

#[test]
fn updates_keep_what_they_do_not_name() {
    let Some(layout) = v2_host() else { return };
    let name = Name::new();
    let decision = decision(&layout, &name.0, &all());
    // Memory is charged where it is first used: here, after the move.
    let mut program = Program::start("read line; exec sleep 1000");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    program.go();
    wait_for(|| cgroup.stats().unwrap().memory.usage.usage > 4096);
    cgroup
        .update(&resources(
            r#"{"cpu":{"quota":20000},"memory":{"swap":100663296}}"#,
        ))
        .unwrap();
    assert_eq!(read(&cgroup, "", "cpu.max"), "20000 100000");
    assert_eq!(read(&cgroup, "", "memory.swap.max"), "33554432");
    cgroup
        .update(&resources(
            r#"{"cpu":{"period":50000},"memory":{"limit":-1}}"#,
        ))
        .unwrap();
    assert_eq!(read(&cgroup, "", "cpu.max"), "20000 50000");
    assert_eq!(
        (
            read(&cgroup, "", "memory.max"),
            read(&cgroup, "", "memory.swap.max")
        ),
        ("max".into(), "max".into())
    );
    // cpu.idle came with Linux 5.15.
    if kernel() >= (5, 15) {
        cgroup
            .update(&resources(r#"{"cpu":{"idle":1,"shares":2048}}"#))
            .unwrap();
        assert_eq!(read(&cgroup, "", "cpu.idle"), "1");
        cgroup
            .update(&resources(r#"{"cpu":{"idle":0,"shares":1024}}"#))
            .unwrap();
        assert_eq!(
            (
                read(&cgroup, "", "cpu.idle"),
                read(&cgroup, "", "cpu.weight")
            ),
            ("0".into(), "100".into())
        );
    }
    let error = cgroup
        .update(&resources(
            r#"{"memory":{"limit":1,"checkBeforeUpdate":true}}"#,
        ))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("linux.resources.memory.limit: rejecting memory limit 1 < usage "),
        "{error}"
    );
    drop(program);
    cgroup.destroy().unwrap();
}

#[test]
fn the_memory_limit_kills_and_tells() {
    let Some(layout) = v2_host() else { return };
    let name = Name::new();
    let decision = decision(
        &layout,
        &name.0,
        &resources(r#"{"memory":{"limit":8388608,"swap":8388608}}"#),
    );
    let mut program =
        Program::start("read line; head -c 100000000 /dev/zero | tail -c 100000000 > /dev/null");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    let mut watch = cgroup.oom().unwrap();
    assert_eq!(watch.read().unwrap(), None);
    program.go();
    let status = program.status();
    assert!(!status.success(), "{status}");
    // The limit is hit, reclaim is tried, the kill comes: each is a change of its own.
    let mut seen = Vec::new();
    while !seen.contains(&OomEvent::Gone) {
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(
            watch.as_fd(),
            rustix::event::PollFlags::IN,
        )];
        let timeout = rustix::event::Timespec {
            tv_sec: 10,
            tv_nsec: 0,
        };
        assert!(
            rustix::event::poll(&mut fds, Some(&timeout)).unwrap() > 0,
            "no event after {seen:?}"
        );
        seen.extend(watch.read().unwrap());
    }
    assert!(seen.contains(&OomEvent::Oom), "{seen:?}");
    assert!(cgroup.oom_kills().unwrap() > 0);
    cgroup.destroy().unwrap();
}

#[test]
fn a_parent_with_processes_is_named_as_the_cause() {
    let Some(layout) = v2_host() else { return };
    let name = Name::new();
    let outer = format!("{}{}", layout.unified.as_ref().unwrap().mount, name.0);
    fs::create_dir(&outer).unwrap();
    let program = Program::start("read line");
    fs::write(format!("{outer}/cgroup.procs"), program.pid().to_string()).unwrap();
    let decision = decision(
        &layout,
        &format!("{}/x", name.0),
        &resources(r#"{"memory":{"limit":67108864}}"#),
    );
    let mut executor = tare_cgroup::Executor::new();
    let results: Vec<_> = decision
        .prepare
        .iter()
        .map(|step| executor.run(step, None))
        .collect();
    let error = results
        .into_iter()
        .find_map(Result::err)
        .unwrap()
        .to_string();
    assert!(
        error.starts_with("linux.resources.memory.limit: 67108864 written to "),
        "{error}"
    );
    assert!(
        error.contains("missing: ")
            && error.contains("the controller memory could not be enabled above it: "),
        "{error}"
    );
    assert!(error.contains("cgroup.subtree_control: EBUSY"), "{error}");
    drop(executor);
    assert!(!fs::exists(format!("{outer}/x")).unwrap());
    // With nothing asked a container finds its place there too.
    let decision = self::decision(&layout, &format!("{}/y", name.0), &Resources::default());
    let second = Program::start("read line");
    let cgroup = place(prepare(&decision), &decision, second.pid());
    assert_eq!(cgroup.pids().unwrap(), [second.pid()]);
    drop(second);
    cgroup.destroy().unwrap();
    drop(program);
}

#[test]
fn nothing_asked_is_fine_anywhere() {
    let Some(layout) = v2_host() else { return };
    let name = Name::new();
    let decision = decision(&layout, &name.0, &Resources::default());
    let program = Program::start("read line");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    assert_eq!(cgroup.pids().unwrap(), [program.pid()]);
    drop(program);
    cgroup.destroy().unwrap();
}
