//! A user manager of systemd with its own bus, in a mount namespace and cgroups of its own, for the systemd cgroup driver.

use super::ground::Ground;
use crate::process;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Containers by the manager: rootless in name, so that the user's manager is asked; by root, so that nothing else differs.
pub fn prepare(g: &mut Ground) {
    for file in [
        "/lib/systemd/systemd",
        "/usr/lib/systemd/user/dbus.socket",
        "/usr/bin/dbus-daemon",
    ] {
        assert!(
            Path::new(file).exists(),
            "missing: {file}: install systemd, dbus and dbus-user-session"
        );
    }
    let name = format!("{}-manager", g.sandbox.id);
    let directory = g.sandbox.environment.directory.join("systemd");
    fs::create_dir(&directory).expect("own directory");
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("own directory");
    let mut script = String::new();
    for mount in hierarchies() {
        let group = mount.join(&name);
        // A fresh v1 cpuset takes no process.
        if !mount.ends_with("cpuset") {
            fs::create_dir(&group).expect("root makes cgroups");
            script += &format!("echo $$ > {}/cgroup.procs\n", group.display());
        }
        g.own_groups.push(group);
    }
    // It only runs on a host that looks booted with systemd.
    script += "mount -t tmpfs run /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user --unit=basic.target";
    let child = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .env("XDG_RUNTIME_DIR", &directory)
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("util-linux is there");
    g.helpers.push(child);
    let bus = directory.join("bus");
    assert!(
        process::eventually(Duration::from_secs(20), || bus.exists()),
        "the user manager's bus is not there after 20 seconds"
    );
    g.environment.push((
        "DBUS_SESSION_BUS_ADDRESS".to_owned(),
        format!("unix:path={}", bus.display()),
    ));
    g.globals
        .extend(["--systemd-cgroup", "--rootless=true"].map(str::to_owned));
    let maps = json!([{"containerID": 0, "hostID": 0, "size": 1}]);
    let id = g.sandbox.id.clone();
    g.sandbox
        .spec
        .namespace("user", None)
        .set("linux.uidMappings", maps.clone())
        .set("linux.gidMappings", maps)
        .set("linux.cgroupsPath", format!("user.slice:tare:{id}"))
        .unmount("/dev/pts");
}

/// Mount points of the hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = table.lines().filter_map(|line| {
        let (front, back) = line.split_once(" - ")?;
        let kind = back.split(' ').next()?;
        let point = front.split(' ').nth(4)?;
        matches!(kind, "cgroup" | "cgroup2").then(|| PathBuf::from(point))
    });
    mounts.collect()
}
