//! Goldens: layout and request against the steps as `trun plan` shows them.
use super::*;
use crate::devices::tests::{DOCKER, rules};

const DOCKER_HYBRID: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
36 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n\
37 31 0:34 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n\
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
const V2: &str = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 c rw\n";

fn hybrid() -> Layout {
    Layout::parse(
        DOCKER_HYBRID,
        "4:memory:/own/here\n0::/\n",
        "hugetlb",
        false,
    )
}

fn v2() -> Layout {
    Layout::parse(
        V2,
        "0::/user.slice/user-1000.slice/session-3.scope\n",
        "cpuset cpu io memory pids",
        true,
    )
}

fn docker() -> Resources {
    let json = r#"{"memory":{"limit":268435456,"swap":536870912},"cpu":{"quota":100000,"period":100000},"pids":{"limit":100}}"#;
    Resources {
        devices: rules(&DOCKER),
        ..serde_json::from_str(json).unwrap()
    }
}

fn text(decision: &Result<Decision, Refusal>) -> String {
    let decision = match decision {
        Ok(decision) => decision,
        Err(refusal) => return format!("refused: {refusal}"),
    };
    let mut lines: Vec<String> = decision.prepare.iter().map(Step::to_string).collect();
    lines.push(format!(
        "--- {}",
        if decision.into_fd { "into fd" } else { "place" }
    ));
    lines.extend(decision.place.iter().map(Step::to_string));
    lines.extend(
        decision
            .skips
            .iter()
            .map(|skip| format!("skip {}", skip.what)),
    );
    lines.join("\n")
}

fn check(layout: &Layout, request: Request<'_>, expect: &str) {
    assert_eq!(text(&decide(layout, &request)), expect);
}

#[test]
fn docker_on_hybrid() {
    let resources = docker();
    let request = Request {
        path: "/docker/x",
        id: "x",
        resources: Some(&resources),
        ..Request::default()
    };
    check(
        &hybrid(),
        request.clone(),
        "cgroup make /sys/fs/cgroup/cpu/docker/x\n\
         cgroup make /sys/fs/cgroup/cpuset/docker/x with its parent's cpus and mems\n\
         cgroup make /sys/fs/cgroup/memory/docker/x\n\
         cgroup make /sys/fs/cgroup/devices/docker/x\n\
         cgroup make /sys/fs/cgroup/freezer/docker/x\n\
         cgroup make /sys/fs/cgroup/pids/docker/x\n\
         cgroup make /sys/fs/cgroup/systemd/docker/x\n\
         cgroup write memory.limit_in_bytes 268435456, memory.memsw.limit_in_bytes 536870912\n\
         cgroup write cpu.cfs_period_us 100000, cpu.cfs_quota_us 100000\n\
         cgroup write pids.max 100\n\
         cgroup devices 13 rules\n\
         --- place\n\
         cgroup join cpu,cpuset,memory,devices,freezer,pids,name=systemd (tasks)",
    );
    let paths = decide(&hybrid(), &request).unwrap().paths;
    assert_eq!(paths["memory"], "/sys/fs/cgroup/memory/docker/x");
    assert!(!paths.contains_key(""));
}

#[test]
fn a_relative_path_is_below_the_own_cgroup_on_v1_and_beside_it_on_v2() {
    let path = |layout: &Layout, path, key: &str| {
        decide(
            layout,
            &Request {
                path,
                id: "c1",
                ..Request::default()
            },
        )
        .unwrap()
        .paths[key]
            .clone()
    };
    assert_eq!(
        path(&hybrid(), "", "memory"),
        "/sys/fs/cgroup/memory/own/here/c1"
    );
    assert_eq!(path(&hybrid(), "", "pids"), "/sys/fs/cgroup/pids/c1");
    assert_eq!(
        path(&hybrid(), "a/b", "memory"),
        "/sys/fs/cgroup/memory/own/here/a/b"
    );
    assert_eq!(
        path(&v2(), "", ""),
        "/sys/fs/cgroup/user.slice/user-1000.slice/c1"
    );
    assert_eq!(
        path(&Layout::parse(V2, "0::/\n", "", false), "", ""),
        "/sys/fs/cgroup/c1"
    );
    assert_eq!(
        path(&Layout::parse(V2, "0::/a\n", "", false), "", ""),
        "/sys/fs/cgroup/c1"
    );
}

#[test]
fn hybrid_uses_v2_only_for_what_v1_lacks() {
    let resources: Resources = serde_json::from_str(
        r#"{"hugepageLimits":[{"pageSize":"2MB","limit":0}],"devices":[{"allow":true}]}"#,
    )
    .unwrap();
    let decision = decide(
        &hybrid(),
        &Request {
            path: "/x",
            id: "x",
            resources: Some(&resources),
            ..Request::default()
        },
    )
    .unwrap();
    let lines = text(&Ok(decision.clone()));
    assert!(lines.contains("cgroup make /sys/fs/cgroup/unified/x enable hugetlb\ncgroup write hugetlb.2MB.max 0, hugetlb.2MB.rsvd.max 0 if present\n"), "{lines}");
    assert!(lines.ends_with("--- into fd\ncgroup join cpu,cpuset,memory,devices,freezer,pids,name=systemd (tasks)\ncgroup join unified"), "{lines}");
    assert_eq!(decision.place_after_clone_into().count(), 1);
}

#[test]
fn docker_on_v2() {
    let resources = docker();
    check(
        &v2(),
        Request {
            path: "/docker/x",
            id: "x",
            resources: Some(&resources),
            owner: Some(100_000),
            ..Request::default()
        },
        "cgroup make /sys/fs/cgroup/docker/x enable cpuset cpu io memory pids\n\
         cgroup own by uid 100000\n\
         cgroup write memory.swap.max 268435456, memory.max 268435456, cpu.max 100000 100000, pids.max 100\n\
         cgroup devices 13 rules in eBPF\n\
         --- into fd\n\
         cgroup join unified",
    );
}

#[test]
fn systemd_on_v2() {
    let resources: Resources =
        serde_json::from_str(r#"{"memory":{"limit":4096},"devices":[{"allow":true}]}"#).unwrap();
    let annotations = BTreeMap::from([(
        "org.systemd.property.CollectMode".to_string(),
        "'inactive-or-failed'".to_string(),
    )]);
    let manager = Manager::Systemd {
        user: false,
        address: String::new(),
    };
    let request = Request {
        manager,
        path: "a-b.slice:docker:x",
        id: "x",
        resources: Some(&resources),
        annotations: Some(&annotations),
        ..Request::default()
    };
    check(
        &v2(),
        request.clone(),
        "--- place\n\
         systemd scope docker-x.scope in a-b.slice CollectMode=\"inactive-or-failed\" MemoryMax=4096\n\
         cgroup make /sys/fs/cgroup/a.slice/a-b.slice/docker-x.scope enable cpuset cpu io memory pids\n\
         cgroup write memory.max 4096\n\
         cgroup devices 1 rules in eBPF",
    );
    let annotations = BTreeMap::from([(SUBGROUP.to_string(), "inner".to_string())]);
    check(
        &v2(),
        Request {
            annotations: Some(&annotations),
            path: ":docker:x",
            ..request
        },
        "--- place\n\
         systemd scope docker-x.scope in system.slice MemoryMax=4096\n\
         cgroup make /sys/fs/cgroup/system.slice/docker-x.scope/inner\n\
         cgroup join unified\n\
         cgroup make /sys/fs/cgroup/system.slice/docker-x.scope/inner enable cpuset cpu io memory pids\n\
         cgroup write memory.max 4096\n\
         cgroup devices 1 rules in eBPF",
    );
}

#[test]
fn what_is_expected_names_the_bus_and_the_unit() {
    let manager = Manager::Systemd {
        user: false,
        address: String::new(),
    };
    let layout = Layout {
        systemd: true,
        ..v2()
    };
    let request = Request {
        manager: manager.clone(),
        path: ":docker:x",
        id: "x",
        ..Request::default()
    };
    let expected = decide(&layout, &request).unwrap().expected(manager);
    assert_eq!(expected.unit, "docker-x.scope");
    let Manager::Systemd { address, .. } = &expected.manager else {
        panic!("{expected:?}");
    };
    assert_eq!(address, "unix:path=/run/dbus/system_bus_socket");
    assert_eq!(
        expected.paths[""],
        "/sys/fs/cgroup/system.slice/docker-x.scope"
    );
}

#[test]
fn systemd_on_v1_and_a_users_one() {
    let none = Resources {
        devices: rules(&["allow a"]),
        ..Resources::default()
    };
    let manager = |user, address: &str| Manager::Systemd {
        user,
        address: address.to_string(),
    };
    let request = Request {
        path: "",
        id: "x",
        resources: Some(&none),
        uid: 1000,
        ..Request::default()
    };
    let layout = Layout {
        systemd: true,
        ..hybrid()
    };
    let got = text(&decide(
        &layout,
        &Request {
            manager: manager(false, ""),
            ..request.clone()
        },
    ));
    assert!(got.starts_with("--- place\nsystemd scope trun-x.scope in system.slice\ncgroup make /sys/fs/cgroup/cpu/system.slice/trun-x.scope\n"), "{got}");
    assert!(
        got.contains("\ncgroup join cpu,cpuset,memory,devices,freezer,pids (tasks)\n"),
        "{got}"
    );
    let user = Request {
        manager: manager(true, "unix:path=/run/user/1000/bus"),
        rootless: true,
        ..request.clone()
    };
    check(
        &v2(),
        user,
        "--- place\n\
         systemd scope trun-x.scope in user.slice\n\
         cgroup make /sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/user.slice/trun-x.scope enable cpuset cpu io memory pids if permitted\n\
         skip linux.resources.devices",
    );
    check(
        &v2(),
        Request {
            manager: manager(true, ""),
            ..request.clone()
        },
        "refused: linux.cgroupsPath: the address of the user's bus isn't known (DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR)",
    );
    check(
        &hybrid(),
        Request {
            manager: manager(false, ""),
            ..request
        },
        "refused: linux.cgroupsPath: the systemd cgroup manager was asked for, but systemd doesn't run this host; use the cgroupfs manager",
    );
}

#[test]
fn rootless_without_delegation() {
    let mut layout = v2();
    layout.unified.as_mut().unwrap().writable = false;
    let request = Request {
        id: "x",
        rootless: true,
        ..Request::default()
    };
    let none = Resources {
        devices: rules(&DOCKER),
        ..Resources::default()
    };
    check(
        &layout,
        Request {
            resources: Some(&none),
            ..request.clone()
        },
        "--- place\nskip cgroup",
    );
    check(
        &layout,
        Request {
            resources: Some(&docker()),
            ..request.clone()
        },
        "refused: linux.resources.memory.limit: can't be set: rootless, and no cgroup is delegated to this user; \
         let systemd delegate one (systemd-run --user --scope -p Delegate=yes ...), or leave the limit out",
    );
    check(
        &layout,
        Request {
            path: "/some/where",
            ..request
        },
        "cgroup make /sys/fs/cgroup/some/where enable cpuset cpu io memory pids\n--- into fd\ncgroup join unified\nskip linux.resources.devices",
    );
}

#[test]
fn rootless_with_a_delegated_part() {
    let mut layout = hybrid();
    for hierarchy in &mut layout.v1 {
        hierarchy.writable = hierarchy.controllers[0] == "memory";
    }
    let limit = |json: &str| serde_json::from_str::<Resources>(json).unwrap();
    let request = Request {
        id: "x",
        rootless: true,
        ..Request::default()
    };
    check(
        &layout,
        Request {
            resources: Some(&limit(r#"{"memory":{"limit":7}}"#)),
            ..request.clone()
        },
        "cgroup make /sys/fs/cgroup/memory/own/here/x if permitted\ncgroup write memory.limit_in_bytes 7\n--- place\n\
         cgroup join memory (tasks)\nskip linux.resources.devices",
    );
    check(
        &layout,
        Request {
            resources: Some(&limit(r#"{"pids":{"limit":7}}"#)),
            ..request
        },
        "refused: linux.resources.pids.limit: can't be set: rootless, and the controller pids isn't delegated to this user",
    );
}

#[test]
fn disabled_and_absent() {
    let disabled = Request {
        manager: Manager::Disabled,
        id: "x",
        ..Request::default()
    };
    check(&hybrid(), disabled.clone(), "--- place\nskip cgroup");
    check(
        &hybrid(),
        Request {
            resources: Some(&docker()),
            ..disabled
        },
        "refused: linux.resources.memory.limit: can't be set: cgroups are disabled by the caller",
    );
    check(
        &Layout::default(),
        Request {
            id: "x",
            ..Request::default()
        },
        "--- place\nskip cgroup",
    );
}

#[test]
fn without_a_devices_controller() {
    let v1 = Layout::parse("2 0 0:2 / /m rw - cgroup c rw,memory\n", "", "", false);
    let got = text(&decide(
        &v1,
        &Request {
            id: "x",
            ..Request::default()
        },
    ));
    assert!(
        got.starts_with("refused: linux.resources.devices: the devices controller isn't mounted"),
        "{got}"
    );
    let hybrid = Layout::parse(
        "2 0 0:2 / /m rw - cgroup c rw,memory\n3 0 0:3 / /u rw - cgroup2 c rw\n",
        "",
        "",
        false,
    );
    let got = text(&decide(
        &hybrid,
        &Request {
            id: "x",
            path: "/x",
            ..Request::default()
        },
    ));
    assert_eq!(
        got,
        "cgroup make /m/x\ncgroup make /u/x\ncgroup devices 12 rules in eBPF\n--- into fd\ncgroup join memory (tasks)\ncgroup join unified"
    );
}
