//! create, start, run, kill, delete, state: order, flags and refusals (contract 1.4 and 2.1).

use crate::case::cases;
use crate::process;
use crate::sandbox::Sandbox;
use std::fs;
use std::time::Duration;

cases!("lifecycle":
    pid_file_is_decimal_without_newline, pid_file_of_run, init_is_reparented_to_the_caller, create_keeps_no_helper,
    create_returns_while_stdout_is_a_pipe, bundle_defaults_to_the_current_directory, bundle_relative,
    single_dash_long_flags, short_flags, flag_with_equals, id_taken, id_taken_by_run, start_twice, start_absent,
    start_of_a_stopped_one, delete_of_a_running_one, delete_of_a_created_one, delete_force_running, delete_force_absent,
    delete_absent, kill_absent, state_absent, create_then_kill_without_start, run_detached, run_keep,
    run_deletes_itself, program_ends_before_delete, zombie_init_is_stopped, no_pivot, no_new_keyring,
    new_session_keyring, exec_fifo_while_created, relative_rootfs_path, absolute_rootfs_path, cwd_is_created,
    no_helper_after_run, missing_bundle, missing_rootfs, start_forwards_the_failure,
    two_containers_at_once,
);

fn pid_file_is_decimal_without_newline(s: &mut Sandbox) {
    s.create();
    let text = fs::read_to_string(s.pid_file()).unwrap();
    assert!(
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
        "{text:?}"
    );
    assert_eq!(s.state()["pid"], s.pid());
}

fn pid_file_of_run(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    let pid_file = s.pid_file().to_string_lossy().into_owned();
    let output = s
        .run_call(&["--detach", "--pid-file", &pid_file])
        .run()
        .ok();
    s.output = output.stdout_file;
    s.wait_output("ready");
    assert_eq!(s.state()["pid"], s.pid());
    s.stop();
}

fn init_is_reparented_to_the_caller(s: &mut Sandbox) {
    s.create();
    assert_eq!(process::parent(s.pid()), Some(std::process::id() as i32));
}

fn create_keeps_no_helper(s: &mut Sandbox) {
    s.create();
    process::reap_all();
    assert_eq!(process::descendants(std::process::id() as i32), [s.pid()]);
}

fn create_returns_while_stdout_is_a_pipe(s: &mut Sandbox) {
    // A caller reads until end of file: only the container may hold the other end, and it ends with it.
    s.spec.args(&["/bin/echo", "done"]);
    s.write_spec();
    let runtime = |verb: &str| {
        let globals = s.call(&[]).globals;
        let globals: Vec<_> = globals.iter().map(|word| word.to_string_lossy()).collect();
        format!(
            "{} {} {verb}",
            s.environment.runtime.display(),
            globals.join(" ")
        )
    };
    let script = format!(
        "{} --bundle {} {} && {} {}",
        runtime("create"),
        s.bundle_text(),
        s.id,
        runtime("start"),
        s.id
    );
    let mut call = s
        .call(&[])
        .globals(["-c", &format!("({script}) 2>&1 | cat")]);
    call.program = "/bin/sh".into();
    assert_eq!(call.run().ok().stdout, "done\n");
}

fn bundle_defaults_to_the_current_directory(s: &mut Sandbox) {
    s.spec.args(&["/bin/echo", "here"]);
    s.write_spec();
    assert_eq!(
        s.call(&["run", &s.id])
            .current_dir(&s.bundle)
            .run()
            .ok()
            .stdout,
        "here\n"
    );
}

fn bundle_relative(s: &mut Sandbox) {
    s.write_spec();
    s.call(&["create", "--bundle", "./bundle", &s.id])
        .run()
        .ok();
    assert_eq!(
        s.state()["bundle"],
        s.bundle_text(),
        "the bundle is absolute in the state"
    );
}

fn single_dash_long_flags(s: &mut Sandbox) {
    s.write_spec();
    let (bundle, pid_file) = (s.bundle_text(), s.path("single.pid"));
    s.call(&["create", "-bundle", &bundle, "-pid-file", &pid_file, &s.id])
        .run()
        .ok();
    assert!(fs::metadata(pid_file).is_ok());
    s.call(&["delete", "-force", &s.id]).run().ok();
    let root = s.environment.root.to_string_lossy().into_owned();
    s.call(&["run", "-bundle", &bundle, "-no-subreaper", &s.id])
        .globals(["-root", &root])
        .run()
        .ok();
}

fn short_flags(s: &mut Sandbox) {
    s.write_spec();
    let bundle = s.bundle_text();
    s.call(&["run", "-b", &bundle, "-d", &s.id]).run().ok();
    s.call(&["delete", "-f", &s.id]).run().ok();
}

fn flag_with_equals(s: &mut Sandbox) {
    s.write_spec();
    let bundle = format!("--bundle={}", s.bundle_text());
    let root = format!("--root={}", s.environment.root.display());
    s.call(&["run", &bundle, "--detach=false", &s.id])
        .globals([&root])
        .run()
        .ok();
}

fn id_taken(s: &mut Sandbox) {
    s.create();
    s.create_call(&[])
        .run()
        .fails(1, "container with given ID already exists");
    assert_eq!(s.status(), "created", "the first one is untouched");
}

fn id_taken_by_run(s: &mut Sandbox) {
    s.start_waiting();
    s.run().fails(1, "container with given ID already exists");
    assert_eq!(s.status(), "running");
}

fn start_twice(s: &mut Sandbox) {
    s.start_waiting();
    s.start()
        .fails(1, "cannot start an already running container");
    assert_eq!(s.status(), "running");
}

fn start_absent(s: &mut Sandbox) {
    s.start().fails(1, "container does not exist");
}

fn start_of_a_stopped_one(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    assert_eq!(s.reap(), 0);
    s.start()
        .fails(1, "cannot start a container that has stopped");
}

fn delete_of_a_running_one(s: &mut Sandbox) {
    s.start_waiting();
    let words = format!(
        "cannot delete container {} that is not stopped: running",
        s.id
    );
    s.delete().fails(1, &words);
    assert_eq!(s.status(), "running");
}

fn delete_of_a_created_one(s: &mut Sandbox) {
    // runc kills a container that was created and never started.
    s.create();
    s.delete().ok();
    assert_eq!(s.reap(), 137);
    s.call(&["state", &s.id])
        .run()
        .fails(1, "container does not exist");
}

fn delete_force_running(s: &mut Sandbox) {
    s.start_program(&["/inspect", "stubborn"]);
    s.call(&["delete", "--force", &s.id]).run().ok();
    assert_eq!(s.reap(), 137);
    s.call(&["state", &s.id])
        .run()
        .fails(1, "container does not exist");
}

fn delete_force_absent(s: &mut Sandbox) {
    let output = s.call(&["delete", "--force", &s.id]).run().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
}

fn delete_absent(s: &mut Sandbox) {
    s.delete().fails(1, "container does not exist");
}

fn kill_absent(s: &mut Sandbox) {
    s.kill("KILL").fails(1, "container does not exist");
}

fn state_absent(s: &mut Sandbox) {
    let output = s
        .call(&["state", &s.id])
        .run()
        .fails(1, "container does not exist");
    assert!(
        !output.stderr.to_lowercase().contains("no such file"),
        "podman would map this to 127: {}",
        output.stderr
    );
}

fn create_then_kill_without_start(s: &mut Sandbox) {
    s.create();
    s.kill("KILL").ok();
    assert_eq!(s.reap(), 137);
    assert_eq!(s.status(), "stopped");
    s.delete().ok();
}

fn run_detached(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    let pid_file = s.pid_file().to_string_lossy().into_owned();
    s.output = s
        .run_call(&["-d", "--pid-file", &pid_file])
        .run()
        .ok()
        .stdout_file;
    s.wait_output("ready");
    assert_eq!(s.status(), "running");
    s.stop();
}

fn run_keep(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "exit", "3"]);
    s.run_call(&["--keep"]).run().exits(3);
    assert_eq!(s.status(), "stopped");
    assert!(
        s.environment.systemd || s.cgroup("memory").exists(),
        "its groups stay for their statistics"
    );
    s.delete().ok();
}

fn run_deletes_itself(s: &mut Sandbox) {
    s.run().ok();
    s.call(&["state", &s.id])
        .run()
        .fails(1, "container does not exist");
    assert!(!s.cgroup("memory").exists());
}

fn program_ends_before_delete(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "exit", "9"]);
    s.create();
    s.start().ok();
    assert_eq!(s.reap(), 9);
    let state = s.state();
    assert_eq!(
        (&state["status"], &state["pid"]),
        (&"stopped".into(), &0.into())
    );
    s.delete().ok();
}

fn zombie_init_is_stopped(s: &mut Sandbox) {
    s.spec.args(&["/bin/true"]);
    s.create();
    s.start().ok();
    // Not reaped: the harness is the parent and does not wait.
    assert!(process::eventually(
        Duration::from_secs(5),
        || process::state(s.pid()) == Some('Z')
    ));
    assert_eq!(s.status(), "stopped");
    s.kill("TERM").fails(1, "container not running");
    s.delete().ok();
}

fn no_pivot(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "report", "list:/"]);
    let output = s.run_call(&["--no-pivot"]).run().ok();
    let report = crate::inspect::Report::parse(&output.stdout);
    let names = report.probe("list:/")["names"].to_string();
    assert!(names.contains("\"inspect\""), "{names}");
}

fn no_new_keyring(s: &mut Sandbox) {
    let ours = fs::read_to_string("/proc/keys").unwrap_or_default();
    s.spec.args(&["/inspect", "report"]);
    let output = s.run_call(&["--no-new-keyring"]).run().ok();
    let report = crate::inspect::Report::parse(&output.stdout);
    let name = report.0["keyring_description"].as_str().unwrap_or_default();
    assert!(
        !name.contains(&s.id),
        "a keyring of its own: {name}; host: {ours}"
    );
}

fn new_session_keyring(s: &mut Sandbox) {
    let report = s.inspect(&[]);
    let name = report.0["keyring_description"].as_str().unwrap_or_default();
    assert!(name.contains(&format!("_ses.{}", s.id)), "{name:?}");
}

fn exec_fifo_while_created(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    let fifo = s.environment.root.join(&s.id).join("exec.fifo");
    assert!(fifo.exists());
    s.start().ok();
    assert!(process::eventually(Duration::from_secs(2), || !fifo.exists()));
    s.wait_output("ready");
    s.stop();
}

fn relative_rootfs_path(s: &mut Sandbox) {
    s.spec.set("root.path", "./rootfs/../rootfs");
    s.run().ok();
}

fn absolute_rootfs_path(s: &mut Sandbox) {
    let path = s.rootfs.to_string_lossy().into_owned();
    s.spec.set("root.path", path.clone());
    s.create();
    assert_eq!(s.state()["rootfs"], path);
}

fn cwd_is_created(s: &mut Sandbox) {
    s.spec.set("process.cwd", "/made/by/the/runtime");
    assert_eq!(s.inspect(&[]).text("cwd"), "/made/by/the/runtime");
}

fn no_helper_after_run(s: &mut Sandbox) {
    s.run().ok();
    process::reap_all();
    let left = process::descendants(std::process::id() as i32);
    assert!(
        left.is_empty(),
        "{:?}",
        left.into_iter().map(process::describe).collect::<Vec<_>>()
    );
}

fn missing_bundle(s: &mut Sandbox) {
    let output = s
        .call(&["run", "--bundle", "/nonexistent/bundle", &s.id])
        .run()
        .fails_somehow();
    assert!(
        output.stderr.contains("/nonexistent/bundle"),
        "{}",
        output.stderr
    );
    let empty = s.path("empty");
    fs::create_dir(&empty).unwrap();
    let output = s
        .call(&["run", "--bundle", &empty, &s.id])
        .run()
        .fails_somehow();
    assert!(output.stderr.contains("config.json"), "{}", output.stderr);
}

fn missing_rootfs(s: &mut Sandbox) {
    s.spec.set("root.path", "absent");
    let output = s.run().exits(1);
    assert!(
        output.stderr.contains("absent"),
        "the path is named: {}",
        output.stderr
    );
}

fn start_forwards_the_failure(s: &mut Sandbox) {
    // Removed between create and start: only start can see it.
    s.spec.args(&["/bin/script"]);
    s.create();
    fs::remove_file(s.rootfs.join("bin/script")).unwrap();
    let output = s.start();
    assert!(
        output.code != 0 || s.reap() != 0,
        "neither start nor the container's status tells"
    );
}

fn two_containers_at_once(s: &mut Sandbox) {
    let mut other = s.sibling("b");
    s.start_waiting();
    other.start_waiting();
    let list = s.call(&["list", "--quiet"]).run().ok().stdout;
    let mut ids: Vec<&str> = list.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, [s.id.as_str(), other.id.as_str()]);
    s.stop();
    assert_eq!(other.status(), "running");
    other.stop();
}
