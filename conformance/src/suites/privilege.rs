//! Privilege of the runtime's own files and descriptors: modes whatever the umask, state roots that others rule, descriptors
//! that reach the wrong process.

use crate::case::{cases, skip};
use crate::cloexec;
use crate::inspect::Report;
use crate::process;
use crate::sandbox::Sandbox;
use crate::suites::terminal::receive;
use crate::suites::trace::under_strace;
use serde_json::json;
use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;

cases!("privilege":
    modes_whatever_the_umask, root_of_another_is_refused, root_that_all_may_write_is_refused, root_behind_a_link,
    directory_of_another_in_a_shared_root, hooks_of_every_kind_get_three, exec_and_terminal_get_three,
    descriptors_are_close_on_exec_from_birth,
);

/// What only trun promises.
fn only_trun(s: &Sandbox) {
    if s.environment.runtime_name != "trun" {
        skip("a promise of trun's own");
    }
}

fn mode(path: &Path) -> u32 {
    let data = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    data.permissions().mode() & 0o7777
}

fn modes_whatever_the_umask(s: &mut Sandbox) {
    only_trun(s);
    s.spec.args(&["/inspect", "wait"]);
    for mask in ["000", "022", "077"] {
        let above = s.environment.directory.join(format!("above-{mask}"));
        let root = above.join("root");
        let socket = UnixDatagram::bind(s.path(&format!("notify-{mask}"))).unwrap();
        let log = s.environment.directory.join(format!("log-{mask}"));
        let globals = || {
            [
                "--root".to_owned(),
                root.display().to_string(),
                "--log".to_owned(),
                log.display().to_string(),
            ]
        };
        s.create_call(&[])
            .globals(globals())
            .prelude(&format!("umask {mask}"))
            .env("NOTIFY_SOCKET", s.path(&format!("notify-{mask}")))
            .run()
            .ok();
        drop(socket);
        let directory = root.join(&s.id);
        let found = [
            ("above the root", mode(&above), 0o711),
            ("the root", mode(&root), 0o711),
            ("the directory", mode(&directory), 0o711),
            ("state.json", mode(&directory.join("state.json")), 0o600),
            ("config.json", mode(&directory.join("config.json")), 0o600),
            ("exec.fifo", mode(&directory.join("exec.fifo")), 0o600),
            ("result.fifo", mode(&directory.join("result.fifo")), 0o600),
            ("notify", mode(&directory.join("notify")), 0o755),
        ];
        let files = [
            ("the pid file", mode(&s.pid_file())),
            ("the log", mode(&log)),
        ];
        let pid = s.pid();
        s.call(&["delete", "--force", &s.id])
            .globals(globals())
            .run()
            .ok();
        process::reap(pid, std::time::Duration::from_secs(5));
        for (what, found, wanted) in found {
            assert_eq!(
                found, wanted,
                "umask {mask}: {what} has {found:o}, not {wanted:o}"
            );
        }
        for (what, found) in files {
            assert_eq!(found & 0o022, 0, "umask {mask}: {what} has {found:o}");
        }
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        fs::remove_file(s.pid_file()).unwrap();
    }
}

/// A root at `root` is refused by every verb, with these words, and nothing is made in it.
fn refused(s: &Sandbox, root: &Path, words: &str) {
    let globals = || ["--root".to_owned(), root.display().to_string()];
    for arguments in [
        vec!["list"],
        vec!["state", &s.id],
        vec!["delete", "--force", &s.id],
        vec!["kill", &s.id],
    ] {
        s.call(&arguments).globals(globals()).run().fails(1, words);
    }
    s.create_call(&[]).globals(globals()).run().fails(1, words);
    assert_eq!(fs::read_dir(root).unwrap().count(), 0);
}

fn root_of_another_is_refused(s: &mut Sandbox) {
    only_trun(s);
    let root = s.environment.directory.join("other");
    fs::create_dir(&root).unwrap();
    chown(&root, Some(1000), Some(1000)).unwrap();
    refused(s, &root, "it belongs to user 1000");
    // Behind a link too.
    let link = s.environment.directory.join("link");
    symlink(&root, &link).unwrap();
    refused(s, &link, "it belongs to user 1000");
}

fn root_that_all_may_write_is_refused(s: &mut Sandbox) {
    only_trun(s);
    let root = s.environment.directory.join("open");
    fs::create_dir(&root).unwrap();
    for open in [0o777, 0o702] {
        fs::set_permissions(&root, fs::Permissions::from_mode(open)).unwrap();
        refused(s, &root, "everybody may write to it");
    }
    // Nobody but the owner may exchange what is in a sticky one, and a group is the owner's own choice.
    for closed in [0o1777, 0o775, 0o700] {
        fs::set_permissions(&root, fs::Permissions::from_mode(closed)).unwrap();
        let root = root.display().to_string();
        s.run_call(&[]).globals(["--root", &root]).run().ok();
    }
}

fn root_behind_a_link(s: &mut Sandbox) {
    let (root, link) = (s.environment.directory.join("real"), s.path("by-link"));
    fs::create_dir(&root).unwrap();
    symlink(&root, &link).unwrap();
    s.run_call(&[]).globals(["--root", &link]).run().ok();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

fn directory_of_another_in_a_shared_root(s: &mut Sandbox) {
    only_trun(s);
    let root = s.environment.directory.join("shared");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o1777)).unwrap();
    let planted = root.join(&s.id);
    fs::create_dir(&planted).unwrap();
    chown(&planted, Some(1000), Some(1000)).unwrap();
    let globals = || ["--root".to_owned(), root.display().to_string()];
    let words = "it belongs to user 1000";
    s.create_call(&[]).globals(globals()).run().fails(1, words);
    s.call(&["delete", "--force", &s.id])
        .globals(globals())
        .run()
        .fails(1, words);
    // The others are listed all the same.
    s.call(&["list", "--quiet"]).globals(globals()).run().ok();
    fs::remove_dir(&planted).unwrap();
}

/// Numbers that a listing of /proc/self/fd by `ls` has; its own directory is the fourth.
fn numbers(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.split_whitespace().map(str::to_owned).collect()
}

fn hooks_of_every_kind_get_three(s: &mut Sandbox) {
    const KINDS: [&str; 6] = [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ];
    let directory = s.environment.directory.join("seen");
    fs::create_dir(&directory).unwrap();
    s.spec
        .bind(&directory, &directory.display().to_string(), &[]);
    for kind in KINDS {
        let script = format!("ls /proc/self/fd > {}/{kind}", directory.display());
        s.spec.push(
            &format!("hooks.{kind}"),
            json!({"path": "/bin/sh", "args": ["sh", "-c", script]}),
        );
    }
    s.spec.args(&["/inspect", "report"]);
    // Neither what the caller left open nor what it wants passed on is for a hook.
    let open = "3</dev/null 4</etc 7</etc 8</dev/null 9</etc";
    let output = s
        .run_call(&["--preserve-fds", "1"])
        .redirect(open)
        .run()
        .ok();
    let report = Report::parse(&output.stdout);
    let fds: Vec<&String> = report.0["fds"].as_object().unwrap().keys().collect();
    assert_eq!(fds, ["0", "1", "2", "3"], "of the program");
    for kind in KINDS {
        let seen = numbers(&directory.join(kind));
        let own = seen.iter().filter(|number| number.as_str() != "3").count();
        assert!(
            own == 3 && seen.len() <= 4 && seen.starts_with(&["0".into(), "1".into(), "2".into()]),
            "{kind}: {seen:?}"
        );
    }
}

fn exec_and_terminal_get_three(s: &mut Sandbox) {
    s.start_waiting();
    let open = "3</dev/null 4</etc 7</etc 9</dev/null";
    let plain = s
        .exec_call(&[], &["/inspect", "report"])
        .redirect(open)
        .run()
        .ok();
    let kept = s
        .exec_call(&["--preserve-fds", "2"], &["/inspect", "report"])
        .redirect(open)
        .run()
        .ok();
    let socket = s.path("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let pid_file = s.path("exec.pid");
    let flags = [
        "--tty",
        "--detach",
        "--console-socket",
        &socket,
        "--pid-file",
        &pid_file,
    ];
    let listing = format!("ls /proc/self/fd > {}; echo done", "/var/data/listed");
    s.exec_call(&flags, &["/bin/sh", "-c", &listing])
        .redirect(open)
        .run()
        .ok();
    let (_master, _) = receive(&listener);
    let fds = |output: &crate::runtime::Output| -> Vec<String> {
        let report = Report::parse(&output.stdout);
        report.0["fds"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(fds(&plain), ["0", "1", "2"]);
    assert_eq!(fds(&kept), ["0", "1", "2", "3", "4"]);
    let listed = s.rootfs.join("var/data/listed");
    // It is ours to reap: as a zombie it would hold up the end of its pid namespace.
    let shell = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    assert_eq!(
        process::reap(shell, std::time::Duration::from_secs(5)),
        Some(0)
    );
    assert_eq!(
        numbers(&listed),
        ["0", "1", "2", "3"],
        "with a terminal; 3 is the listing"
    );
    s.stop();
}

/// One container with all that makes descriptors, each of its calls under strace.
fn descriptors_are_close_on_exec_from_birth(s: &mut Sandbox) {
    let console = s.path("console.sock");
    let listener = UnixListener::bind(&console).unwrap();
    let touch = json!({"path": "/bin/true", "args": ["true"]});
    for kind in [
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ] {
        s.spec.push(&format!("hooks.{kind}"), touch.clone());
    }
    s.spec
        .args(&["/inspect", "wait"])
        .set("process.terminal", true)
        .set("root.readonly", true)
        .set("linux.maskedPaths", json!(["/proc/kcore", "/proc/scsi"]))
        .set("linux.readonlyPaths", json!(["/proc/bus"]))
        .set("linux.resources", json!({"pids": {"limit": 100}, "memory": {"limit": 1 << 28}}))
        .set("linux.seccomp", json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ERRNO"}]}));
    let id = s.id.clone();
    let names = RefCell::new(Vec::new());
    let traced = |call: crate::runtime::Call, name: &'static str| {
        let mut call = under_strace(call, &s.path(name));
        // Beside the runtime, not above it: it ends when the runtime does, and strace with the container.
        call.globals.insert(0, "-D".into());
        call.run().ok();
        names.borrow_mut().push(name);
    };
    let flags = ["--console-socket", &console, "--preserve-fds", "1"];
    traced(s.create_call(&flags).redirect("3</etc"), "create");
    let (master, _) = receive(&listener);
    traced(s.call(&["start", &id]), "start");
    traced(
        s.exec_call(
            &["--detach", "--tty", "--console-socket", &console],
            &["/bin/true"],
        ),
        "exec-terminal",
    );
    let (second, _) = receive(&listener);
    traced(s.exec_call(&[], &["/bin/true"]), "exec");
    traced(s.call(&["list"]), "list");
    traced(s.call(&["update", "--pids-limit", "50", &id]), "update");
    traced(s.call(&["pause", &id]), "pause");
    traced(s.call(&["resume", &id]), "resume");
    traced(s.call(&["kill", &id, "KILL"]), "kill");
    // The detached exec is ours to reap, and init waits for it.
    let ended = process::eventually(std::time::Duration::from_secs(5), || {
        process::reap_all();
        s.status() == "stopped"
    });
    assert!(ended, "{}", s.state());
    traced(s.call(&["delete", &id]), "delete");
    drop((master, second));
    let mut total = 0;
    for name in names.into_inner() {
        let (problems, looked) = cloexec::check(&fs::read_to_string(s.path(name)).unwrap());
        assert!(problems.is_empty(), "{name}: {}", problems.join("\n"));
        total += looked;
    }
    assert!(total > 100, "only {total} calls were looked at");
}
