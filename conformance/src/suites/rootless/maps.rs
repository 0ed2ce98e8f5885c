//! Ids: one's own, ranges by newuidmap and newgidmap, and everything that can be wrong with either.

use super::{
    USER, as_user, by_shell, in_user_namespace, inspect_as_user, need, one_id, prepare,
    run_as_user, then_as_user,
};
use crate::case::cases;
use crate::inspect::Report;
use crate::runtime::Call;
use crate::sandbox::Sandbox;
use serde_json::json;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};

cases!("rootless":
    range_by_newuidmap, range_without_a_passwd_entry, range_that_is_not_given, range_without_new_privileges, own_id_without_new_privileges,
    rootfs_of_subordinate_ids, user_of_the_range, foreign_id_refused, map_without_zero_refused, group_of_a_mount_must_be_mapped,
    kept_groups, rootfs_that_the_user_may_not_search, exec_with_a_range,
);

/// First subordinate id of the user.
const FIRST: u32 = 700_000;

fn range(s: &mut Sandbox) {
    need(&[
        "/usr/bin/newuidmap",
        "/usr/bin/setpriv",
        "/usr/bin/unshare",
        "/etc/subuid",
        "/etc/subgid",
    ]);
    prepare(s);
    let maps = json!([
        {"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": FIRST, "size": 1000}
    ]);
    in_user_namespace(&mut s.spec, &maps);
}

/// What of the user database the user has, in a mount namespace of its own: the host's files stay as they are.
fn with_database(s: &Sandbox, call: Call, passwd: bool, subordinate: bool) -> Call {
    let database = |name: &str, line: String, given: bool| {
        let text = fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        fs::write(s.path(name), if given { text + &line } else { text }).unwrap();
    };
    database(
        "passwd",
        format!("tctest:x:{USER}:{USER}::/:/bin/sh\n"),
        passwd,
    );
    database("subuid", format!("tctest:{FIRST}:65536\n"), subordinate);
    database("subgid", format!("tctest:{FIRST}:65536\n"), subordinate);
    let binds: String = ["passwd", "subuid", "subgid"]
        .map(|name| {
            format!(
                "mount --bind {}/{name} /etc/{name}; ",
                s.environment.directory.display()
            )
        })
        .concat();
    let script = format!(
        "exec unshare --mount --propagation slave /bin/sh -c 'set -e; {binds} {}' sh \"$@\"",
        then_as_user()
    );
    by_shell(call, &script)
}

fn run_with(
    s: &mut Sandbox,
    arguments: &[&str],
    passwd: bool,
    subordinate: bool,
) -> crate::runtime::Output {
    s.spec.args(arguments);
    let call = s.run_call(&[]);
    with_database(s, as_user(s, call), passwd, subordinate).run()
}

fn range_by_newuidmap(s: &mut Sandbox) {
    range(s);
    let probes = ["/inspect", "report", "child:setuid:5", "chown:/tmp,5,6"];
    let report = Report::parse(&run_with(s, &probes, true, true).ok().stdout);
    assert_eq!(report.texts("uid_map").len(), 2);
    assert_eq!(report.texts("gid_map").len(), 2);
    assert_eq!(
        report.texts("setgroups"),
        ["allow"],
        "newgidmap leaves setgroups alone"
    );
    assert_eq!(report.errno("chown:/tmp,5,6"), 0);
    assert_eq!(report.probe("child:setuid:5")["exit"], 0);
}

fn range_without_a_passwd_entry(s: &mut Sandbox) {
    range(s);
    let output = run_with(s, &["/bin/true"], false, true).fails_somehow();
    assert!(
        output.stderr.contains("newgidmap") || output.stderr.contains("newuidmap"),
        "{}",
        output.stderr
    );
    told(s, &output, "passwd database");
}

fn range_that_is_not_given(s: &mut Sandbox) {
    range(s);
    let output = run_with(s, &["/bin/true"], true, false).fails_somehow();
    assert!(output.stderr.contains("not allowed"), "{}", output.stderr);
    told(s, &output, "/etc/subgid");
}

/// Our own words after the ones that every runtime has.
#[track_caller]
fn told(s: &Sandbox, output: &crate::runtime::Output, words: &str) {
    if s.environment.runtime_name == "trun" {
        assert!(
            output.stderr.contains(words),
            "{words:?} is not in {}",
            output.stderr
        );
    }
}

fn range_without_new_privileges(s: &mut Sandbox) {
    range(s);
    s.spec.args(&["/bin/true"]);
    let call = s.run_call(&[]);
    let mut call = as_user(s, call);
    let runtime = std::mem::replace(&mut call.program, "/usr/bin/setpriv".into());
    call.globals
        .splice(0..0, ["--no-new-privs".into(), runtime.into()]);
    let output = with_database(s, call, true, true).run().fails_somehow();
    told(s, &output, "no_new_privs");
}

fn own_id_without_new_privileges(s: &mut Sandbox) {
    need(&["/usr/bin/setpriv"]);
    prepare(s);
    s.spec.args(&["/bin/echo", "single"]);
    let call = s.run_call(&[]);
    let call = by_shell(
        as_user(s, call),
        &then_as_user().replace("--clear-groups", "--clear-groups --no-new-privs"),
    );
    assert_eq!(call.run().ok().stdout, "single\n");
}

fn rootfs_of_subordinate_ids(s: &mut Sandbox) {
    range(s);
    // As an unpacked image has it: root's files are the user's, others are of the range.
    chown(
        s.rootfs.join("home/user"),
        Some(FIRST + 999),
        Some(FIRST + 999),
    )
    .unwrap();
    chown(s.rootfs.join("var/data/file"), Some(FIRST), Some(FIRST)).unwrap();
    let probes = [
        "/inspect",
        "report",
        "stat:/home/user",
        "stat:/var/data/file",
        "stat:/etc",
        "unlink:/var/data/file",
    ];
    let report = Report::parse(&run_with(s, &probes, true, true).ok().stdout);
    let owner = |path: &str| {
        report.probe(&format!("stat:{path}"))["uid"]
            .as_i64()
            .unwrap()
    };
    assert_eq!(
        (owner("/home/user"), owner("/var/data/file"), owner("/etc")),
        (1000, 1, 0)
    );
    assert_eq!(report.errno("unlink:/var/data/file"), 0);
}

fn user_of_the_range(s: &mut Sandbox) {
    range(s);
    s.spec
        .set(
            "process.user",
            json!({"uid": 7, "gid": 8, "additionalGids": [9, 1000]}),
        )
        .capabilities(&[]);
    let report = Report::parse(&run_with(s, &["/inspect", "report"], true, true).ok().stdout);
    assert_eq!(report.numbers("uid"), [7, 7, 7]);
    assert_eq!(report.numbers("gid"), [8, 8, 8]);
    assert_eq!(report.numbers("groups"), [9, 1000]);
}

fn exec_with_a_range(s: &mut Sandbox) {
    range(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]);
    s.output = with_database(s, as_user(s, call), true, true)
        .run()
        .ok()
        .stdout_file;
    as_user(s, s.call(&["start", &s.id])).run().ok();
    s.wait_output("ready");
    let call = s.exec_call(&["--user", "3:4"], &["/inspect", "report"]);
    let report = Report::parse(&as_user(s, call).run().ok().stdout);
    assert_eq!(
        (report.numbers("uid"), report.numbers("gid")),
        (vec![3, 3, 3], vec![4, 4, 4])
    );
    as_user(s, s.call(&["kill", &s.id, "KILL"])).run().ok();
    s.reap();
    as_user(s, s.call(&["delete", &s.id])).run().ok();
}

fn foreign_id_refused(s: &mut Sandbox) {
    prepare(s);
    in_user_namespace(&mut s.spec, &one_id(0, USER + 1, 1));
    let output = run_as_user(s, &["/bin/true"]).fails_somehow();
    told(s, &output, "map ids by");
}

fn map_without_zero_refused(s: &mut Sandbox) {
    prepare(s);
    in_user_namespace(&mut s.spec, &one_id(1000, USER, 1));
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    let output = run_as_user(s, &["/bin/true"]).fails_somehow();
    told(s, &output, "linux.uidMappings: needs an id for 0");
}

fn group_of_a_mount_must_be_mapped(s: &mut Sandbox) {
    prepare(s);
    s.spec
        .unmount("/dev/pts")
        .mount("/dev/pts", "devpts", "devpts", &["newinstance", "gid=5"]);
    let output = run_as_user(s, &["/bin/true"]).fails(1, "cannot specify gid=");
    told(s, &output, "gid 5 is not mapped");
}

fn kept_groups(s: &mut Sandbox) {
    need(&["/usr/bin/setpriv"]);
    prepare(s);
    s.spec
        .set("annotations", json!({"run.oci.keep_original_groups": "1"}))
        .args(&["/inspect", "report"]);
    let directory = s.path("shared");
    fs::create_dir(&directory).unwrap();
    // Only a member of group 61999 may enter.
    chown(&directory, Some(0), Some(61_999)).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).unwrap();
    s.spec
        .bind(&directory, "/mnt", &[])
        .args(&["/inspect", "report", "create:/mnt/made"]);
    let call = s.run_call(&[]);
    let call = by_shell(
        as_user(s, call),
        &then_as_user().replace("--clear-groups", "--groups 61999"),
    );
    let report = Report::parse(&call.run().ok().stdout);
    assert_eq!(
        report.numbers("groups"),
        [65534],
        "the group has no name inside"
    );
    assert_eq!(report.errno("create:/mnt/made"), 0, "its rights are kept");
    // And the other way: without the annotation or the group the door is closed.
    assert_ne!(
        inspect_as_user(s, &["create:/mnt/second"]).errno("create:/mnt/second"),
        0
    );
}

fn rootfs_that_the_user_may_not_search(s: &mut Sandbox) {
    prepare(s);
    let hidden = s.path("hidden");
    fs::create_dir(&hidden).unwrap();
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o700)).unwrap();
    fs::rename(&s.rootfs, format!("{hidden}/rootfs")).unwrap();
    s.spec.set("root.path", format!("{hidden}/rootfs"));
    let output = run_as_user(s, &["/bin/true"]).fails_somehow();
    assert!(output.stderr.contains(&hidden), "{}", output.stderr);
    told(s, &output, "must be allowed to search every directory");
}
