//! On this kernel's cgroup v2 mount, as root: the v2 driver, device programs, hybrid mode.
mod common;

use common::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use tare_cgroup::{Cgroup, Decision, Executor, Layout, Mode};
use tare_oci::Resources;

#[test]
fn the_v2_driver_on_the_unified_mount() {
    let name = Name::new();
    let layout = unified_only();
    let decision = decision(
        &layout,
        &format!("{}/x", name.0),
        &resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#),
    );
    assert!(decision.into_fd);
    let executor = prepare(&decision);
    assert!(executor.directory().unwrap().as_raw_fd() > 2);
    let mut program = Program::start("read line; sleep 1000 & sleep 1000 & wait");
    let cgroup = place(executor, &decision, program.pid());
    program.go();
    wait_for(|| cgroup.pids().unwrap().len() == 3);
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    cgroup.thaw().unwrap();
    let stats = cgroup.stats().unwrap();
    assert!(stats.cpu.usage.total > 0, "{stats:?}");
    assert!(stats.cpu.psi.is_some(), "{stats:?}");
    assert!(cgroup.directory(&BTreeMap::new()).unwrap().is_some());
    assert_eq!(cgroup.kill(9).unwrap(), 3);
    program.status();
    cgroup.destroy().unwrap();
    assert!(!cgroup.exists());
}

/// 0 if each device opens, else the shell's status.
fn open_device(executor: Executor, decision: &Decision, device: &str) -> (bool, Cgroup) {
    let mut program = Program::start(&format!("read line; exec 3<{device}"));
    let cgroup = place(executor, decision, program.pid());
    program.go();
    (program.status().success(), cgroup)
}

#[test]
fn device_rules_hold_on_v1_and_on_v2() {
    let name = Name::new();
    // /dev/full is among the default devices, /dev/kmsg (1:11) isn't.
    for layout in [Layout::detect().unwrap(), unified_only()] {
        let decision = decision(
            &layout,
            &name.0,
            &resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#),
        );
        let (opened, cgroup) = open_device(prepare(&decision), &decision, "/dev/kmsg");
        assert!(!opened, "{:?}", layout.mode);
        cgroup.destroy().unwrap();
        let (opened, cgroup) = open_device(prepare(&decision), &decision, "/dev/full");
        assert!(opened, "{:?}", layout.mode);
        cgroup.destroy().unwrap();
        let allow = r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"r"}]}"#;
        let decision = self::decision(&layout, &name.0, &resources(allow));
        let (opened, cgroup) = open_device(prepare(&decision), &decision, "/dev/kmsg");
        assert!(opened, "{:?}", layout.mode);
        cgroup.destroy().unwrap();
    }
}

#[test]
fn a_second_set_of_device_rules_replaces_the_first() {
    let name = Name::new();
    let decision = decision(
        &unified_only(),
        &name.0,
        &resources(r#"{"devices":[{"allow":false,"access":"rwm"}]}"#),
    );
    let mut executor = prepare(&decision);
    let devices = decision.prepare.last().unwrap();
    for _ in 0..3 {
        executor.run(devices, None).unwrap();
    }
    let mut ids = [0; 64];
    let directory = tare_sys::Fd::new(executor.directory().unwrap().as_raw_fd());
    assert_eq!(
        tare_sys::bpf::cgroup_devices(directory, &mut ids).unwrap(),
        1
    );
}

#[test]
fn hybrid_limits_huge_pages_through_v2() {
    let name = Name::new();
    let layout = Layout::detect().unwrap();
    if layout.mode != Mode::Hybrid || !layout.unified_has("hugetlb") {
        println!("skipped: this host isn't hybrid with hugetlb on cgroup v2");
        return;
    }
    let decision = decision(
        &layout,
        &format!("{}/x", name.0),
        &resources(r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}"#),
    );
    let program = Program::start("read line");
    let cgroup = place(prepare(&decision), &decision, program.pid());
    assert_eq!(read(&cgroup, "", "hugetlb.2MB.max"), "4194304");
    assert_eq!(read(&cgroup, "", "hugetlb.2MB.rsvd.max"), "4194304");
    assert!(cgroup.saved().paths.contains_key("memory"));
    assert!(cgroup.stats().unwrap().hugetlb.contains_key("2MB"));
    cgroup
        .update(&resources(
            r#"{"hugepageLimits":[{"pageSize":"2MB","limit":2097152}]}"#,
        ))
        .unwrap();
    assert_eq!(read(&cgroup, "", "hugetlb.2MB.max"), "2097152");
    drop(program);
    cgroup.destroy().unwrap();
}

#[test]
fn a_v2_cgroup_that_became_an_inner_one_takes_exec_beside_init() {
    let name = Name::new();
    let layout = unified_only();
    let decision = decision(&layout, &name.0, &Resources::default());
    let init = Program::start("read line");
    let cgroup = place(prepare(&decision), &decision, init.pid());
    let top = &decision.paths[""];
    fs::create_dir(format!("{top}/init")).unwrap();
    fs::write(format!("{top}/init/cgroup.procs"), init.pid().to_string()).unwrap();
    let controllers = fs::read_to_string(format!("{top}/cgroup.controllers")).unwrap();
    let Some(controller) = controllers.split_whitespace().next() else {
        println!("skipped: this host's cgroup v2 has no controller to enable");
        return;
    };
    fs::write(
        format!("{top}/cgroup.subtree_control"),
        format!("+{controller}"),
    )
    .unwrap();
    let program = Program::start("read line");
    let error = cgroup
        .join(program.pid(), &BTreeMap::new(), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("EBUSY; the cgroup has controllers enabled for children"),
        "{error}"
    );
    cgroup
        .join(program.pid(), &BTreeMap::new(), Some(init.pid()))
        .unwrap();
    assert!(
        fs::read_to_string(format!("{top}/init/cgroup.procs"))
            .unwrap()
            .contains(&program.pid().to_string())
    );
    let exec = cgroup
        .exec_directory(&BTreeMap::new(), init.pid())
        .unwrap()
        .unwrap();
    let there = fs::read_link(format!("/proc/self/fd/{}", exec.as_raw_fd())).unwrap();
    assert!(there.ends_with("init"), "{there:?}");
    drop((init, program));
    cgroup.destroy().unwrap();
}
