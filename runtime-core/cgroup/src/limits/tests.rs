//! Tables: resources as JSON against the writes on v1 and on v2.
use super::*;

const V1: &str = "\
1 0 0:1 / /sys/fs/cgroup/cpuset rw - cgroup c rw,cpuset\n\
2 0 0:2 / /sys/fs/cgroup/memory rw - cgroup c rw,memory\n\
3 0 0:3 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup c rw,cpu,cpuacct\n\
4 0 0:4 / /sys/fs/cgroup/pids rw - cgroup c rw,pids\n\
5 0 0:5 / /sys/fs/cgroup/blkio rw - cgroup c rw,blkio\n\
6 0 0:6 / /sys/fs/cgroup/hugetlb rw - cgroup c rw,hugetlb\n\
7 0 0:7 / /sys/fs/cgroup/net rw - cgroup c rw,net_cls,net_prio\n\
8 0 0:8 / /sys/fs/cgroup/rdma rw - cgroup c rw,rdma\n";
const V2: &str = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n";
const ALL: &str = "cpuset cpu io memory hugetlb pids rdma";

fn v1() -> Layout {
    Layout::parse(V1, "", "", false)
}

fn v2() -> Layout {
    Layout::parse(V2, "", ALL, false)
}

/// `LABEL FILE VALUE` a line, with `!` lines for skips; a refusal is its text.
fn write(layout: &Layout, json: &str, current: &Current) -> String {
    let resources: Resources = serde_json::from_str(json).unwrap();
    let limits = match settings(layout, &resources, current) {
        Ok(limits) => limits,
        Err(refusal) => return refusal.to_string(),
    };
    let mut lines = Vec::new();
    for (label, settings) in &limits.settings {
        lines.extend(settings.iter().map(|setting| {
            format!(
                "{label} {setting}{}",
                if setting.again { " again" } else { "" }
            )
        }));
    }
    lines.extend(limits.skips.iter().map(|skip| format!("! {}", skip.what)));
    lines.join("\n").trim_start().replace("\n ", "\n")
}

fn check(layout: &Layout, json: &str, expect: &str) {
    assert_eq!(write(layout, json, &Current::default()), expect, "{json}");
}

fn check_current(layout: &Layout, json: &str, current: Current, expect: &str) {
    assert_eq!(write(layout, json, &current), expect, "{json} {current:?}");
}

#[test]
fn nothing_asked_writes_nothing() {
    for json in [
        "{}",
        r#"{"memory":{},"cpu":{},"pids":{},"blockIO":{},"network":{}}"#,
        r#"{"memory":{"limit":0,"swap":0,"disableOOMKiller":false},"cpu":{"shares":0,"quota":0,"period":0},"pids":{"limit":0},"blockIO":{"weight":0},"network":{"classID":0}}"#,
    ] {
        check(&v1(), json, "");
        check(&v2(), json, "");
        assert_eq!(first_asked(&serde_json::from_str(json).unwrap()), None);
    }
}

#[test]
fn memory_on_v1() {
    let v1 = v1();
    check(
        &v1,
        r#"{"memory":{"limit":100,"swap":200}}"#,
        "memory memory.limit_in_bytes 100\nmemory memory.memsw.limit_in_bytes 200",
    );
    check(
        &v1,
        r#"{"memory":{"limit":100}}"#,
        "memory memory.limit_in_bytes 100",
    );
    check(
        &v1,
        r#"{"memory":{"limit":-1}}"#,
        "memory memory.memsw.limit_in_bytes -1 if present\nmemory memory.limit_in_bytes -1",
    );
    check(
        &v1,
        r#"{"memory":{"limit":100,"swap":-1}}"#,
        "memory memory.memsw.limit_in_bytes -1 if present\nmemory memory.limit_in_bytes 100",
    );
    check(
        &v1,
        r#"{"memory":{"limit":100,"swap":50}}"#,
        "linux.resources.memory.swap: memory+swap limit should be >= memory limit (50 < 100): it is the sum of both",
    );
    check(
        &v1,
        r#"{"memory":{"limit":-2}}"#,
        "linux.resources.memory.limit: -2 is no size in bytes; -1 is no limit",
    );
    check(
        &v1,
        r#"{"memory":{"reservation":5,"disableOOMKiller":true,"swappiness":0,"useHierarchy":true,"kernel":7,"kernelTCP":8}}"#,
        "memory memory.soft_limit_in_bytes 5\nmemory memory.oom_control 1\nmemory memory.swappiness 0\n\
         ! linux.resources.memory.kernel\n! linux.resources.memory.kernelTCP\n! linux.resources.memory.useHierarchy",
    );
    check(
        &v1,
        r#"{"memory":{"swappiness":101}}"#,
        "linux.resources.memory.swappiness: invalid memory swappiness value: 101 (valid range is 0-100)",
    );
}

#[test]
fn the_order_of_memory_and_swap_follows_what_is_in_force() {
    let both = r#"{"memory":{"limit":100,"swap":200}}"#;
    let (memory, swap) = (
        "memory memory.limit_in_bytes 100",
        "memory memory.memsw.limit_in_bytes 200",
    );
    let now = |limit| Current {
        memory_limit: limit,
        ..Current::default()
    };
    check_current(&v1(), both, now(Some(50)), &format!("{swap}\n{memory}"));
    check_current(&v1(), both, now(Some(500)), &format!("{memory}\n{swap}"));
    check_current(&v1(), both, now(None), &format!("{memory}\n{swap}"));
}

#[test]
fn memory_on_v2() {
    let v2 = v2();
    check(
        &v2,
        r#"{"memory":{"limit":100,"swap":300,"reservation":50}}"#,
        "memory.swap.max 200\nmemory.max 100\nmemory.low 50",
    );
    check(
        &v2,
        r#"{"memory":{"limit":100,"swap":100}}"#,
        "memory.swap.max 0 if present\nmemory.max 100",
    );
    check(
        &v2,
        r#"{"memory":{"limit":-1}}"#,
        "memory.swap.max max if present\nmemory.max max",
    );
    check(
        &v2,
        r#"{"memory":{"limit":-1,"swap":70}}"#,
        "memory.swap.max 70\nmemory.max max",
    );
    check(
        &v2,
        r#"{"memory":{"limit":100,"swap":-1}}"#,
        "memory.swap.max max if present\nmemory.max 100",
    );
    check(
        &v2,
        r#"{"memory":{"swap":70}}"#,
        "linux.resources.memory.swap: unable to set swap limit without memory limit: cgroup v2 counts swap alone",
    );
    check(
        &v2,
        r#"{"memory":{"swappiness":1,"disableOOMKiller":true}}"#,
        "! linux.resources.memory.disableOOMKiller\n! linux.resources.memory.swappiness",
    );
    let now = Current {
        memory_limit: Some(60),
        memory_usage: 40,
        ..Current::default()
    };
    check_current(
        &v2,
        r#"{"memory":{"swap":70}}"#,
        now.clone(),
        "memory.swap.max 10",
    );
    check_current(
        &v2,
        r#"{"memory":{"swap":50}}"#,
        now.clone(),
        "linux.resources.memory.swap: memory+swap limit should be >= memory limit (50 < 60): it is the sum of both",
    );
    check_current(
        &v2,
        r#"{"memory":{"limit":30,"checkBeforeUpdate":true}}"#,
        now.clone(),
        "linux.resources.memory.limit: rejecting memory limit 30 < usage 40",
    );
    check_current(&v2, r#"{"memory":{"limit":30}}"#, now, "memory.max 30");
}

#[test]
fn cpu_on_v1() {
    let v1 = v1();
    check(
        &v1,
        r#"{"cpu":{"shares":512,"quota":5,"period":6,"burst":7,"realtimePeriod":8,"realtimeRuntime":9,"idle":0,"cpus":"0-1","mems":"0"}}"#,
        "cpuset cpuset.cpus 0-1\ncpuset cpuset.mems 0\ncpu cpu.rt_period_us 8 again\ncpu cpu.rt_runtime_us 9\ncpu cpu.idle 0\ncpu cpu.shares 512\n\
         cpu cpu.cfs_period_us 6 again\ncpu cpu.cfs_burst_us 7 if present again\ncpu cpu.cfs_quota_us 5",
    );
    check(&v1, r#"{"cpu":{"quota":-5}}"#, "cpu cpu.cfs_quota_us -1");
    check(
        &v1,
        r#"{"cpu":{"shares":1}}"#,
        "linux.resources.cpu.shares: the minimum allowed cpu-shares is 2",
    );
    check(
        &v1,
        r#"{"cpu":{"shares":262145}}"#,
        "linux.resources.cpu.shares: the maximum allowed cpu-shares is 262144",
    );
    check(
        &v1,
        r#"{"cpu":{"shares":5,"idle":1}}"#,
        "cpu cpu.idle 1\n! linux.resources.cpu.shares",
    );
    check(
        &v1,
        r#"{"cpu":{"idle":2}}"#,
        "linux.resources.cpu.idle: 2 is neither 0 nor 1",
    );
}

#[test]
fn cpu_on_v2() {
    let v2 = v2();
    check(
        &v2,
        r#"{"cpu":{"shares":1024,"quota":5000,"period":10000,"cpus":"1"}}"#,
        "cpuset.cpus 1\ncpu.weight 100\ncpu.max 5000 10000",
    );
    check(
        &v2,
        r#"{"cpu":{"quota":5000,"burst":7}}"#,
        "cpu.max.burst 7 again\ncpu.max 5000 100000",
    );
    check(&v2, r#"{"cpu":{"quota":-1}}"#, "cpu.max max 100000");
    check(&v2, r#"{"cpu":{"period":20000}}"#, "cpu.max max 20000");
    check(
        &v2,
        r#"{"cpu":{"realtimePeriod":8,"realtimeRuntime":9}}"#,
        "! linux.resources.cpu.realtimePeriod\n! linux.resources.cpu.realtimeRuntime",
    );
    let now = Current {
        cpu_quota: Some(7000),
        cpu_period: Some(50000),
        ..Current::default()
    };
    check_current(
        &v2,
        r#"{"cpu":{"period":20000}}"#,
        now.clone(),
        "cpu.max 7000 20000",
    );
    check_current(
        &v2,
        r#"{"cpu":{"quota":9000}}"#,
        now.clone(),
        "cpu.max 9000 50000",
    );
    check_current(&v2, r#"{"cpu":{"quota":-1}}"#, now, "cpu.max max 50000");
}

#[test]
fn weights() {
    for (shares, weight) in [
        (0, 0),
        (1, 1),
        (2, 1),
        (1024, 100),
        (262_144, 10_000),
        (u64::MAX, 10_000),
        (3, 2),
        (512, 59),
        (2048, 174),
        (100, 17),
        (200_000, 7899),
        (262_143, 10_000),
    ] {
        assert_eq!(cpu_weight(shares), weight, "{shares}");
    }
    assert_eq!([10, 500, 1000].map(io::converted), [1, 4950, 10_000]);
    assert!((3..262_144).is_sorted_by_key(cpu_weight));
}

#[test]
fn block_io() {
    let json = r#"{"blockIO":{"weight":500,"leafWeight":10,"weightDevice":[{"major":8,"minor":0,"weight":20,"leafWeight":30}],
        "throttleReadBpsDevice":[{"major":8,"minor":1,"rate":1}],"throttleWriteBpsDevice":[{"major":8,"minor":2,"rate":2}],
        "throttleReadIOPSDevice":[{"major":8,"minor":3,"rate":3}],"throttleWriteIOPSDevice":[{"major":8,"minor":4,"rate":0}]}}"#;
    check(
        &v1(),
        json,
        "blkio blkio.weight 500 or else blkio.bfq.weight 500\nblkio blkio.leaf_weight 10\n\
         blkio blkio.weight_device 8:0 20 or else blkio.bfq.weight_device 8:0 20\nblkio blkio.leaf_weight_device 8:0 30\n\
         blkio blkio.throttle.read_bps_device 8:1 1\nblkio blkio.throttle.write_bps_device 8:2 2\n\
         blkio blkio.throttle.read_iops_device 8:3 3\nblkio blkio.throttle.write_iops_device 8:4 0",
    );
    check(
        &v2(),
        json,
        "io.bfq.weight 500 or else io.weight 4950\nio.bfq.weight 8:0 20 or else io.weight 8:0 102\n\
         io.max 8:1 rbps=1\nio.max 8:2 wbps=2\nio.max 8:3 riops=3\nio.max 8:4 wiops=max\n! linux.resources.blockIO.leafWeight",
    );
    check(
        &v2(),
        r#"{"blockIO":{"weight":5}}"#,
        "linux.resources.blockIO.weight: 5 is outside of 10 to 1000",
    );
    check(
        &v1(),
        r#"{"blockIO":{"throttleReadBpsDevice":[{"major":-1,"minor":0,"rate":1}]}}"#,
        "linux.resources.blockIO.throttleReadBpsDevice[0]: -1:0 is no device number",
    );
}

#[test]
fn the_small_ones() {
    check(&v1(), r#"{"pids":{"limit":-1}}"#, "pids pids.max max");
    check(&v2(), r#"{"pids":{"limit":7}}"#, "pids.max 7");
    let huge = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#;
    check(
        &v1(),
        huge,
        "hugetlb hugetlb.2MB.limit_in_bytes 4194304\nhugetlb hugetlb.2MB.rsvd.limit_in_bytes 4194304 if present",
    );
    check(
        &v2(),
        huge,
        "hugetlb.2MB.max 4194304\nhugetlb.2MB.rsvd.max 4194304 if present",
    );
    for size in ["", "MB", "2", "02MB", "2 MB", "../x", "2MBMB", "-2MB"] {
        let text = write(
            &v2(),
            &format!(r#"{{"hugepageLimits":[{{"pageSize":"{size}","limit":1}}]}}"#),
            &Current::default(),
        );
        assert!(
            text.starts_with("linux.resources.hugepageLimits[0].pageSize: "),
            "{size}: {text}"
        );
    }
    let network = r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}"#;
    check(
        &v1(),
        network,
        "net_cls net_cls.classid 1048577\nnet_cls net_prio.ifpriomap eth0 5",
    );
    check(
        &v2(),
        network,
        "! linux.resources.network.classID\n! linux.resources.network.priorities",
    );
    let rdma = r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaHandles":1},"x":{}}}"#;
    check(
        &v1(),
        rdma,
        "rdma rdma.max mlx4_0 hca_handle=1\nrdma rdma.max mlx5_1 hca_handle=3 hca_object=10000",
    );
    check(
        &v2(),
        rdma,
        "rdma.max mlx4_0 hca_handle=1\nrdma.max mlx5_1 hca_handle=3 hca_object=10000",
    );
}

#[test]
fn unified_files() {
    check(
        &v2(),
        r#"{"unified":{"memory.high":"1000","io.max":"8:0 rbps=1\n8:16 rbps=2\n"}}"#,
        "io.max 8:0 rbps=1\nio.max 8:16 rbps=2\nmemory.high 1000",
    );
    check(
        &v2(),
        r#"{"unified":{"cgroup.max.depth":"3"}}"#,
        "cgroup.max.depth 3",
    );
    check(
        &v2(),
        r#"{"unified":{"misc.max":"3"}}"#,
        "linux.resources.unified[\"misc.max\"]: can't be set: controller \"misc\" not available",
    );
    check(
        &v2(),
        r#"{"unified":{"memory":"3"}}"#,
        "linux.resources.unified[\"memory\"]: must be in the form CONTROLLER.PARAMETER",
    );
    check(
        &v2(),
        r#"{"unified":{"memory.x/../y":"3"}}"#,
        "linux.resources.unified[\"memory.x/../y\"]: must be a file name (no slashes)",
    );
    check(
        &v1(),
        r#"{"unified":{"memory.high":"3"}}"#,
        "linux.resources.unified[\"memory.high\"]: cannot use unified resources on cgroup v1: that file exists on cgroup v2 only",
    );
}

#[test]
fn a_controller_that_is_not_there() {
    let v1 = Layout::parse("2 0 0:2 / /m rw - cgroup c rw,memory\n", "", "", false);
    let v2 = Layout::parse(V2, "", "memory", false);
    let pids = r#"{"pids":{"limit":7}}"#;
    check(
        &v1,
        pids,
        "linux.resources.pids.limit: the controller pids isn't mounted; enable it in the kernel or leave the value out",
    );
    check(
        &v2,
        pids,
        "linux.resources.pids.limit: the controller pids isn't offered by /sys/fs/cgroup/cgroup.controllers; enable it in the kernel or leave the value out",
    );
}

#[test]
fn hybrid_takes_each_controller_where_it_is() {
    let hybrid = Layout::parse(
        &format!("2 0 0:2 / /m rw - cgroup c rw,memory\n{V2}"),
        "",
        "hugetlb pids",
        false,
    );
    let json = r#"{"memory":{"limit":9},"hugepageLimits":[{"pageSize":"2MB","limit":0}],"unified":{"pids.max":"5"}}"#;
    check(
        &hybrid,
        json,
        "memory memory.limit_in_bytes 9\nhugetlb.2MB.max 0\nhugetlb.2MB.rsvd.max 0 if present\npids.max 5",
    );
    let needs = hybrid_needs(&hybrid, &serde_json::from_str(json).unwrap()).unwrap();
    assert_eq!(needs.into_iter().collect::<Vec<_>>(), ["hugetlb", "pids"]);
    check(
        &hybrid,
        r#"{"unified":{"memory.high":"5"}}"#,
        "linux.resources.unified[\"memory.high\"]: cannot use unified resources on cgroup v1: that file exists on cgroup v2 only",
    );
}

#[test]
fn what_is_asked_first() {
    for (json, expect) in [
        (r#"{"devices":[{"allow":false}]}"#, None),
        (r#"{"memory":{"kernel":5}}"#, None),
        (
            r#"{"pids":{"limit":5}}"#,
            Some("linux.resources.pids.limit"),
        ),
        (
            r#"{"memory":{"limit":-7}}"#,
            Some("linux.resources.memory.limit"),
        ),
        (
            r#"{"unified":{"a.b":"1"}}"#,
            Some("linux.resources.unified[\"a.b\"]"),
        ),
    ] {
        assert_eq!(
            first_asked(&serde_json::from_str(json).unwrap()).as_deref(),
            expect,
            "{json}"
        );
    }
}
