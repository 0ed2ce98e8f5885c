//! Against a real systemd: a user manager that the test starts for itself, with its own bus, in a cgroup and a mount namespace of its own.
//!
//! Needs root and the packages `systemd`, `dbus` and `dbus-user-session`; without them it fails and says so.
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tare_cgroup::{Cgroup, Executor, Layout, Manager, Mode, Request, Saved, Step, decide};
use tare_oci::Resources;

/// A running `systemd --user`, ended with its scope.
struct Systemd {
    process: Child,
    directory: PathBuf,
    cgroup: String,
}

impl Systemd {
    fn start(name: &str) -> Systemd {
        for file in [
            "/lib/systemd/systemd",
            "/usr/lib/systemd/user/dbus.socket",
            "/usr/bin/dbus-daemon",
        ] {
            assert!(
                fs::exists(file).unwrap(),
                "missing: {file}: this test needs the packages systemd, dbus and dbus-user-session"
            );
        }
        let cgroup = format!("/tare-test-{}-{name}", std::process::id());
        let directory = std::env::temp_dir().join(&cgroup[1..]);
        fs::create_dir(&directory).unwrap();
        Command::new("chmod")
            .arg("700")
            .arg(&directory)
            .status()
            .unwrap();
        let mut script = String::new();
        // A fresh v1 cpuset takes no process.
        for root in roots().iter().filter(|root| !root.ends_with("/cpuset")) {
            fs::create_dir(format!("{root}{cgroup}")).unwrap();
            script += &format!("echo $$ > {root}{cgroup}/cgroup.procs\n");
        }
        // It only runs on a host that looks booted with systemd.
        script += "mount -t tmpfs run /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user --unit=basic.target";
        let process = Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .env("XDG_RUNTIME_DIR", &directory)
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let systemd = Systemd {
            process,
            directory,
            cgroup,
        };
        wait_for("the bus", || {
            fs::exists(systemd.directory.join("bus")).unwrap()
        });
        systemd
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.directory.display())
    }

    fn manager(&self) -> Manager {
        Manager::Systemd {
            user: true,
            address: self.address(),
        }
    }

    /// `systemctl show`'s lines.
    fn show(&self, unit: &str, properties: &str) -> String {
        let output = Command::new("systemctl")
            .args(["--user", "show", unit, "-p", properties])
            .env("XDG_RUNTIME_DIR", &self.directory)
            .env("DBUS_SESSION_BUS_ADDRESS", self.address())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    fn tree(&self) -> Cgroup {
        let paths = roots()
            .into_iter()
            .map(|root| (root.clone(), format!("{root}{}", self.cgroup)))
            .collect();
        Cgroup::open(Saved {
            paths,
            ..Saved::default()
        })
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        let unified = Layout::detect().unwrap().unified.unwrap();
        let whole = BTreeMap::from([(String::new(), format!("{}{}", unified.mount, self.cgroup))]);
        let _ = Cgroup::open(Saved {
            paths: whole,
            ..Saved::default()
        })
        .kill(9);
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = self.tree().destroy();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Mount points of all hierarchies.
fn roots() -> Vec<String> {
    let layout = Layout::detect().unwrap();
    let all = layout.v1.iter().chain(&layout.unified);
    all.map(|hierarchy| hierarchy.mount.clone()).collect()
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < end, "{what}: not in 20 seconds");
        std::thread::sleep(Duration::from_millis(5));
    }
}

struct Program(Child);

impl Program {
    fn start() -> Program {
        Program(
            Command::new("/bin/sh")
                .args(["-c", "read line"])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    }

    fn pid(&self) -> i32 {
        self.0.id() as i32
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn resources(json: &str) -> Resources {
    serde_json::from_str(json).unwrap()
}

/// A v2 layout whose controllers are claimed: for decisions of which only the scope is run.
fn claimed() -> Layout {
    let mut layout = Layout::detect().unwrap();
    layout.v1.clear();
    layout.mode = Mode::V2;
    layout.unified.as_mut().unwrap().controllers = ["cpu", "cpuset", "io", "memory", "pids"]
        .map(String::from)
        .to_vec();
    layout
}

#[test]
fn systemd_takes_every_property_that_is_sent() {
    let systemd = Systemd::start("properties");
    let json = r#"{"memory":{"limit":104857600,"swap":209715200,"reservation":52428800},"cpu":{"shares":512,"quota":50000,"period":100000,"cpus":"0-1","mems":"0"},
        "pids":{"limit":77},"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"rwm"}],
        "unified":{"memory.high":"83886080","memory.oom.group":"1"}}"#;
    let annotations = [
        ("org.systemd.property.TimeoutStopSec", "3"),
        ("org.systemd.property.CollectMode", "'inactive-or-failed'"),
        ("org.systemd.property.Documentation", "['man:tare']"),
        (
            "org.systemd.property.ManagedOOMMemoryPressureLimit",
            "uint32 5",
        ),
    ];
    let annotations = annotations
        .into_iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let resources = resources(json);
    let request = Request {
        manager: systemd.manager(),
        path: "a-b.slice:docker:x1",
        id: "x1",
        resources: Some(&resources),
        annotations: Some(&annotations),
        ..Request::default()
    };
    let decision = decide(&claimed(), &request).unwrap();
    let program = Program::start();
    let mut executor = Executor::new();
    executor
        .run(&decision.place[0], Some(program.pid()))
        .unwrap();
    let show = |properties| systemd.show("docker-x1.scope", properties);
    assert_eq!(
        show("MemoryMax,MemoryHigh,MemoryLow,MemorySwapMax"),
        "MemoryLow=52428800\nMemoryHigh=83886080\nMemoryMax=104857600\nMemorySwapMax=104857600"
    );
    assert_eq!(
        show(
            "CPUWeight,CPUQuotaPerSecUSec,CPUQuotaPeriodUSec,AllowedCPUs,AllowedMemoryNodes,TasksMax"
        ),
        "CPUWeight=59\nCPUQuotaPerSecUSec=500ms\nCPUQuotaPeriodUSec=100ms\nAllowedCPUs=0-1\nAllowedMemoryNodes=0\nTasksMax=77"
    );
    for line in [
        "Slice=a-b.slice",
        "Delegate=yes",
        "TimeoutStopUSec=3s",
        "CollectMode=inactive-or-failed",
        "ManagedOOMMemoryPressureLimit=5",
    ] {
        assert_eq!(show(line.split('=').next().unwrap()), line);
    }
    let devices = show("DevicePolicy,DeviceAllow");
    assert!(
        devices.contains("DevicePolicy=strict")
            && devices.contains("char-136 rwm")
            && devices.contains("/dev/char/10:229 rwm"),
        "{devices}"
    );

    // A second one of that name is refused with systemd's own words.
    let second = Executor::new()
        .run(&decision.place[0], Some(program.pid()))
        .unwrap_err()
        .to_string();
    assert!(
        second.starts_with(
            "systemd: StartTransientUnit docker-x1.scope: org.freedesktop.systemd1.UnitExists: "
        ),
        "{second}"
    );
    assert_eq!(show("ActiveState"), "ActiveState=active");

    // Dropped without commit: the scope is stopped.
    drop(executor);
    assert_eq!(show("ActiveState"), "ActiveState=inactive");
}

#[test]
fn a_container_in_a_scope_from_start_to_removal() {
    let systemd = Systemd::start("scope");
    let layout = Layout::detect().unwrap();
    let resources = self::resources(
        r#"{"memory":{"limit":104857600},"pids":{"limit":50},"devices":[{"allow":false,"access":"rwm"}]}"#,
    );
    let request = Request {
        manager: systemd.manager(),
        id: "c1",
        resources: Some(&resources),
        ..Request::default()
    };
    let decision = decide(&layout, &request).unwrap();
    assert!(decision.prepare.is_empty() && !decision.into_fd);
    let mut program = Program::start();
    let mut executor = Executor::new();
    for step in &decision.place {
        executor
            .run(step, Some(program.pid()))
            .unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    // As for root's systemd, whose bus the decision knows.
    let open = Manager::Systemd {
        user: true,
        address: String::new(),
    };
    let cgroup = executor.commit(&decision, open);
    assert_eq!(cgroup.saved().manager, systemd.manager());
    // It runs below the test's own manager, not where a user's usually is: the truth is kept.
    let expect = format!("{}/user.slice/trun-c1.scope", systemd.cgroup);
    assert_eq!(cgroup.saved().unit, "trun-c1.scope");
    assert!(
        cgroup
            .saved()
            .paths
            .values()
            .all(|path| path.ends_with(&expect)),
        "{:?}",
        cgroup.saved()
    );
    let own = fs::read_to_string(format!("/proc/{}/cgroup", program.pid())).unwrap();
    for line in own.lines() {
        assert!(line.ends_with(&expect), "{own}");
    }
    assert_eq!(cgroup.pids().unwrap(), [program.pid()]);
    assert_eq!(cgroup.stats().unwrap().pids.limit, 50);

    cgroup
        .update(&self::resources(
            r#"{"pids":{"limit":60},"memory":{"limit":209715200}}"#,
        ))
        .unwrap();
    assert_eq!(cgroup.stats().unwrap().pids.limit, 60);
    assert_eq!(systemd.show("trun-c1.scope", "TasksMax"), "TasksMax=60");

    // Moved out and back in by systemd.
    let exec = Program::start();
    cgroup.join(exec.pid(), &BTreeMap::new(), None).unwrap();
    assert_eq!(cgroup.pids().unwrap().len(), 2);
    drop(exec);

    cgroup.kill(9).unwrap();
    program.0.wait().unwrap();
    cgroup.destroy().unwrap();
    assert!(!cgroup.exists());
    assert_eq!(
        systemd.show("trun-c1.scope", "ActiveState"),
        "ActiveState=inactive"
    );
    cgroup.destroy().unwrap();
}

#[test]
fn a_sub_group_below_the_scope() {
    let systemd = Systemd::start("sub");
    let mut layout = Layout::detect().unwrap();
    layout.v1.clear();
    layout.mode = Mode::V2;
    let annotations = BTreeMap::from([(
        "run.oci.systemd.subgroup".to_string(),
        "container".to_string(),
    )]);
    let resources = resources(r#"{"devices":[{"allow":true,"access":"rwm"}]}"#);
    let request = Request {
        manager: systemd.manager(),
        id: "c2",
        resources: Some(&resources),
        annotations: Some(&annotations),
        ..Request::default()
    };
    let decision = decide(&layout, &request).unwrap();
    let program = Program::start();
    let mut executor = Executor::new();
    for step in &decision.place {
        executor
            .run(step, Some(program.pid()))
            .unwrap_or_else(|error| panic!("{step}: {error}"));
    }
    let cgroup = executor.commit(&decision, systemd.manager());
    assert!(
        cgroup.saved().paths[""].ends_with("/trun-c2.scope/container"),
        "{:?}",
        cgroup.saved()
    );
    assert_eq!(cgroup.pids().unwrap(), [program.pid()]);
    let enabled = fs::read_to_string(format!(
        "{}/../cgroup.subtree_control",
        cgroup.saved().paths[""]
    ))
    .unwrap();
    let offered = fs::read_to_string(format!(
        "{}/../cgroup.controllers",
        cgroup.saved().paths[""]
    ))
    .unwrap();
    assert_eq!(enabled, offered, "what the scope was given is handed on");
    drop(program);
    cgroup.destroy().unwrap();
}

#[test]
fn a_bus_that_is_not_there() {
    let manager = Manager::Systemd {
        user: true,
        address: "unix:path=/nonexistent/bus".into(),
    };
    let decision = decide(
        &claimed(),
        &Request {
            manager,
            id: "x",
            ..Request::default()
        },
    )
    .unwrap();
    let Step::Scope(_) = &decision.place[0] else {
        panic!("{decision:?}")
    };
    let error = Executor::new()
        .run(&decision.place[0], Some(1))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "D-Bus at unix:path=/nonexistent/bus: missing: path=/nonexistent/bus; is the bus running?"
    );
}
