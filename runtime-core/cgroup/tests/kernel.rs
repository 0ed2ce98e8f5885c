//! On this kernel, as root, in cgroups of its own (`tare-test-PID-N`), which are always removed: the drivers from make to removal.
//!
//! Without root or without cgroups the tests fail: the gate runs as root.
mod common;

use common::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use tare_cgroup::{Executor, Layout, Manager, OomEvent};
use tare_oci::Resources;

#[test]
fn a_container_on_this_host_from_make_to_removal() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let decision = decision(&layout, &format!("{}/deep/x", name.0), &resources(DOCKER));
    let executor = prepare(&decision);
    let mut program = Program::start("read line; sleep 1000 & sleep 1000 & wait");
    let cgroup = place(executor, &decision, program.pid());
    assert_eq!(cgroup.saved().paths, decision.paths);
    assert_eq!(cgroup.pids().unwrap(), [program.pid()]);
    let own = fs::read_to_string(format!("/proc/{}/cgroup", program.pid())).unwrap();
    for line in own.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with("/deep/x"), "{own}");
    }
    assert_eq!(
        read(&cgroup, "memory", "memory.limit_in_bytes"),
        "268435456"
    );
    assert_eq!(read(&cgroup, "cpu", "cpu.shares"), "512");
    assert_eq!(read(&cgroup, "cpu", "cpu.cfs_quota_us"), "50000");
    assert_eq!(read(&cgroup, "pids", "pids.max"), "100");
    assert_eq!(read(&cgroup, "devices", "devices.list").lines().count(), 12);
    assert!(!read(&cgroup, "cpuset", "cpuset.cpus").is_empty());

    program.go();
    wait_for(|| cgroup.pids().unwrap().len() == 3);
    assert!(!cgroup.frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    cgroup.thaw().unwrap();
    assert!(!cgroup.frozen().unwrap());

    let stats = cgroup.stats().unwrap();
    assert_eq!((stats.pids.current, stats.pids.limit), (3, 100));
    assert_eq!(stats.memory.usage.limit, 268_435_456);
    assert!(
        stats.memory.usage.usage > 0 && stats.cpu.usage.total > 0 && !stats.memory.raw.is_empty()
    );
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!(json["memory"]["usage"]["limit"], 268_435_456);
    assert!(
        json["cpu"]["usage"]["percpu"].is_array()
            && json["hugetlb"].is_object()
            && json["cpuset"]["cpus"].is_array()
    );

    cgroup.freeze().unwrap();
    assert_eq!(cgroup.kill(9).unwrap(), 3);
    wait_for(|| cgroup.pids().unwrap().is_empty() || program.0.try_wait().unwrap().is_some());
    program.status();
    cgroup.destroy().unwrap();
    assert!(!cgroup.exists());
    assert!(cgroup.pids().unwrap().is_empty());
    // Whoever ends a container may find it gone by now.
    assert!(cgroup.thaw().is_err());
    cgroup.thaw_the_dying().unwrap();
    assert_eq!(cgroup.kill(9).unwrap(), 0);
    cgroup.destroy().unwrap();
}

#[test]
fn updates_grow_and_shrink_and_name_what_the_kernel_refuses() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let decision = decision(
        &layout,
        &name.0,
        &resources(
            r#"{"memory":{"limit":67108864,"swap":134217728},"cpu":{"quota":50000,"period":100000,"burst":1000}}"#,
        ),
    );
    let mut program = Program::start("read line");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    for (limit, swap) in [
        (268435456u64, 536870912u64),
        (33554432, 67108864),
        (134217728, 134217728),
    ] {
        cgroup
            .update(&resources(&format!(
                r#"{{"memory":{{"limit":{limit},"swap":{swap}}}}}"#
            )))
            .unwrap();
        assert_eq!(
            read(&cgroup, "memory", "memory.limit_in_bytes"),
            limit.to_string()
        );
        assert_eq!(
            read(&cgroup, "memory", "memory.memsw.limit_in_bytes"),
            swap.to_string()
        );
    }
    cgroup
        .update(&resources(r#"{"memory":{"limit":-1}}"#))
        .unwrap();
    assert_eq!(cgroup.current().unwrap().memory_limit, None);
    cgroup
        .update(&resources(
            r#"{"cpu":{"quota":20000,"period":20000,"shares":1024},"pids":{"limit":-1}}"#,
        ))
        .unwrap();
    assert_eq!(read(&cgroup, "cpu", "cpu.cfs_quota_us"), "20000");
    assert_eq!(read(&cgroup, "pids", "pids.max"), "max");
    let skips = cgroup
        .update(&resources(
            r#"{"devices":[{"allow":true}],"memory":{"kernel":5}}"#,
        ))
        .unwrap();
    assert_eq!(
        skips
            .iter()
            .map(|skip| skip.what.as_str())
            .collect::<Vec<_>>(),
        ["linux.resources.memory.kernel", "linux.resources.devices"]
    );
    let refused = |json: &str| cgroup.update(&resources(json)).unwrap_err().to_string();
    let text = refused(r#"{"cpu":{"quota":5}}"#);
    assert!(
        text.starts_with("linux.resources.cpu.quota: 5 written to /")
            && text.contains("cpu.cfs_quota_us: EINVAL; out of the kernel's range"),
        "{text}"
    );
    let text = refused(r#"{"cpu":{"cpus":"4095"}}"#);
    assert!(
        text.starts_with("linux.resources.cpu.cpus: 4095 written to /"),
        "{text}"
    );
    let huge = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}"#;
    if std::path::Path::new("/sys/fs/cgroup/hugetlb").exists() {
        cgroup.update(&resources(huge)).unwrap();
        assert_eq!(read(&cgroup, "hugetlb", "hugetlb.2MB.limit_in_bytes"), "0");
    } else {
        let text = refused(huge);
        assert!(
            text.starts_with(
                "linux.resources.hugepageLimits[0].limit: the controller hugetlb isn't"
            ),
            "{text}"
        );
    }
    program.go();
    program.status();
    cgroup.destroy().unwrap();
}

#[test]
fn a_limit_below_what_is_in_use_is_refused_with_the_usage() {
    let name = Name::new();
    let decision = decision(
        &Layout::detect().unwrap(),
        &name.0,
        &resources(r#"{"memory":{"swappiness":0}}"#),
    );
    let hold = "read line; x=$(head -c 8000000 /dev/zero | tr '\\0' x); sleep 1000; echo $x";
    let mut program = Program::start(hold);
    let cgroup = place(prepare(&decision), &decision, program.pid());
    program.go();
    wait_for(|| {
        cgroup.pids().unwrap().len() == 2 && cgroup.current().unwrap().memory_usage > 8_000_000
    });
    let error = cgroup
        .update(&resources(r#"{"memory":{"limit":1048576}}"#))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("linux.resources.memory.limit: 1048576 written to /"),
        "{error}"
    );
    assert!(
        error.contains(
            "/memory.limit_in_bytes: EBUSY; unable to set memory limit to 1048576 (current usage: "
        ),
        "{error}"
    );
    cgroup.kill(9).unwrap();
    program.status();
    cgroup.destroy().unwrap();
}

#[test]
fn a_failure_midway_leaves_nothing() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let whole = decision(&layout, &format!("{}/a/b", name.0), &resources(DOCKER));
    for count in 0..whole.prepare.len() {
        let mut executor = Executor::new();
        for step in &whole.prepare[..count] {
            executor.run(step, None).unwrap();
        }
        drop(executor);
        for hierarchy in &layout.v1 {
            assert!(
                !fs::exists(format!("{}{}", hierarchy.mount, name.0)).unwrap(),
                "after {count} steps"
            );
        }
    }
}

#[test]
fn what_was_there_before_stays() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let outer = format!("{}{}", layout.v1_of("memory").unwrap().mount, name.0);
    fs::create_dir(&outer).unwrap();
    drop(prepare(&decision(
        &layout,
        &format!("{}/x", name.0),
        &Resources::default(),
    )));
    assert!(fs::exists(&outer).unwrap());
    assert!(!fs::exists(format!("{outer}/x")).unwrap());
}

#[test]
fn a_cgroup_in_use_is_not_taken() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let decision = decision(&layout, &name.0, &Resources::default());
    let program = Program::start("read line");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    let mut second = Executor::new();
    let error = second
        .run(&decision.prepare[0], None)
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("container's cgroup is not empty: 1 process(es) found in /"),
        "{error}"
    );
    drop(second);
    assert!(cgroup.exists());
    drop(program);
    prepare(&decision)
        .commit(&decision, Manager::Cgroupfs)
        .destroy()
        .unwrap();
}

#[test]
fn cgroups_made_inside_are_removed_too() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let decision = decision(&layout, &name.0, &Resources::default());
    let cgroup = prepare(&decision).commit(&decision, Manager::Cgroupfs);
    for path in decision.paths.values() {
        fs::create_dir_all(format!("{path}/inner/more")).unwrap();
    }
    // Deeper than a path name can be: made level by level, as a container could.
    let mode = rustix::fs::Mode::from_raw_mode(0o755);
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let mut here = rustix::fs::open(&decision.paths["memory"], flags, mode).unwrap();
    for _ in 0..40 {
        rustix::fs::mkdirat(&here, "d".repeat(200), mode).unwrap();
        here = rustix::fs::openat(&here, "d".repeat(200), flags, mode).unwrap();
    }
    drop(here);
    let mut program = Program::start("read line");
    fs::write(
        format!("{}/inner/more/cgroup.procs", decision.paths["devices"]),
        program.pid().to_string(),
    )
    .unwrap();
    assert_eq!(cgroup.pids().unwrap(), [program.pid()]);
    program.go();
    program.status();
    cgroup.destroy().unwrap();
    assert!(!cgroup.exists());
}

#[test]
fn exec_joins_and_stays_inside() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    let decision = decision(&layout, &name.0, &Resources::default());
    let cgroup = prepare(&decision).commit(&decision, Manager::Cgroupfs);
    let program = Program::start("read line");
    cgroup.join(program.pid(), &BTreeMap::new(), None).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [program.pid()]);
    fs::create_dir(format!("{}/sub", decision.paths["pids"])).unwrap();
    let below = BTreeMap::from([("pids".to_string(), "sub".to_string())]);
    cgroup.join(program.pid(), &below, None).unwrap();
    let own = fs::read_to_string(format!("/proc/{}/cgroup", program.pid())).unwrap();
    assert!(own.contains(&format!(":pids:{}/sub\n", name.0)), "{own}");
    let outside = BTreeMap::from([(String::new(), "../x".to_string())]);
    let error = cgroup
        .join(program.pid(), &outside, None)
        .unwrap_err()
        .to_string();
    assert_eq!(error, "cgroup: bad sub cgroup path: ../x");
    drop(program);
    cgroup.destroy().unwrap();
}

#[test]
fn the_memory_limit_kills_and_tells() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
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
    assert!(poll(&watch), "no event");
    assert_eq!(watch.read().unwrap(), Some(OomEvent::Oom));
    assert!(cgroup.oom_kills().unwrap() > 0);
    cgroup.destroy().unwrap();
    assert!(poll(&watch), "no event after removal");
    assert_eq!(watch.read().unwrap(), Some(OomEvent::Gone));
}

fn poll(watch: &impl AsFd) -> bool {
    let mut fds = [rustix::event::PollFd::new(
        watch,
        rustix::event::PollFlags::IN,
    )];
    let timeout = rustix::event::Timespec {
        tv_sec: 10,
        tv_nsec: 0,
    };
    rustix::event::poll(&mut fds, Some(&timeout)).unwrap() > 0
}
