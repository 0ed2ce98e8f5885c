//! Control groups: the path, every limit as the kernel's file shows it, update, pause, statistics and lists.

use crate::case::{cases, skip};
use crate::process;
use crate::sandbox::{Container, Sandbox};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

cases!("cgroups":
    path_absolute, path_nested, path_relative, path_absent, in_every_hierarchy, gone_after_delete, existing_group,
    nested_left_by_the_container, memory_limit, memory_swap, memory_swap_below_limit, memory_reservation, memory_swappiness,
    memory_disable_oom_killer, memory_kernel_is_ignored, memory_too_small, memory_negative_is_unlimited,
    memory_limit_kills, cpu_shares, cpu_quota_period, cpu_burst, cpu_idle, cpu_realtime, cpuset, cpuset_bad,
    cpu_quota_bad, pids_limit, pids_limit_minus_one, pids_limit_zero, pids_limit_holds, blkio_throttle, blkio_weight,
    hugetlb, net_cls, net_prio, unified_on_v1, rdma_absent, bad_device_rule, controllers_absent_are_named,
    no_group_after_failed_create,
);

fn limited(s: &mut Sandbox, path: &str, value: impl Into<Value>) {
    s.spec.set(&format!("linux.resources.{path}"), value);
}

fn need(controller: &str) {
    if !Path::new("/sys/fs/cgroup")
        .join(controller)
        .join("cgroup.procs")
        .exists()
    {
        skip(format!("no v1 hierarchy {controller} here"));
    }
}

fn own_groups(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}

fn path_absolute(s: &mut Sandbox) {
    s.start_waiting();
    for line in own_groups(s.pid())
        .lines()
        .filter(|line| !line.starts_with("0:"))
    {
        assert!(line.ends_with(&format!(":/{}", s.id)), "{line}");
    }
    s.stop();
}

fn path_nested(s: &mut Sandbox) {
    let path = format!("/{}-outer/inner/{}", s.id, s.id);
    s.spec.set("linux.cgroupsPath", path.clone());
    s.start_waiting();
    assert!(own_groups(s.pid()).contains(&format!("memory:{path}")));
    s.stop();
    // The leaf is the container's; what is above may be others' and stays.
    for group in crate::leaks::cgroups(&s.environment.tag).into_iter().rev() {
        assert!(
            !group.ends_with(format!("inner/{}", s.id)),
            "{}",
            group.display()
        );
        fs::remove_dir(group).unwrap();
    }
}

fn path_relative(s: &mut Sandbox) {
    let path = format!("{}-relative", s.id);
    s.spec.set("linux.cgroupsPath", path.clone());
    s.start_waiting();
    assert!(own_groups(s.pid()).contains(&path));
    s.stop();
}

fn path_absent(s: &mut Sandbox) {
    s.spec.remove("linux.cgroupsPath");
    s.start_waiting();
    assert!(
        own_groups(s.pid()).contains(&s.id),
        "the id names the group"
    );
    s.stop();
}

fn in_every_hierarchy(s: &mut Sandbox) {
    s.start_waiting();
    let groups = own_groups(s.pid());
    for controller in [
        "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
    ] {
        let line = groups.lines().find(|line| {
            line.split(':')
                .nth(1)
                .is_some_and(|list| list.split(',').any(|c| c == controller))
        });
        if Path::new("/sys/fs/cgroup").join(controller).exists() {
            assert!(
                line.is_some_and(|line| line.contains(&s.id)),
                "{controller}: {groups}"
            );
        }
    }
    s.stop();
}

fn gone_after_delete(s: &mut Sandbox) {
    s.start_waiting();
    assert!(!crate::leaks::cgroups(&s.id).is_empty());
    s.stop();
    assert_eq!(
        crate::leaks::cgroups(&s.id),
        Vec::<std::path::PathBuf>::new()
    );
}

fn existing_group(s: &mut Sandbox) {
    // Made beforehand and empty: used.
    fs::create_dir(s.cgroup("memory")).unwrap();
    s.run().ok();
}

fn nested_left_by_the_container(s: &mut Sandbox) {
    s.start_waiting();
    fs::create_dir_all(s.cgroup("memory").join("a/b")).unwrap();
    fs::create_dir_all(s.cgroup("pids").join("a")).unwrap();
    s.stop();
    assert!(
        !s.cgroup("memory").exists(),
        "delete removes what a container nested below its group"
    );
}

/// Starts with one limit and gives the content of a v1 file.
fn file_with(
    s: &mut Sandbox,
    path: &str,
    value: impl Into<Value>,
    controller: &str,
    file: &str,
) -> String {
    need(controller);
    limited(s, path, value);
    s.start_waiting();
    let text = s.cgroup_file(controller, file);
    s.stop();
    text
}

fn memory_limit(s: &mut Sandbox) {
    assert_eq!(
        file_with(
            s,
            "memory.limit",
            64 << 20,
            "memory",
            "memory.limit_in_bytes"
        ),
        (64 << 20).to_string()
    );
}

fn memory_swap(s: &mut Sandbox) {
    need("memory");
    if !Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists() {
        skip("no swap accounting");
    }
    limited(s, "memory", json!({"limit": 64 << 20, "swap": 128 << 20}));
    s.start_waiting();
    assert_eq!(
        s.cgroup_file("memory", "memory.limit_in_bytes"),
        (64 << 20).to_string()
    );
    assert_eq!(
        s.cgroup_file("memory", "memory.memsw.limit_in_bytes"),
        (128 << 20).to_string()
    );
    s.stop();
}

fn memory_swap_below_limit(s: &mut Sandbox) {
    limited(s, "memory", json!({"limit": 64 << 20, "swap": 32 << 20}));
    s.run().fails_somehow().exits(1);
}

fn memory_reservation(s: &mut Sandbox) {
    let text = file_with(
        s,
        "memory.reservation",
        32 << 20,
        "memory",
        "memory.soft_limit_in_bytes",
    );
    assert_eq!(text, (32 << 20).to_string());
}

fn memory_swappiness(s: &mut Sandbox) {
    assert_eq!(
        file_with(s, "memory.swappiness", 17, "memory", "memory.swappiness"),
        "17"
    );
}

fn memory_disable_oom_killer(s: &mut Sandbox) {
    let text = file_with(
        s,
        "memory",
        json!({"limit": 64 << 20, "disableOOMKiller": true}),
        "memory",
        "memory.oom_control",
    );
    assert!(text.contains("oom_kill_disable 1"), "{text}");
}

fn memory_kernel_is_ignored(s: &mut Sandbox) {
    limited(
        s,
        "memory",
        json!({"kernel": 32 << 20, "kernelTCP": 16 << 20, "useHierarchy": true}),
    );
    s.run().ok();
}

fn memory_too_small(s: &mut Sandbox) {
    limited(s, "memory.limit", 4096);
    s.run().fails_somehow();
}

fn memory_negative_is_unlimited(s: &mut Sandbox) {
    let text = file_with(
        s,
        "memory",
        json!({"limit": -1, "swap": -1}),
        "memory",
        "memory.limit_in_bytes",
    );
    assert!(text.parse::<u64>().unwrap() > 1 << 60, "{text}");
}

fn memory_limit_kills(s: &mut Sandbox) {
    need("memory");
    limited(s, "memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
    let probe = format!("child:memory:{}", 64 << 20);
    let report = s.inspect(&[&probe]);
    assert_eq!(report.probe(&probe)["signal"], 9);
}

fn cpu_shares(s: &mut Sandbox) {
    assert_eq!(file_with(s, "cpu.shares", 321, "cpu", "cpu.shares"), "321");
}

fn cpu_quota_period(s: &mut Sandbox) {
    need("cpu");
    limited(s, "cpu", json!({"quota": 20_000, "period": 50_000}));
    s.start_waiting();
    assert_eq!(s.cgroup_file("cpu", "cpu.cfs_quota_us"), "20000");
    assert_eq!(s.cgroup_file("cpu", "cpu.cfs_period_us"), "50000");
    s.stop();
}

fn cpu_burst(s: &mut Sandbox) {
    let text = file_with(
        s,
        "cpu",
        json!({"quota": 50_000, "period": 100_000, "burst": 10_000}),
        "cpu",
        "cpu.cfs_burst_us",
    );
    assert_eq!(text, "10000");
}

fn cpu_idle(s: &mut Sandbox) {
    assert_eq!(file_with(s, "cpu.idle", 1, "cpu", "cpu.idle"), "1");
}

fn cpu_realtime(s: &mut Sandbox) {
    need("cpu");
    let budget = fs::read_to_string("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").unwrap_or_default();
    if budget.trim().parse::<i64>().unwrap_or(0) < 2000 {
        skip("the root group has no real-time budget");
    }
    limited(
        s,
        "cpu",
        json!({"realtimeRuntime": 2000, "realtimePeriod": 500_000}),
    );
    s.start_waiting();
    assert_eq!(s.cgroup_file("cpu", "cpu.rt_runtime_us"), "2000");
    assert_eq!(s.cgroup_file("cpu", "cpu.rt_period_us"), "500000");
    s.stop();
}

fn cpuset(s: &mut Sandbox) {
    need("cpuset");
    limited(s, "cpu", json!({"cpus": "0", "mems": "0"}));
    let report = s.inspect(&[]);
    assert_eq!(report.numbers("affinity"), [0]);
    assert_eq!(report.status("Mems_allowed_list"), "0");
}

fn cpuset_bad(s: &mut Sandbox) {
    need("cpuset");
    limited(s, "cpu.cpus", "4000-4001");
    s.run().fails_somehow().exits(1);
}

fn cpu_quota_bad(s: &mut Sandbox) {
    need("cpu");
    limited(s, "cpu", json!({"quota": 10, "period": 100_000}));
    s.run().fails_somehow().exits(1);
}

fn pids_limit(s: &mut Sandbox) {
    assert_eq!(file_with(s, "pids.limit", 1000, "pids", "pids.max"), "1000");
}

fn pids_limit_minus_one(s: &mut Sandbox) {
    assert_eq!(file_with(s, "pids.limit", -1, "pids", "pids.max"), "max");
}

fn pids_limit_zero(s: &mut Sandbox) {
    assert_eq!(file_with(s, "pids.limit", 0, "pids", "pids.max"), "max");
}

fn pids_limit_holds(s: &mut Sandbox) {
    need("pids");
    limited(s, "pids.limit", 20);
    let report = s.inspect(&["fork:50"]);
    assert_eq!(report.errno("fork:50"), crate::inspect::EAGAIN);
    assert_eq!(report.probe("fork:50")["value"], 19);
}

/// A block device of this machine that can be throttled.
fn block_device() -> (u64, u64) {
    let found = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let text = fs::read_to_string(entry.path().join("dev")).ok()?;
            let (major, minor) = text.trim().split_once(':')?;
            (!name.starts_with("loop") && !name.starts_with("ram"))
                .then_some((major.parse().ok()?, minor.parse().ok()?))
        });
    found.unwrap_or_else(|| skip("no block device"))
}

fn blkio_throttle(s: &mut Sandbox) {
    need("blkio");
    let (major, minor) = block_device();
    let rate = |value: u64| json!([{"major": major, "minor": minor, "rate": value}]);
    limited(
        s,
        "blockIO",
        json!({"throttleReadBpsDevice": rate(1_000_001), "throttleWriteBpsDevice": rate(1_000_002),
               "throttleReadIOPSDevice": rate(1003), "throttleWriteIOPSDevice": rate(1004)}),
    );
    s.start_waiting();
    for (file, value) in [
        ("read_bps", 1_000_001),
        ("write_bps", 1_000_002),
        ("read_iops", 1003),
        ("write_iops", 1004),
    ] {
        assert_eq!(
            s.cgroup_file("blkio", &format!("blkio.throttle.{file}_device")),
            format!("{major}:{minor} {value}")
        );
    }
    s.stop();
}

fn blkio_weight(s: &mut Sandbox) {
    need("blkio");
    limited(s, "blockIO.weight", 300);
    s.start_waiting();
    let file = ["blkio.weight", "blkio.bfq.weight"]
        .into_iter()
        .find(|name| s.cgroup("blkio").join(name).exists());
    if let Some(file) = file {
        assert!(s.cgroup_file("blkio", file).contains("300"));
    }
    s.stop();
}

fn hugetlb(s: &mut Sandbox) {
    need("hugetlb");
    limited(
        s,
        "hugepageLimits",
        json!([{"pageSize": "2MB", "limit": 4 << 20}]),
    );
    s.start_waiting();
    assert_eq!(
        s.cgroup_file("hugetlb", "hugetlb.2MB.limit_in_bytes"),
        (4 << 20).to_string()
    );
    s.stop();
}

fn net_cls(s: &mut Sandbox) {
    need("net_cls");
    assert_eq!(
        file_with(
            s,
            "network.classID",
            0x100_001,
            "net_cls",
            "net_cls.classid"
        ),
        (0x100_001).to_string()
    );
}

fn net_prio(s: &mut Sandbox) {
    need("net_prio");
    let text = file_with(
        s,
        "network.priorities",
        json!([{"name": "lo", "priority": 5}]),
        "net_prio",
        "net_prio.ifpriomap",
    );
    assert!(text.contains("lo 5"), "{text}");
}

fn unified_on_v1(s: &mut Sandbox) {
    need("memory");
    limited(s, "unified", json!({"memory.high": "1000000"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("unified"), "{}", output.stderr);
}

fn rdma_absent(s: &mut Sandbox) {
    limited(
        s,
        "rdma",
        json!({"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10_000}}),
    );
    // No such controller here: an error that says so, or nothing to do; never a crash.
    let output = s.run();
    assert!(matches!(output.code, 0 | 1), "{}", output.stderr);
}

fn bad_device_rule(s: &mut Sandbox) {
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": true, "type": "x", "access": "rwm"}]),
    );
    s.run().fails_somehow().exits(1);
}

fn controllers_absent_are_named(s: &mut Sandbox) {
    if Path::new("/sys/fs/cgroup/hugetlb").exists() {
        skip("hugetlb is here");
    }
    limited(
        s,
        "hugepageLimits",
        json!([{"pageSize": "2MB", "limit": 4 << 20}]),
    );
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("hugetlb"), "{}", output.stderr);
}

fn no_group_after_failed_create(s: &mut Sandbox) {
    limited(s, "cpu.cpus", "4000");
    s.create_call(&[]).run().fails_somehow();
    assert_eq!(
        crate::leaks::cgroups(&s.id),
        Vec::<std::path::PathBuf>::new()
    );
}

pub mod update {
    //! update: by flags, by file, on stdin.
    use super::*;

    cases!("update":
        by_flags, resources_on_stdin, resources_file, memory_up_and_down, cpu_values, cpuset_values, pids_value, unlimited,
        bad_value_keeps_the_old, of_a_stopped_one, of_an_absent_one, broken_json, ignored_kernel_memory, blkio_weight_flag,
        keeps_device_rules, of_a_created_one, of_a_paused_one,
    );

    fn update(s: &Container, flags: &[&str]) -> crate::runtime::Output {
        s.call(&[&["update"], flags, &[s.id.as_str()]].concat())
            .run()
    }

    fn by_flags(s: &mut Sandbox) {
        need("memory");
        limited(s, "memory.limit", 64 << 20);
        s.start_waiting();
        update(
            s,
            &[
                "--memory",
                "33554432",
                "--memory-reservation",
                "16777216",
                "--pids-limit",
                "77",
                "--cpu-share",
                "222",
            ],
        )
        .ok();
        assert_eq!(s.cgroup_file("memory", "memory.limit_in_bytes"), "33554432");
        assert_eq!(
            s.cgroup_file("memory", "memory.soft_limit_in_bytes"),
            "16777216"
        );
        assert_eq!(s.cgroup_file("pids", "pids.max"), "77");
        assert_eq!(s.cgroup_file("cpu", "cpu.shares"), "222");
        s.stop();
    }

    fn resources_on_stdin(s: &mut Sandbox) {
        need("memory");
        s.start_waiting();
        let text =
            json!({"memory": {"limit": 50 << 20}, "cpu": {"shares": 99}, "pids": {"limit": 55}})
                .to_string();
        for arguments in [
            ["update", "--resources=-", s.id.as_str()].as_slice(),
            &["update", "-r", "-", s.id.as_str()],
        ] {
            s.call(arguments).stdin(&text).run().ok();
        }
        assert_eq!(
            s.cgroup_file("memory", "memory.limit_in_bytes"),
            (50 << 20).to_string()
        );
        assert_eq!(s.cgroup_file("cpu", "cpu.shares"), "99");
        assert_eq!(s.cgroup_file("pids", "pids.max"), "55");
        s.stop();
    }

    fn resources_file(s: &mut Sandbox) {
        need("cpu");
        s.start_waiting();
        let path = s.path("resources.json");
        fs::write(
            &path,
            json!({"cpu": {"quota": 30_000, "period": 60_000}}).to_string(),
        )
        .unwrap();
        update(s, &["--resources", &path]).ok();
        assert_eq!(s.cgroup_file("cpu", "cpu.cfs_quota_us"), "30000");
        assert_eq!(s.cgroup_file("cpu", "cpu.cfs_period_us"), "60000");
        s.stop();
    }

    fn memory_up_and_down(s: &mut Sandbox) {
        need("memory");
        if !Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists() {
            skip("no swap accounting");
        }
        limited(s, "memory", json!({"limit": 64 << 20, "swap": 64 << 20}));
        s.start_waiting();
        // The order of the two writes differs by direction.
        for size in [256_u64 << 20, 32 << 20] {
            let text = size.to_string();
            update(s, &["--memory", &text, "--memory-swap", &text]).ok();
            assert_eq!(s.cgroup_file("memory", "memory.limit_in_bytes"), text);
            assert_eq!(s.cgroup_file("memory", "memory.memsw.limit_in_bytes"), text);
        }
        s.stop();
    }

    fn cpu_values(s: &mut Sandbox) {
        need("cpu");
        s.start_waiting();
        update(s, &["--cpu-period", "100000", "--cpu-quota", "40000"]).ok();
        assert_eq!(s.cgroup_file("cpu", "cpu.cfs_quota_us"), "40000");
        update(s, &["--cpu-quota", "-1"]).ok();
        assert_eq!(s.cgroup_file("cpu", "cpu.cfs_quota_us"), "-1");
        s.stop();
    }

    fn cpuset_values(s: &mut Sandbox) {
        need("cpuset");
        s.start_waiting();
        update(s, &["--cpuset-cpus", "0", "--cpuset-mems", "0"]).ok();
        assert_eq!(s.cgroup_file("cpuset", "cpuset.cpus"), "0");
        s.stop();
    }

    fn pids_value(s: &mut Sandbox) {
        need("pids");
        s.start_waiting();
        update(s, &["--pids-limit", "10"]).ok();
        assert_eq!(s.cgroup_file("pids", "pids.max"), "10");
        update(s, &["--pids-limit", "-1"]).ok();
        assert_eq!(s.cgroup_file("pids", "pids.max"), "max");
        s.stop();
    }

    fn unlimited(s: &mut Sandbox) {
        need("memory");
        limited(s, "memory.limit", 64 << 20);
        s.start_waiting();
        update(s, &["--memory", "-1", "--memory-swap", "-1"]).ok();
        assert!(
            s.cgroup_file("memory", "memory.limit_in_bytes")
                .parse::<u64>()
                .unwrap()
                > 1 << 60
        );
        s.stop();
    }

    fn bad_value_keeps_the_old(s: &mut Sandbox) {
        need("memory");
        limited(s, "memory.limit", 64 << 20);
        s.start_waiting();
        assert_eq!(update(s, &["--memory", "lots"]).code, 1);
        assert_eq!(update(s, &["--cpuset-cpus", "9999"]).code, 1);
        assert_eq!(
            s.cgroup_file("memory", "memory.limit_in_bytes"),
            (64 << 20).to_string()
        );
        s.stop();
    }

    fn of_a_stopped_one(s: &mut Sandbox) {
        s.spec.args(&["/bin/true"]);
        s.create();
        s.start().ok();
        s.reap();
        assert_eq!(update(s, &["--memory", "33554432"]).code, 1);
    }

    fn of_an_absent_one(s: &mut Sandbox) {
        update(s, &["--memory", "33554432"]).fails(1, "does not exist");
    }

    fn broken_json(s: &mut Sandbox) {
        s.start_waiting();
        for text in ["", "{", "[]", "5", "{\"memory\": {\"limit\": \"many\"}}"] {
            let output = s
                .call(&["update", "--resources", "-", &s.id])
                .stdin(text)
                .run();
            assert_eq!(output.code, 1, "{text:?}: {}", output.stderr);
        }
        s.stop();
    }

    fn ignored_kernel_memory(s: &mut Sandbox) {
        s.start_waiting();
        update(
            s,
            &[
                "--kernel-memory",
                "33554432",
                "--kernel-memory-tcp",
                "33554432",
            ],
        )
        .ok();
        s.stop();
    }

    fn blkio_weight_flag(s: &mut Sandbox) {
        need("blkio");
        s.start_waiting();
        update(s, &["--blkio-weight", "200"]).ok();
        s.stop();
    }

    fn keeps_device_rules(s: &mut Sandbox) {
        need("devices");
        s.spec.set(
            "linux.resources.devices",
            json!([{"allow": false, "access": "rwm"}]),
        );
        s.start_waiting();
        let before = s.cgroup_file("devices", "devices.list");
        update(s, &["--pids-limit", "33"]).ok();
        assert_eq!(s.cgroup_file("devices", "devices.list"), before);
        s.stop();
    }

    fn of_a_created_one(s: &mut Sandbox) {
        need("pids");
        s.create();
        update(s, &["--pids-limit", "44"]).ok();
        assert_eq!(s.cgroup_file("pids", "pids.max"), "44");
    }

    fn of_a_paused_one(s: &mut Sandbox) {
        need("pids");
        s.start_waiting();
        s.call(&["pause", &s.id]).run().ok();
        update(s, &["--pids-limit", "44"]).ok();
        assert_eq!(s.status(), "paused", "update does not thaw");
        s.call(&["resume", &s.id]).run().ok();
        s.stop();
    }
}

pub mod observe {
    //! pause and resume, ps, list, events, state: what callers parse.
    use super::*;

    cases!("observe":
        pause_freezes, pause_twice, resume_twice, pause_of_a_stopped_one, pause_absent, pause_of_a_created_one,
        delete_of_a_paused_one, delete_force_of_a_paused_one, ps_json, ps_table, ps_with_options, ps_of_a_stopped_one,
        list_json, list_json_of_none, list_quiet, list_table, state_keys, state_annotations, state_created_is_rfc3339,
        events_stats_keys, events_interval, events_oom, events_of_an_absent_one, features_json, version_lines,
        help_of_every_command, spec_is_a_bundle, spec_rootless, spec_exists_already,
    );

    fn verb(s: &Container, name: &str) -> crate::runtime::Output {
        s.call(&[name, &s.id]).run()
    }

    fn pause_freezes(s: &mut Sandbox) {
        s.start_program(&[
            "/bin/sh",
            "-c",
            "echo ready; while :; do echo tick; done > /tmp/ticks",
        ]);
        verb(s, "pause").ok();
        assert_eq!(s.status(), "paused");
        assert_eq!(s.cgroup_file("freezer", "freezer.state"), "FROZEN");
        let size = || fs::metadata(s.rootfs.join("tmp/ticks")).unwrap().len();
        let before = size();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(size(), before, "it still writes");
        verb(s, "resume").ok();
        assert_eq!(s.status(), "running");
        assert!(process::eventually(Duration::from_secs(2), || size() > before));
        s.stop();
    }

    fn pause_twice(s: &mut Sandbox) {
        s.start_waiting();
        verb(s, "pause").ok();
        verb(s, "pause").fails(1, "container not running");
        verb(s, "resume").ok();
        s.stop();
    }

    fn resume_twice(s: &mut Sandbox) {
        s.start_waiting();
        verb(s, "resume").fails(1, "container not paused");
        s.stop();
    }

    fn pause_of_a_stopped_one(s: &mut Sandbox) {
        s.spec.args(&["/bin/true"]);
        s.create();
        s.start().ok();
        s.reap();
        verb(s, "pause").fails(1, "container not running");
        verb(s, "resume").fails(1, "container not paused");
    }

    fn pause_absent(s: &mut Sandbox) {
        verb(s, "pause").fails(1, "does not exist");
        verb(s, "resume").fails(1, "does not exist");
    }

    fn pause_of_a_created_one(s: &mut Sandbox) {
        s.create();
        verb(s, "pause").ok();
        assert_eq!(s.status(), "paused");
        verb(s, "resume").ok();
        assert_eq!(s.status(), "created");
    }

    fn delete_of_a_paused_one(s: &mut Sandbox) {
        s.start_waiting();
        verb(s, "pause").ok();
        s.delete().fails(1, "that is not stopped: paused");
        verb(s, "resume").ok();
        s.stop();
    }

    fn delete_force_of_a_paused_one(s: &mut Sandbox) {
        s.start_waiting();
        verb(s, "pause").ok();
        s.call(&["delete", "--force", &s.id]).run().ok();
        assert_eq!(s.reap(), 137);
    }

    fn ps_json(s: &mut Sandbox) {
        s.start_program(&["/inspect", "spawn", "2"]);
        let output = s.call(&["ps", "--format", "json", &s.id]).run().ok();
        let pids: Vec<i32> = serde_json::from_str(&output.stdout).unwrap();
        assert!(pids.contains(&s.pid()) && pids.len() == 3, "{pids:?}");
        s.stop();
    }

    fn ps_table(s: &mut Sandbox) {
        s.start_waiting();
        let output = s.call(&["ps", &s.id]).run().ok();
        let mut lines = output.stdout.lines();
        assert!(
            lines.next().unwrap_or_default().contains("PID"),
            "{}",
            output.stdout
        );
        assert!(
            output.stdout.contains(&s.pid().to_string()),
            "{}",
            output.stdout
        );
        s.stop();
    }

    fn ps_with_options(s: &mut Sandbox) {
        s.start_waiting();
        let output = s
            .call(&["ps", "--format", "table", &s.id, "-o", "pid,comm"])
            .run()
            .ok();
        assert!(output.stdout.contains("inspect"), "{}", output.stdout);
        assert_eq!(
            output.stdout.lines().count(),
            2,
            "only the container's: {}",
            output.stdout
        );
        s.stop();
    }

    fn ps_of_a_stopped_one(s: &mut Sandbox) {
        s.spec.args(&["/bin/true"]);
        s.create();
        s.start().ok();
        s.reap();
        let output = s.call(&["ps", "--format", "json", &s.id]).run();
        assert!(
            output.code == 1 || matches!(output.trimmed(), "null" | "[]"),
            "{} {}",
            output.code,
            output.stdout
        );
    }

    fn list_json(s: &mut Sandbox) {
        s.start_waiting();
        for flag in ["--format=json", "-f=json"] {
            let list: Value =
                serde_json::from_str(&s.call(&["list", flag]).run().ok().stdout).unwrap();
            let one = &list[0];
            assert_eq!(one["id"], s.id);
            assert_eq!(one["status"], "running");
            assert_eq!(one["pid"], s.pid());
            assert_eq!(one["bundle"], s.bundle_text());
            assert_eq!(one["owner"], "root");
            assert!(
                one["created"].is_string()
                    && one["rootfs"].is_string()
                    && one["ociVersion"].is_string()
            );
        }
        s.stop();
    }

    fn list_json_of_none(s: &mut Sandbox) {
        fs::create_dir(&s.environment.root).unwrap();
        let output = s.call(&["list", "--format", "json"]).run().ok();
        assert!(
            matches!(output.trimmed(), "null" | "[]"),
            "{}",
            output.stdout
        );
        assert_eq!(s.call(&["list", "-q"]).run().ok().stdout, "");
    }

    fn list_quiet(s: &mut Sandbox) {
        s.create();
        assert_eq!(
            s.call(&["list", "-q"]).run().ok().stdout,
            format!("{}\n", s.id)
        );
    }

    fn list_table(s: &mut Sandbox) {
        s.create();
        let output = s.call(&["list"]).run().ok();
        let head: Vec<&str> = output
            .stdout
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
        assert!(
            output.stdout.contains(&s.id) && output.stdout.contains("created"),
            "{}",
            output.stdout
        );
        s.call(&["list", "--format", "yaml"]).run().exits(1);
    }

    fn state_keys(s: &mut Sandbox) {
        s.create();
        let state = s.state();
        let keys: Vec<&String> = state.as_object().unwrap().keys().collect();
        for key in [
            "ociVersion",
            "id",
            "pid",
            "status",
            "bundle",
            "rootfs",
            "created",
            "owner",
        ] {
            assert!(keys.iter().any(|k| *k == key), "{key}: {state}");
        }
        assert_eq!(state["id"], s.id);
        assert_eq!(state["rootfs"], s.rootfs.to_string_lossy().as_ref());
    }

    fn state_annotations(s: &mut Sandbox) {
        s.spec.set(
            "annotations",
            json!({"org.example.key": "value", "empty": ""}),
        );
        s.create();
        assert_eq!(
            s.state()["annotations"],
            json!({"org.example.key": "value", "empty": ""})
        );
        let mut plain = s.sibling("plain");
        plain.create();
        assert!(
            plain
                .state()
                .get("annotations")
                .is_none_or(|value| value.as_object().is_none_or(|map| map.is_empty()))
        );
    }

    fn state_created_is_rfc3339(s: &mut Sandbox) {
        s.create();
        let state = s.state();
        let created = state["created"].as_str().unwrap();
        let bytes = created.as_bytes();
        assert!(
            bytes.len() >= 20 && bytes[4] == b'-' && bytes[10] == b'T' && created.ends_with('Z'),
            "{created}"
        );
    }

    fn events_stats_keys(s: &mut Sandbox) {
        need("memory");
        limited(s, "memory.limit", 64 << 20);
        limited(s, "pids.limit", 100);
        s.start_waiting();
        let output = s.call(&["events", "--stats", &s.id]).run().ok();
        let value: Value = serde_json::from_str(&output.stdout).unwrap();
        assert_eq!(
            (&value["type"], &value["id"]),
            (&json!("stats"), &json!(s.id))
        );
        let data = &value["data"];
        assert!(
            data["cpu"]["usage"]["total"].as_u64().unwrap() > 0,
            "{data}"
        );
        assert!(
            data["cpu"]["usage"]["percpu"].is_array() && data["cpu"]["throttling"].is_object(),
            "{data}"
        );
        assert!(
            data["cpu"]["usage"]["kernel"].is_u64() && data["cpu"]["usage"]["user"].is_u64(),
            "{data}"
        );
        assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
        assert!(
            data["memory"]["usage"]["usage"].as_u64().unwrap() > 0,
            "{data}"
        );
        assert!(
            data["memory"]["usage"]["max"].is_u64() && data["memory"]["raw"]["cache"].is_u64(),
            "{data}"
        );
        assert_eq!(
            (&data["pids"]["current"], &data["pids"]["limit"]),
            (&json!(1), &json!(100))
        );
        assert!(
            data["blkio"].is_object() && data["hugetlb"].is_object(),
            "{data}"
        );
        assert!(data["cpuset"]["cpus"].is_array(), "{data}");
        s.stop();
    }

    fn events_interval(s: &mut Sandbox) {
        s.start_waiting();
        let running = s.call(&["events", "--interval=100ms", &s.id]).spawn();
        assert!(process::eventually(Duration::from_secs(5), || {
            fs::read_to_string(&running.stdout).is_ok_and(|text| text.lines().count() >= 2)
        }));
        let text = fs::read_to_string(&running.stdout).unwrap();
        let first: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(first["type"], "stats");
        s.kill("KILL").ok();
        s.reap();
        s.delete().ok();
        running.kill();
    }

    fn events_oom(s: &mut Sandbox) {
        need("memory");
        limited(s, "memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
        s.start_waiting();
        let running = s.call(&["events", "--interval", "10s", &s.id]).spawn();
        std::thread::sleep(Duration::from_millis(200));
        s.exec(&["/inspect", "probe", &format!("memory:{}", 64 << 20)]);
        let seen = process::eventually(Duration::from_secs(3), || {
            fs::read_to_string(&running.stdout).is_ok_and(|text| text.contains("\"type\":\"oom\""))
        });
        let text = fs::read_to_string(&running.stdout).unwrap_or_default();
        running.kill();
        assert!(seen, "{text}");
        if process::is_alive(s.pid()) {
            s.kill("KILL").ok();
        }
        s.reap();
        s.delete().ok();
    }

    fn events_of_an_absent_one(s: &mut Sandbox) {
        s.call(&["events", "--stats", &s.id])
            .run()
            .fails(1, "does not exist");
    }

    fn features_json(s: &mut Sandbox) {
        let output = s.call(&["features"]).run().ok();
        assert_eq!(output.stderr, "", "CRI-O reads both streams as one");
        let value: Value = serde_json::from_str(&output.stdout).unwrap();
        assert!(value["ociVersionMin"].is_string() && value["ociVersionMax"].is_string());
        let has = |list: &Value, word: &str| {
            list.as_array()
                .is_some_and(|words| words.iter().any(|w| w == word))
        };
        for hook in [
            "prestart",
            "createRuntime",
            "createContainer",
            "startContainer",
            "poststart",
            "poststop",
        ] {
            assert!(has(&value["hooks"], hook), "{hook}");
        }
        for option in ["ro", "rro", "rbind", "nosuid", "rshared", "tmpcopyup"] {
            assert!(has(&value["mountOptions"], option), "{option}");
        }
        for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
            assert!(has(&value["linux"]["namespaces"], kind), "{kind}");
        }
        assert!(has(&value["linux"]["capabilities"], "CAP_SYS_ADMIN"));
        assert_eq!(value["linux"]["cgroup"]["v1"], true);
        assert_eq!(value["linux"]["seccomp"]["enabled"], true);
        assert!(has(&value["linux"]["seccomp"]["actions"], "SCMP_ACT_ERRNO"));
        assert!(has(
            &value["linux"]["seccomp"]["operators"],
            "SCMP_CMP_MASKED_EQ"
        ));
        assert!(value["linux"]["apparmor"].is_object() && value["linux"]["selinux"].is_object());
    }

    fn version_lines(s: &mut Sandbox) {
        for flag in ["--version", "-v"] {
            let output = s.call(&[flag]).run().ok();
            let lines: Vec<&str> = output.stdout.lines().collect();
            assert!(lines[0].contains(" version "), "{}", lines[0]);
            assert!(
                lines.iter().any(|line| line.starts_with("spec: ")),
                "{}",
                output.stdout
            );
        }
    }

    fn help_of_every_command(s: &mut Sandbox) {
        let verbs = [
            "create", "delete", "events", "exec", "features", "kill", "list", "pause", "ps",
            "resume", "run", "spec", "start", "state", "update",
        ];
        for name in verbs {
            let output = s.call(&[name, "--help"]).run().ok();
            assert!(output.stdout.contains(name), "{name}: {}", output.stdout);
        }
        let output = s.call(&["--help"]).run().ok();
        for name in verbs {
            assert!(output.stdout.contains(name), "{name} is not in --help");
        }
    }

    fn spec_is_a_bundle(s: &mut Sandbox) {
        let bundle = s.bundle_text();
        s.call(&["spec", "--bundle", &bundle]).run().ok();
        let text = fs::read_to_string(s.bundle.join("config.json")).unwrap();
        let mut value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["process"]["args"], json!(["sh"]));
        value["process"]["terminal"] = json!(false);
        value["process"]["args"] = json!(["/bin/echo", "from spec"]);
        value["linux"]["cgroupsPath"] = json!(format!("/{}", s.id));
        fs::write(s.bundle.join("config.json"), value.to_string()).unwrap();
        assert_eq!(
            s.call(&["run", "--bundle", &bundle, &s.id])
                .run()
                .ok()
                .stdout,
            "from spec\n"
        );
    }

    fn spec_rootless(s: &mut Sandbox) {
        s.call(&["spec", "--rootless"])
            .current_dir(&s.bundle)
            .run()
            .ok();
        let value: Value =
            serde_json::from_str(&fs::read_to_string(s.bundle.join("config.json")).unwrap())
                .unwrap();
        let kinds = value["linux"]["namespaces"].to_string();
        assert!(
            kinds.contains("\"user\"") && !kinds.contains("network"),
            "{kinds}"
        );
        assert!(value["linux"]["uidMappings"].is_array());
    }

    fn spec_exists_already(s: &mut Sandbox) {
        s.write_spec();
        let before = fs::read_to_string(s.bundle.join("config.json")).unwrap();
        let bundle = s.bundle_text();
        s.call(&["spec", "-b", &bundle])
            .run()
            .fails_somehow()
            .exits(1);
        assert_eq!(
            fs::read_to_string(s.bundle.join("config.json")).unwrap(),
            before
        );
    }
}
