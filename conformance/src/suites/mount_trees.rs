//! Bind mounts of trees: what comes along, recursive attributes, propagation, id maps.

use crate::case::cases;
use crate::inspect::EROFS;
use crate::sandbox::Sandbox;
use crate::suites::namespaces::userns_of;
use serde_json::json;
use std::fs;

cases!("mount-trees":
    bind_ro_is_not_recursive, rbind_brings_submounts, bind_leaves_submounts, rbind_rro, recursive_attributes, rbind_type_none, propagation_slave, propagation_rslave_receives, idmap, idmap_in_a_user_namespace, ridmap_of_a_tree, bind_keeps_locked_flags,
);

/// A source directory with a tmpfs mounted below it on the host; undone by the returned guard.
struct HostMount(String);

impl HostMount {
    fn tmpfs(path: &str) -> Self {
        fs::create_dir_all(path).unwrap();
        use rustix::mount::{MountFlags, mount};
        mount("tmpfs", path, "tmpfs", MountFlags::empty(), None).expect("root may mount");
        Self(path.to_owned())
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.as_str(), rustix::mount::UnmountFlags::DETACH);
    }
}

fn bind_ro_is_not_recursive(s: &mut Sandbox) {
    let source = s.path("dir");
    let _sub = HostMount::tmpfs(&format!("{source}/sub"));
    s.spec.mount("/mnt", "bind", &source, &["rbind", "ro"]);
    let report = s.inspect(&["create:/mnt/x", "create:/mnt/sub/x"]);
    assert_eq!(report.errno("create:/mnt/x"), EROFS);
    assert_eq!(report.errno("create:/mnt/sub/x"), 0);
}

fn rbind_brings_submounts(s: &mut Sandbox) {
    let source = s.path("dir");
    let _sub = HostMount::tmpfs(&format!("{source}/sub"));
    s.spec.mount("/mnt", "bind", &source, &["rbind"]);
    assert!(s.inspect(&[]).is_mounted("/mnt/sub"));
}

fn bind_leaves_submounts(s: &mut Sandbox) {
    let source = s.path("dir");
    let _sub = HostMount::tmpfs(&format!("{source}/sub"));
    s.spec.bind(&source, "/mnt", &[]);
    assert!(!s.inspect(&[]).is_mounted("/mnt/sub"));
}

fn rbind_rro(s: &mut Sandbox) {
    crate::limits::need_kernel(5, 12);
    let source = s.path("dir");
    let _sub = HostMount::tmpfs(&format!("{source}/sub"));
    s.spec.mount("/mnt", "bind", &source, &["rbind", "rro"]);
    let report = s.inspect(&["create:/mnt/x", "create:/mnt/sub/x"]);
    assert_eq!(
        (
            report.errno("create:/mnt/x"),
            report.errno("create:/mnt/sub/x")
        ),
        (EROFS, EROFS)
    );
}

fn recursive_attributes(s: &mut Sandbox) {
    crate::limits::need_kernel(5, 12);
    let source = s.path("dir");
    let _sub = HostMount::tmpfs(&format!("{source}/sub"));
    for (option, flag) in [
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rrelatime", "relatime"),
    ] {
        s.spec
            .unmount("/mnt")
            .mount("/mnt", "bind", &source, &["rbind", option]);
        let report = s.inspect(&[]);
        assert!(
            report.mount("/mnt").has(flag) && report.mount("/mnt/sub").has(flag),
            "{option}"
        );
    }
}

fn rbind_type_none(s: &mut Sandbox) {
    s.spec.mount("/mnt", "none", "/usr/share", &["rbind", "ro"]);
    assert!(s.inspect(&[]).mount("/mnt").has("ro"));
    s.spec.unmount("/mnt").push(
        "mounts",
        json!({"destination": "/mnt", "source": "/usr/share", "options": ["bind"]}),
    );
    assert!(s.inspect(&[]).is_mounted("/mnt"));
}

fn propagation_slave(s: &mut Sandbox) {
    let source = s.path("dir");
    let _mount = HostMount::tmpfs(&source);
    rustix::mount::mount_change(
        source.as_str(),
        rustix::mount::MountPropagationFlags::SHARED,
    )
    .unwrap();
    s.spec
        .set("linux.rootfsPropagation", "slave")
        .bind(&source, "/mnt", &["slave"]);
    let seen = s.inspect(&[]).mount("/mnt");
    assert!(
        seen.propagation
            .iter()
            .any(|word| word.starts_with("master:")),
        "{seen:?}"
    );
}

fn propagation_rslave_receives(s: &mut Sandbox) {
    let source = s.path("dir");
    let _mount = HostMount::tmpfs(&source);
    rustix::mount::mount_change(
        source.as_str(),
        rustix::mount::MountPropagationFlags::SHARED,
    )
    .unwrap();
    fs::create_dir(format!("{source}/later")).unwrap();
    s.spec.set("linux.rootfsPropagation", "rslave").mount(
        "/mnt",
        "bind",
        &source,
        &["rbind", "rslave"],
    );
    s.start_waiting();
    let _later = HostMount::tmpfs(&format!("{source}/later"));
    assert!(s.exec_inspect(&[], &[]).is_mounted("/mnt/later"));
    s.stop();
}

fn idmap_mount(s: &mut Sandbox, options: &[&str], source: &str) {
    s.spec.unmount("/mnt").push(
        "mounts",
        json!({
            "destination": "/mnt", "type": "bind", "source": source, "options": options,
            "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 65536}],
            "gidMappings": [{"containerID": 0, "hostID": 200_000, "size": 65536}]
        }),
    );
}

fn idmap(s: &mut Sandbox) {
    crate::limits::need_kernel(5, 12);
    let source = s.path("dir");
    fs::create_dir(&source).unwrap();
    fs::write(format!("{source}/file"), "").unwrap();
    std::os::unix::fs::chown(format!("{source}/file"), Some(1), Some(2)).unwrap();
    idmap_mount(s, &["bind"], &source);
    let report = s.inspect(&["stat:/mnt/file"]);
    let seen = report.probe("stat:/mnt/file");
    assert_eq!(
        (&seen["uid"], &seen["gid"]),
        (&json!(100_001), &json!(200_002))
    );
}

fn idmap_in_a_user_namespace(s: &mut Sandbox) {
    crate::limits::need_kernel(5, 12);
    let source = s.path("dir");
    fs::create_dir(&source).unwrap();
    fs::write(format!("{source}/file"), "").unwrap();
    userns_of(s, 100_000, 65536);
    let owner = |s: &mut Sandbox, options: &[&str], host: Option<u32>| {
        let mut mount =
            json!({"destination": "/mnt", "type": "bind", "source": source, "options": options});
        if let Some(host) = host {
            mount["uidMappings"] = json!([{"containerID": 0, "hostID": host, "size": 1000}]);
            mount["gidMappings"] = mount["uidMappings"].clone();
        }
        s.spec.unmount("/mnt").push("mounts", mount);
        let report = s.inspect(&["stat:/mnt/file"]);
        let seen = report.probe("stat:/mnt/file");
        (seen["uid"].clone(), seen["gid"].clone())
    };
    let both = |id: u32| (json!(id), json!(id));
    assert_eq!(owner(s, &["bind"], None), both(65534), "without a map");
    assert_eq!(
        owner(s, &["bind", "idmap"], None),
        both(0),
        "the container's"
    );
    assert_eq!(owner(s, &["bind"], Some(100_500)), both(500), "its own");
}

fn ridmap_of_a_tree(s: &mut Sandbox) {
    // The first with idmapped tmpfs.
    crate::limits::need_kernel(6, 3);
    let source = s.path("dir");
    let _sub = HostMount::tmpfs(&format!("{source}/sub"));
    fs::write(format!("{source}/sub/file"), "").unwrap();
    idmap_mount(s, &["rbind", "ridmap"], &source);
    assert_eq!(
        s.inspect(&["stat:/mnt/sub/file"])
            .probe("stat:/mnt/sub/file")["uid"],
        100_000
    );
    idmap_mount(s, &["rbind", "idmap"], &source);
    assert_eq!(
        s.inspect(&["stat:/mnt/sub/file"])
            .probe("stat:/mnt/sub/file")["uid"],
        0
    );
}

fn bind_keeps_locked_flags(s: &mut Sandbox) {
    // A read-only bind of a mount that is nosuid,nodev on the host keeps those.
    let source = s.path("dir");
    fs::create_dir_all(&source).unwrap();
    use rustix::mount::{MountFlags, mount};
    mount(
        "tmpfs",
        source.as_str(),
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        None,
    )
    .unwrap();
    let _guard = HostMount(source.clone());
    s.spec.bind(&source, "/mnt", &[]);
    let seen = s.inspect(&[]).mount("/mnt");
    assert!(seen.has("nosuid") && seen.has("nodev"), "{seen:?}");
}
