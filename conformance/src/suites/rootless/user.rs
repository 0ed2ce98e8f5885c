//! The runtime started by an ordinary user, with one mapped id: the usual life of a container.

use super::{USER, as_user, inspect_as_user, prepare, run_as_user};
use crate::case::cases;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;

cases!("rootless":
    runs, lifecycle, identity_inside, exec, own_files_outside, cgroup_limits_are_refused_or_kept, no_network_namespace, host_network_sysfs_by_bind,
    state_root_by_xdg, kill_and_delete, missing_maps_explained, devices_are_bound, setgroups_is_denied, additional_gids_refused, masked_paths,
);

fn runs(s: &mut Sandbox) {
    prepare(s);
    assert_eq!(
        run_as_user(s, &["/bin/echo", "rootless"]).ok().stdout,
        "rootless\n"
    );
}

fn identity_inside(s: &mut Sandbox) {
    prepare(s);
    let report = inspect_as_user(s, &["sethostname:inside", "mount:none,/mnt,tmpfs"]);
    assert_eq!(report.numbers("uid"), [0, 0, 0]);
    let words: Vec<&str> = report.texts("uid_map")[0].split_whitespace().collect();
    assert_eq!(words, ["0", &USER.to_string(), "1"]);
    assert_eq!(report.number("pid"), 1);
}

fn lifecycle(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]);
    s.output = as_user(s, call).run().ok().stdout_file;
    let verb = |name: &str| as_user(s, s.call(&[name, &s.id])).run();
    assert!(verb("state").ok().stdout.contains("created"));
    verb("start").ok();
    s.wait_output("ready");
    as_user(s, s.call(&["kill", &s.id, "TERM"])).run().ok();
    assert_eq!(s.reap(), 15);
    verb("delete").ok();
}

fn kill_and_delete(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "stubborn"]);
    let pid_file = s.pid_file().to_string_lossy().into_owned();
    let call = s.run_call(&["--detach", "--pid-file", &pid_file]);
    as_user(s, call).run().ok();
    as_user(s, s.call(&["delete", "--force", &s.id])).run().ok();
    assert_eq!(s.reap(), 137);
}

fn exec(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]);
    s.output = as_user(s, call).run().ok().stdout_file;
    as_user(s, s.call(&["start", &s.id])).run().ok();
    s.wait_output("ready");
    let output = as_user(s, s.exec_call(&[], &["/inspect", "report"]))
        .run()
        .ok();
    assert_eq!(Report::parse(&output.stdout).numbers("uid"), [0, 0, 0]);
    as_user(s, s.exec_call(&[], &["/inspect", "exit", "9"]))
        .run()
        .exits(9);
    as_user(s, s.call(&["kill", &s.id, "KILL"])).run().ok();
    s.reap();
    as_user(s, s.call(&["delete", &s.id])).run().ok();
}

fn own_files_outside(s: &mut Sandbox) {
    use std::os::unix::fs::MetadataExt;
    prepare(s);
    run_as_user(s, &["/bin/touch", "/made"]).ok();
    assert_eq!(fs::metadata(s.rootfs.join("made")).unwrap().uid(), USER);
}

fn cgroup_limits_are_refused_or_kept(s: &mut Sandbox) {
    prepare(s);
    let path = format!("/{}", s.id);
    s.spec
        .set("linux.cgroupsPath", path)
        .set("linux.resources.memory.limit", 64 << 20);
    let output = run_as_user(s, &["/bin/true"]);
    if output.code != 0 {
        let text = output.stderr.to_lowercase();
        assert!(
            text.contains("cgroup") || text.contains("rootless"),
            "{}",
            output.stderr
        );
    }
}

fn no_network_namespace(s: &mut Sandbox) {
    // What `spec --rootless` makes: the host's network, and /sys by a bind mount.
    prepare(s);
    s.spec.without_namespace("network").unmount("/sys").mount(
        "/sys",
        "none",
        "/sys",
        &["rbind", "nosuid", "noexec", "nodev", "ro"],
    );
    let report = inspect_as_user(s, &[]);
    let host = fs::read_link("/proc/self/ns/net")
        .unwrap()
        .to_string_lossy()
        .into_owned();
    assert_eq!(report.namespace("net"), host);
    assert!(report.mount("/sys").has("ro"));
}

fn host_network_sysfs_by_bind(s: &mut Sandbox) {
    // CVE-2023-25809: /sys/fs/cgroup is not writable through a bound /sys.
    prepare(s);
    s.spec.without_namespace("network").unmount("/sys").mount(
        "/sys",
        "none",
        "/sys",
        &["rbind", "nosuid", "noexec", "nodev", "ro"],
    );
    let report = inspect_as_user(
        s,
        &["mkdir:/sys/fs/cgroup/memory/x", "create:/sys/fs/cgroup/x"],
    );
    assert_ne!(report.errno("mkdir:/sys/fs/cgroup/memory/x"), 0);
    assert_ne!(report.errno("create:/sys/fs/cgroup/x"), 0);
}

fn state_root_by_xdg(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]).globals(Vec::<&str>::new());
    as_user(s, call).run().ok();
    let xdg = s.environment.directory.join("xdg");
    let found = fs::read_dir(&xdg)
        .unwrap()
        .flatten()
        .any(|entry| entry.path().join(&s.id).exists());
    assert!(found, "the state is below XDG_RUNTIME_DIR");
    as_user(
        s,
        s.call(&["delete", "--force", &s.id])
            .globals(Vec::<&str>::new()),
    )
    .run()
    .ok();
    s.reap();
}

fn missing_maps_explained(s: &mut Sandbox) {
    prepare(s);
    s.spec
        .without_namespace("user")
        .remove("linux.uidMappings")
        .remove("linux.gidMappings");
    let output = run_as_user(s, &["/bin/true"]).fails_somehow();
    assert!(
        output.stderr.to_lowercase().contains("user"),
        "user namespace: {}",
        output.stderr
    );
}

fn devices_are_bound(s: &mut Sandbox) {
    prepare(s);
    let report = inspect_as_user(
        s,
        &["openrw:/dev/null", "stat:/dev/null", "open:/dev/urandom"],
    );
    assert_eq!(
        (
            report.errno("openrw:/dev/null"),
            report.errno("open:/dev/urandom")
        ),
        (0, 0)
    );
    assert_eq!(report.probe("stat:/dev/null")["minor"], 3);
    assert!(report.is_mounted("/dev/null"));
}

fn setgroups_is_denied(s: &mut Sandbox) {
    prepare(s);
    assert_eq!(inspect_as_user(s, &[]).texts("setgroups"), ["deny"]);
}

fn additional_gids_refused(s: &mut Sandbox) {
    prepare(s);
    s.spec.set("process.user.additionalGids", json!([5]));
    run_as_user(s, &["/bin/true"]).fails_somehow();
}

fn masked_paths(s: &mut Sandbox) {
    prepare(s);
    s.spec
        .set("linux.maskedPaths", json!(["/proc/keys", "/sys/firmware"]))
        .set("linux.readonlyPaths", json!(["/proc/sys"]));
    let report = inspect_as_user(s, &["read:/proc/keys"]);
    assert_eq!(report.read("/proc/keys"), "");
    assert!(report.mount("/proc/sys").has("ro"));
}
