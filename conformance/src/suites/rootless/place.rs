//! Where a user's state goes, and what --rootless says.

use super::{USER, as_user, only_trun, prepare, run_as_user, without_systemd};
use crate::case::cases;
use crate::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::PermissionsExt;

cases!("rootless":
    no_runtime_directory, runtime_directory_of_another, runtime_directory_absent_but_root_given, state_is_the_users_alone, rootless_flag_values,
    rootless_true_as_root, rootless_false_as_user, list_and_state, plan_as_user,
);

fn no_runtime_directory(s: &mut Sandbox) {
    prepare(s);
    only_trun(s);
    let call = s.run_call(&[]).globals(Vec::<&str>::new()).user(USER);
    let output = call.run().fails_somehow();
    for words in ["/run/trun", "XDG_RUNTIME_DIR", "--root"] {
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
}

fn runtime_directory_of_another(s: &mut Sandbox) {
    prepare(s);
    only_trun(s);
    let foreign = s.path("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    let call = s
        .run_call(&[])
        .globals(Vec::<&str>::new())
        .user(USER)
        .env("XDG_RUNTIME_DIR", &foreign);
    let output = call.run().fails_somehow();
    for words in [foreign.as_str(), "XDG_RUNTIME_DIR", "--root"] {
        assert!(output.stderr.contains(words), "{words}: {}", output.stderr);
    }
}

fn runtime_directory_absent_but_root_given(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/bin/echo", "given"]);
    let call = without_systemd(s.run_call(&[]));
    assert_eq!(call.user(USER).run().ok().stdout, "given\n");
}

fn state_is_the_users_alone(s: &mut Sandbox) {
    use std::os::unix::fs::MetadataExt;
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]).globals(Vec::<&str>::new());
    as_user(s, call).run().ok();
    let xdg = s.environment.directory.join("xdg");
    let root = fs::read_dir(&xdg).unwrap().flatten().next().unwrap().path();
    let seen = fs::metadata(&root).unwrap();
    assert_eq!((seen.uid(), seen.mode() & 0o7777), (USER, 0o1700));
    let delete = s
        .call(&["delete", "--force", &s.id])
        .globals(Vec::<&str>::new());
    as_user(s, delete).run().ok();
    s.reap();
}

fn rootless_flag_values(s: &mut Sandbox) {
    prepare(s);
    for value in ["auto", "true"] {
        s.spec.args(&["/bin/echo", value]);
        let call = s.run_call(&[]).global(["--rootless", value]);
        assert_eq!(as_user(s, call).run().ok().stdout, format!("{value}\n"));
    }
    let call = s.run_call(&[]).global(["--rootless=maybe"]);
    as_user(s, call).run().fails_somehow();
}

fn rootless_true_as_root(s: &mut Sandbox) {
    // As containerd's option does: root gives up what it could not keep, and still makes a container.
    s.spec
        .remove("linux.cgroupsPath")
        .args(&["/bin/echo", "root"]);
    let call = without_systemd(s.run_call(&[])).global(["--rootless=true"]);
    assert_eq!(call.run().ok().stdout, "root\n");
}

fn rootless_false_as_user(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/bin/true"]);
    let call = s.run_call(&[]).global(["--rootless=false"]);
    let output = as_user(s, call).run().fails_somehow();
    assert!(
        output.stderr.contains("cgroup") || output.stderr.contains("permission"),
        "{}",
        output.stderr
    );
}

fn list_and_state(s: &mut Sandbox) {
    prepare(s);
    s.spec.args(&["/inspect", "wait"]);
    let call = s.create_call(&[]);
    as_user(s, call).run().ok();
    let listed = as_user(s, s.call(&["list", "--format", "json"]))
        .run()
        .ok()
        .stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["status"]),
        (&s.id.as_str().into(), &"created".into())
    );
    // Another user sees nothing of it.
    let foreign = s.call(&["state", &s.id]).user(USER + 1).run();
    assert_ne!(foreign.code, 0, "{}", foreign.stdout);
    as_user(s, s.call(&["delete", "--force", &s.id])).run().ok();
    s.reap();
}

fn plan_as_user(s: &mut Sandbox) {
    prepare(s);
    only_trun(s);
    s.spec.args(&["/bin/true"]);
    s.write_spec();
    let bundle = s.bundle_text();
    let plan = as_user(s, s.call(&["plan", "--bundle", &bundle]))
        .run()
        .ok()
        .stdout;
    for line in [
        format!("write maps uid 0:{USER}:1 gid 0:{USER}:1 setgroups denied"),
        "or on EPERM,EBUSY: rbind /sys on directory /sys".to_owned(),
        "bind /dev/null on file /dev/null".to_owned(),
    ] {
        assert!(plan.contains(&line), "{line:?} is not in\n{plan}");
    }
    run_as_user(s, &["/bin/true"]).ok();
}
