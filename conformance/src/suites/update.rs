//! update: by flags, by file, on stdin.
use super::cgroups::limited;
use crate::case::cases;
use crate::limits::{
    CPUS, MEMORY, PIDS, RESERVATION, SHARES, SWAP, is_v2, need, need_swap_limit, need_v1,
};
use crate::sandbox::{Container, Sandbox};
use serde_json::json;
use std::fs;

cases!("update":
    by_flags, resources_on_stdin, resources_file, memory_up_and_down, cpu_values, cpuset_values, pids_value, unlimited,
    bad_value_keeps_the_old, of_a_stopped_one, of_an_absent_one, broken_json, ignored_kernel_memory, blkio_weight_flag,
    keeps_device_rules, of_a_created_one, of_a_paused_one,
);

fn update(s: &Container, flags: &[&str]) -> crate::runtime::Output {
    s.call(&[&["update"], flags, &[s.id.as_str()]].concat())
        .run()
}

/// The quota and the period, as both versions show them.
#[track_caller]
pub(super) fn expect_quota(s: &Container, quota: &str, period: &str) {
    if is_v2() {
        assert_eq!(s.cgroup_file("cpu", "cpu.max"), format!("{quota} {period}"));
    } else {
        assert_eq!(s.cgroup_file("cpu", "cpu.cfs_quota_us"), quota);
        assert_eq!(s.cgroup_file("cpu", "cpu.cfs_period_us"), period);
    }
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
    s.expect_limit(&MEMORY, 33_554_432);
    s.expect_limit(&RESERVATION, 16_777_216);
    s.expect_limit(&PIDS, 77);
    s.expect_limits(&SHARES, "222", "31");
    s.stop();
}

fn resources_on_stdin(s: &mut Sandbox) {
    need("memory");
    s.start_waiting();
    let text = json!({"memory": {"limit": 50 << 20}, "cpu": {"shares": 99}, "pids": {"limit": 55}})
        .to_string();
    for arguments in [
        ["update", "--resources=-", s.id.as_str()].as_slice(),
        &["update", "-r", "-", s.id.as_str()],
    ] {
        s.call(arguments).stdin(&text).run().ok();
    }
    s.expect_limit(&MEMORY, 50 << 20);
    s.expect_limits(&SHARES, "99", "17");
    s.expect_limit(&PIDS, 55);
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
    expect_quota(s, "30000", "60000");
    s.stop();
}

fn memory_up_and_down(s: &mut Sandbox) {
    need_swap_limit();
    limited(s, "memory", json!({"limit": 64 << 20, "swap": 64 << 20}));
    s.start_waiting();
    // The order of the two writes differs by direction.
    for size in [256_u64 << 20, 32 << 20] {
        let text = size.to_string();
        update(s, &["--memory", &text, "--memory-swap", &text]).ok();
        s.expect_limit(&MEMORY, size);
        // v2 counts swap alone.
        s.expect_limits(&SWAP, &text, "0");
    }
    s.stop();
}

fn cpu_values(s: &mut Sandbox) {
    need("cpu");
    s.start_waiting();
    update(s, &["--cpu-period", "100000", "--cpu-quota", "40000"]).ok();
    expect_quota(s, "40000", "100000");
    update(s, &["--cpu-quota", "-1"]).ok();
    expect_quota(s, if is_v2() { "max" } else { "-1" }, "100000");
    s.stop();
}

fn cpuset_values(s: &mut Sandbox) {
    need("cpuset");
    s.start_waiting();
    update(s, &["--cpuset-cpus", "0", "--cpuset-mems", "0"]).ok();
    s.expect_limit(&CPUS, 0);
    s.stop();
}

fn pids_value(s: &mut Sandbox) {
    need("pids");
    s.start_waiting();
    update(s, &["--pids-limit", "10"]).ok();
    s.expect_limit(&PIDS, 10);
    update(s, &["--pids-limit", "-1"]).ok();
    s.expect_limit(&PIDS, "max");
    s.stop();
}

fn unlimited(s: &mut Sandbox) {
    need("memory");
    limited(s, "memory.limit", 64 << 20);
    s.start_waiting();
    update(s, &["--memory", "-1", "--memory-swap", "-1"]).ok();
    s.expect_unlimited(&MEMORY);
    s.stop();
}

fn bad_value_keeps_the_old(s: &mut Sandbox) {
    need("memory");
    limited(s, "memory.limit", 64 << 20);
    s.start_waiting();
    assert_eq!(update(s, &["--memory", "lots"]).code, 1);
    assert_eq!(update(s, &["--cpuset-cpus", "9999"]).code, 1);
    s.expect_limit(&MEMORY, 64 << 20);
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
    need(if is_v2() { "io" } else { "blkio" });
    s.start_waiting();
    update(s, &["--blkio-weight", "200"]).ok();
    s.stop();
}

fn keeps_device_rules(s: &mut Sandbox) {
    need_v1("devices");
    s.spec.set(
        "linux.resources.devices",
        json!([{"allow": false, "access": "rwm"}]),
    );
    s.start_waiting();
    let rules = |s: &Sandbox| {
        let list = s.cgroup_file("devices", "devices.list");
        let mut rules: Vec<String> = list.lines().map(str::to_owned).collect();
        // systemd writes them anew, in an order of its own.
        rules.sort();
        rules
    };
    let before = rules(s);
    update(s, &["--pids-limit", "33"]).ok();
    assert_eq!(rules(s), before);
    s.stop();
}

fn of_a_created_one(s: &mut Sandbox) {
    need("pids");
    s.create();
    update(s, &["--pids-limit", "44"]).ok();
    s.expect_limit(&PIDS, 44);
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
