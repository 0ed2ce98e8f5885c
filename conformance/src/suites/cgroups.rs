//! Control groups: the path, every limit as the kernel's file shows it, update, pause, statistics and lists.

use super::update::expect_quota;
use crate::case::{cases, skip};
use crate::limits::{
    BURST, HUGE_PAGES, IDLE, MEMORY, PIDS, Place, RESERVATION, SHARES, SWAP, block_device, is_v2,
    need, need_kernel, need_own_path, need_swap_limit, need_v1,
};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

cases!("cgroups":
    path_absolute, path_nested, path_relative, path_absent, in_every_hierarchy, gone_after_delete, existing_group,
    nested_left_by_the_container, memory_limit, memory_swap, memory_swap_below_limit, memory_reservation, memory_swappiness,
    memory_disable_oom_killer, memory_kernel_is_ignored, memory_too_small, memory_negative_is_unlimited,
    memory_limit_kills, cpu_shares, cpu_quota_period, cpu_burst, cpu_idle, cpu_realtime, cpuset, cpuset_bad,
    cpu_quota_bad, pids_limit, pids_limit_minus_one, pids_limit_zero, pids_limit_holds, blkio_throttle, blkio_weight,
    hugetlb, net_cls, net_prio, unified_on_v1, unified_on_v2, rdma_absent, bad_device_rule, controllers_absent_are_named,
    no_group_after_failed_create,
);

pub(super) fn limited(s: &mut Sandbox, path: &str, value: impl Into<Value>) {
    s.spec.set(&format!("linux.resources.{path}"), value);
}

fn own_groups(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}

fn path_absolute(s: &mut Sandbox) {
    s.start_waiting();
    for line in own_groups(s.pid())
        .lines()
        .filter(|line| is_v2() || !line.starts_with("0:"))
    {
        assert!(line.ends_with(&format!(":/{}", s.group())), "{line}");
    }
    s.stop();
}

fn path_nested(s: &mut Sandbox) {
    need_own_path(s);
    let path = format!("/{}-outer/inner/{}", s.id, s.id);
    s.spec.set("linux.cgroupsPath", path.clone());
    s.start_waiting();
    let hierarchy = if is_v2() { "0:" } else { "memory" };
    assert!(own_groups(s.pid()).contains(&format!("{hierarchy}:{path}")));
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
    need_own_path(s);
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
    let left = crate::leaks::cgroups(&s.id);
    assert!(left.is_empty(), "{left:?}");
}

fn existing_group(s: &mut Sandbox) {
    need_own_path(s);
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

/// Starts with one limit and compares its file.
fn check(s: &mut Sandbox, path: &str, value: impl Into<Value>, place: &Place, expected: [&str; 2]) {
    limited(s, path, value);
    s.start_waiting();
    s.expect_limits(place, expected[0], expected[1]);
    s.stop();
}

fn memory_limit(s: &mut Sandbox) {
    need("memory");
    check(s, "memory.limit", 64 << 20, &MEMORY, ["67108864"; 2]);
}

fn memory_swap(s: &mut Sandbox) {
    need_swap_limit();
    limited(s, "memory", json!({"limit": 64 << 20, "swap": 128 << 20}));
    s.start_waiting();
    s.expect_limit(&MEMORY, 64 << 20);
    // v2 counts swap alone.
    s.expect_limits(&SWAP, "134217728", "67108864");
    s.stop();
}

fn memory_swap_below_limit(s: &mut Sandbox) {
    limited(s, "memory", json!({"limit": 64 << 20, "swap": 32 << 20}));
    s.run().fails_somehow().exits(1);
}

fn memory_reservation(s: &mut Sandbox) {
    need("memory");
    check(
        s,
        "memory.reservation",
        32 << 20,
        &RESERVATION,
        ["33554432"; 2],
    );
}

fn memory_swappiness(s: &mut Sandbox) {
    need_v1("memory");
    limited(s, "memory.swappiness", 17);
    s.start_waiting();
    assert_eq!(s.cgroup_file("memory", "memory.swappiness"), "17");
    s.stop();
}

fn memory_disable_oom_killer(s: &mut Sandbox) {
    need_v1("memory");
    limited(
        s,
        "memory",
        json!({"limit": 64 << 20, "disableOOMKiller": true}),
    );
    s.start_waiting();
    let text = s.cgroup_file("memory", "memory.oom_control");
    assert!(text.contains("oom_kill_disable 1"), "{text}");
    s.stop();
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
    need("memory");
    limited(s, "memory", json!({"limit": -1, "swap": -1}));
    s.start_waiting();
    s.expect_unlimited(&MEMORY);
    s.stop();
}

fn memory_limit_kills(s: &mut Sandbox) {
    need("memory");
    limited(s, "memory", json!({"limit": 16 << 20, "swap": 16 << 20}));
    let probe = format!("child:memory:{}", 64 << 20);
    let report = s.inspect(&[&probe]);
    assert_eq!(report.probe(&probe)["signal"], 9);
}

fn cpu_shares(s: &mut Sandbox) {
    need("cpu");
    check(s, "cpu.shares", 321, &SHARES, ["321", "41"]);
}

fn cpu_quota_period(s: &mut Sandbox) {
    need("cpu");
    limited(s, "cpu", json!({"quota": 20_000, "period": 50_000}));
    s.start_waiting();
    expect_quota(s, "20000", "50000");
    s.stop();
}

fn cpu_burst(s: &mut Sandbox) {
    need("cpu");
    need_kernel(5, 14);
    let cpu = json!({"quota": 50_000, "period": 100_000, "burst": 10_000});
    check(s, "cpu", cpu, &BURST, ["10000"; 2]);
}

fn cpu_idle(s: &mut Sandbox) {
    need("cpu");
    need_kernel(5, 15);
    check(s, "cpu.idle", 1, &IDLE, ["1"; 2]);
}

fn cpu_realtime(s: &mut Sandbox) {
    need_v1("cpu");
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
    need("pids");
    check(s, "pids.limit", 1000, &PIDS, ["1000"; 2]);
}

fn pids_limit_minus_one(s: &mut Sandbox) {
    need("pids");
    check(s, "pids.limit", -1, &PIDS, ["max"; 2]);
}

fn pids_limit_zero(s: &mut Sandbox) {
    need("pids");
    limited(s, "pids.limit", 0);
    s.start_waiting();
    // Zero sets nothing: what systemd gives every scope stays.
    if !s.environment.systemd {
        s.expect_limit(&PIDS, "max");
    }
    assert_ne!(s.limit(&PIDS), "0");
    s.stop();
}

fn pids_limit_holds(s: &mut Sandbox) {
    need("pids");
    limited(s, "pids.limit", 20);
    let report = s.inspect(&["fork:50"]);
    assert_eq!(report.errno("fork:50"), crate::inspect::EAGAIN);
    assert_eq!(report.probe("fork:50")["value"], 19);
}

fn blkio_throttle(s: &mut Sandbox) {
    need(if is_v2() { "io" } else { "blkio" });
    let (major, minor) = block_device();
    let rate = |value: u64| json!([{"major": major, "minor": minor, "rate": value}]);
    limited(
        s,
        "blockIO",
        json!({"throttleReadBpsDevice": rate(1_000_001), "throttleWriteBpsDevice": rate(1_000_002),
               "throttleReadIOPSDevice": rate(1003), "throttleWriteIOPSDevice": rate(1004)}),
    );
    s.start_waiting();
    if is_v2() {
        let text = format!("{major}:{minor} rbps=1000001 wbps=1000002 riops=1003 wiops=1004");
        assert_eq!(s.cgroup_file("io", "io.max"), text);
        s.stop();
        return;
    }
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
    need(if is_v2() { "io" } else { "blkio" });
    limited(s, "blockIO.weight", 300);
    s.start_waiting();
    // v2's own weight reaches from 1 to 10,000, the others' from 10 to 1,000.
    let files = [
        ("io.bfq.weight", "300"),
        ("io.weight", "2930"),
        ("blkio.weight", "300"),
        ("blkio.bfq.weight", "300"),
    ];
    let found = files
        .into_iter()
        .find(|(name, _)| s.cgroup("blkio").join(name).exists());
    if let Some((file, weight)) = found {
        let text = s.cgroup_file("blkio", file);
        assert_eq!(text.rsplit(' ').next(), Some(weight), "{file}: {text}");
    }
    s.stop();
}

fn hugetlb(s: &mut Sandbox) {
    need("hugetlb");
    let limits = json!([{"pageSize": "2MB", "limit": 4 << 20}]);
    check(s, "hugepageLimits", limits, &HUGE_PAGES, ["4194304"; 2]);
}

fn net_cls(s: &mut Sandbox) {
    need_v1("net_cls");
    limited(s, "network.classID", 0x100_001);
    s.start_waiting();
    assert_eq!(
        s.cgroup_file("net_cls", "net_cls.classid"),
        (0x100_001).to_string()
    );
    s.stop();
}

fn net_prio(s: &mut Sandbox) {
    need_v1("net_prio");
    limited(
        s,
        "network.priorities",
        json!([{"name": "lo", "priority": 5}]),
    );
    s.start_waiting();
    let text = s.cgroup_file("net_prio", "net_prio.ifpriomap");
    assert!(text.contains("lo 5"), "{text}");
    s.stop();
}

fn unified_on_v1(s: &mut Sandbox) {
    need_v1("memory");
    limited(s, "unified", json!({"memory.high": "1000000"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("unified"), "{}", output.stderr);
}

fn unified_on_v2(s: &mut Sandbox) {
    if !is_v2() {
        skip("cgroup v1 is mounted");
    }
    limited(
        s,
        "unified",
        json!({"memory.high": "67108864", "pids.max": "33"}),
    );
    s.start_waiting();
    assert_eq!(s.cgroup_file("memory", "memory.high"), "67108864");
    assert_eq!(s.cgroup_file("pids", "pids.max"), "33");
    s.stop();
    limited(s, "unified", json!({"memory.hihg": "1"}));
    let output = s.run().fails_somehow().exits(1);
    assert!(output.stderr.contains("memory.hihg"), "{}", output.stderr);
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

/// Controllers that no hierarchy of this machine offers: v1's mounts are seen by their files, v2's in `cgroup.controllers`.
fn controllers_absent_are_named(s: &mut Sandbox) {
    let unified = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(|mount| std::fs::read_to_string(format!("{mount}/cgroup.controllers")));
    let has = |controller: &str| {
        let on_v2 = |text: &String| text.split_whitespace().any(|name| name == controller);
        Path::new("/sys/fs/cgroup").join(controller).exists() || unified.iter().flatten().any(on_v2)
    };
    let mut asked = 0;
    for (controller, key, value) in [
        (
            "hugetlb",
            "hugepageLimits",
            json!([{"pageSize": "2MB", "limit": 4 << 20}]),
        ),
        (
            "rdma",
            "rdma",
            json!({"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10_000}}),
        ),
        ("net_cls", "network", json!({"classID": 0x10_0001})),
    ] {
        let on_v1_only =
            controller == "net_cls" && Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        if has(controller) || on_v1_only {
            continue;
        }
        asked += 1;
        s.spec.set("linux.resources", json!({}));
        limited(s, key, value);
        let output = s.run().fails_somehow().exits(1);
        assert!(output.stderr.contains(controller), "{}", output.stderr);
        assert!(
            !output.stderr.contains("no such file or directory"),
            "{}",
            output.stderr
        );
    }
    if asked == 0 {
        skip("every controller is here");
    }
}

fn no_group_after_failed_create(s: &mut Sandbox) {
    limited(s, "cpu.cpus", "4000");
    s.create_call(&[]).run().fails_somehow();
    let left = crate::leaks::cgroups(&s.id);
    assert!(left.is_empty(), "{left:?}");
}
