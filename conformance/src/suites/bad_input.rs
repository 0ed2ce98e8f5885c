//! Hostile and unlucky input: broken config.json, races, damaged state, a full disk, a killed runtime.

use crate::case::cases;
use crate::leaks;
use crate::process;
use crate::sandbox::{Container, Sandbox};
use rustix::process::Signal;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

cases!("bad-input":
    truncated_config, not_an_object, huge_config, deep_nesting, wrong_types, not_utf8, huge_numbers, empty_strings, nul_bytes, many_keys, config_is_a_fifo_free_path, two_creates_at_once, two_deletes_at_once, start_and_delete_at_once, many_creates_at_once, state_file_removed, state_file_truncated, state_file_garbage, state_directory_removed, state_directory_empty, foreign_files_in_the_root, full_disk, read_only_root, root_is_a_file, root_is_made, bundle_removed_after_create, rootfs_is_a_symlink, rootfs_is_a_file, internal_variables_ignored, cwd_of_leaked_descriptors, closed_stdio,
);

fn refuses(s: &Sandbox, text: &[u8], what: &str) {
    fs::write(s.bundle.join("config.json"), text).unwrap();
    let bundle = s.bundle_text();
    let output = s.call(&["run", "--bundle", &bundle, &s.id]).run();
    assert!(
        output.code == 1,
        "{what}: {} {}",
        output.code,
        output.stderr.chars().take(300).collect::<String>()
    );
    assert!(!output.stderr.trim().is_empty(), "{what}: no message");
    assert!(
        output.stderr.len() < 10_000,
        "{what}: a message of {} bytes",
        output.stderr.len()
    );
    s.call(&["state", &s.id]).run().fails(1, "does not exist");
}

fn truncated_config(s: &mut Sandbox) {
    let whole = s.spec.to_string();
    for part in [0, 1, 10, whole.len() / 2, whole.len() - 1] {
        refuses(s, &whole.as_bytes()[..part], &format!("{part} bytes"));
    }
}

fn not_an_object(s: &mut Sandbox) {
    for text in ["[]", "5", "\"text\"", "null", "true", "{}{}"] {
        refuses(s, text.as_bytes(), text);
    }
}

fn huge_config(s: &mut Sandbox) {
    // 100 MiB in one string of an annotation: refused or run, in bounded time, and nothing is left.
    s.spec
        .set("annotations", json!({"large": "x".repeat(100 << 20)}));
    let output = s.run();
    assert!(
        matches!(output.code, 0 | 1),
        "{}",
        output.stderr.chars().take(300).collect::<String>()
    );
    assert!(
        output.stderr.len() < 10_000,
        "a message of {} bytes",
        output.stderr.len()
    );
}

fn deep_nesting(s: &mut Sandbox) {
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    refuses(s, deep.as_bytes(), "200,000 levels");
}

fn wrong_types(s: &mut Sandbox) {
    for (path, value) in [
        ("process.args", json!("text")),
        ("process.env", json!({"A": "b"})),
        ("process.user.uid", json!("root")),
        ("process.terminal", json!("yes")),
        ("mounts", json!({})),
        ("linux.namespaces", json!("all")),
        ("linux.resources.memory.limit", json!("1g")),
        ("root", json!("rootfs")),
        ("root.path", json!(5)),
        ("hooks.prestart", json!([5])),
    ] {
        let mut copy = crate::spec::Spec::new("/unused");
        copy.set(path, value);
        refuses(s, copy.to_string().as_bytes(), path);
    }
}

fn not_utf8(s: &mut Sandbox) {
    refuses(
        s,
        b"{\"ociVersion\": \"1.0.0\xff",
        "bytes that are no UTF-8",
    );
}

fn huge_numbers(s: &mut Sandbox) {
    for text in [
        "1e400",
        "99999999999999999999999999",
        "1.5",
        "-99999999999999999999",
    ] {
        let config = s
            .spec
            .to_string()
            .replace("\"uid\":0", &format!("\"uid\":{text}"));
        refuses(s, config.as_bytes(), text);
    }
}

fn empty_strings(s: &mut Sandbox) {
    s.spec.set("root.path", "").push(
        "mounts",
        json!({"destination": "", "type": "", "source": ""}),
    );
    s.run().fails_somehow().exits(1);
}

fn nul_bytes(s: &mut Sandbox) {
    for (path, value) in [
        ("process.args", json!(["/bin/echo", "a\u{0}b"])),
        ("process.cwd", json!("/tmp\u{0}/x")),
        ("process.env", json!(["A=\u{0}"])),
        ("hostname", json!("a\u{0}b")),
    ] {
        let before = s.spec.to_string();
        s.spec.set(path, value);
        let output = s.run();
        assert!(
            output.code == 1,
            "{path}: {} {}",
            output.code,
            output.stderr
        );
        *s.spec = serde_json::from_str(&before).unwrap();
    }
}

fn many_keys(s: &mut Sandbox) {
    let map: serde_json::Map<_, _> = (0..20_000)
        .map(|number| (format!("key{number}"), json!("value")))
        .collect();
    s.spec.set("annotations", map);
    s.run().ok();
}

fn config_is_a_fifo_free_path(s: &mut Sandbox) {
    symlink("/nonexistent/config.json", s.bundle.join("config.json")).unwrap();
    let bundle = s.bundle_text();
    s.call(&["run", "--bundle", &bundle, &s.id])
        .run()
        .fails_somehow()
        .exits(1);
}

fn two_creates_at_once(s: &mut Sandbox) {
    s.write_spec();
    for _ in 0..5 {
        let running: Vec<_> = (0..2)
            .map(|number| {
                let pid_file = s.path(&format!("pid{number}"));
                let bundle = s.bundle_text();
                s.call(&[
                    "create",
                    "--bundle",
                    &bundle,
                    "--pid-file",
                    &pid_file,
                    &s.id,
                ])
                .spawn()
            })
            .collect();
        let outputs: Vec<_> = running
            .into_iter()
            .map(|one| one.finish(Duration::from_secs(20)))
            .collect();
        let won = outputs.iter().filter(|output| output.code == 0).count();
        assert_eq!(
            won,
            1,
            "{:?}",
            outputs
                .iter()
                .map(|output| &output.stderr)
                .collect::<Vec<_>>()
        );
        let lost = outputs.iter().find(|output| output.code != 0).unwrap();
        assert!(lost.stderr.contains("already exists"), "{}", lost.stderr);
        assert_eq!(s.status(), "created");
        s.call(&["delete", "--force", &s.id]).run().ok();
    }
}

fn many_creates_at_once(s: &mut Sandbox) {
    let others: Vec<Container> = (0..6)
        .map(|number| s.sibling(&number.to_string()))
        .collect();
    let running: Vec<_> = others
        .iter()
        .map(|one| one.create_call(&[]).spawn())
        .collect();
    for one in running {
        one.finish(Duration::from_secs(20)).ok();
    }
    for one in &others {
        assert_eq!(one.status(), "created");
        one.call(&["delete", "--force", &one.id]).run().ok();
    }
}

fn two_deletes_at_once(s: &mut Sandbox) {
    for _ in 0..5 {
        s.create();
        let running: Vec<_> = (0..2)
            .map(|_| s.call(&["delete", "--force", &s.id]).spawn())
            .collect();
        let outputs: Vec<_> = running
            .into_iter()
            .map(|one| one.finish(Duration::from_secs(20)))
            .collect();
        assert!(outputs.iter().any(|output| output.code == 0), "{outputs:?}");
        s.call(&["state", &s.id]).run().fails(1, "does not exist");
    }
}

fn start_and_delete_at_once(s: &mut Sandbox) {
    for _ in 0..5 {
        s.spec.args(&["/inspect", "wait"]);
        s.create();
        let start = s.call(&["start", &s.id]).spawn();
        let delete = s.call(&["delete", "--force", &s.id]).spawn();
        start.finish(Duration::from_secs(20));
        delete.finish(Duration::from_secs(20));
        s.call(&["delete", "--force", &s.id]).run().ok();
    }
}

/// Damages the state of a running container, then asks for its removal.
fn damaged(s: &mut Sandbox, damage: impl Fn(&std::path::Path)) {
    s.start_waiting();
    let directory = s.environment.root.join(&s.id);
    damage(&directory);
    let output = s.call(&["state", &s.id]).run();
    assert!(output.code == 1 && !output.stderr.is_empty(), "{output:?}");
    s.call(&["delete", "--force", &s.id]).run();
    // What the damaged record named may still run; what the runtime can still find, it must have ended.
    process::kill(s.pid(), Signal::KILL);
    s.reap();
    s.call(&["delete", "--force", &s.id]).run();
    let _ = fs::remove_dir_all(&directory);
    for group in leaks::cgroups(&s.environment.tag).into_iter().rev() {
        let _ = fs::remove_dir(group);
    }
}

fn state_file(directory: &std::path::Path) -> std::path::PathBuf {
    ["state.json", "status"]
        .into_iter()
        .map(|name| directory.join(name))
        .find(|path| path.exists())
        .expect("a state file")
}

fn state_file_removed(s: &mut Sandbox) {
    damaged(s, |directory| {
        fs::remove_file(state_file(directory)).unwrap()
    });
}

fn state_file_truncated(s: &mut Sandbox) {
    damaged(s, |directory| {
        let path = state_file(directory);
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() / 2]).unwrap();
    });
}

fn state_file_garbage(s: &mut Sandbox) {
    damaged(s, |directory| {
        fs::write(state_file(directory), b"\x00\xff not json").unwrap()
    });
}

fn state_directory_removed(s: &mut Sandbox) {
    damaged(s, |directory| fs::remove_dir_all(directory).unwrap());
}

fn state_directory_empty(s: &mut Sandbox) {
    // As a killed create may leave it.
    fs::create_dir_all(s.environment.root.join(&s.id)).unwrap();
    s.call(&["delete", "--force", &s.id]).run().ok();
    assert!(
        !s.environment.root.join(&s.id).exists(),
        "delete --force removes what is left of a create"
    );
}

fn foreign_files_in_the_root(s: &mut Sandbox) {
    fs::create_dir_all(&s.environment.root).unwrap();
    fs::write(s.environment.root.join("a-file"), "x").unwrap();
    fs::create_dir(s.environment.root.join("odd name")).unwrap();
    s.create();
    let output = s.call(&["list", "--quiet"]).run();
    assert!(output.stdout.contains(&s.id), "{output:?}");
    fs::remove_file(s.environment.root.join("a-file")).unwrap();
    fs::remove_dir(s.environment.root.join("odd name")).unwrap();
}

/// A file system of a few pages under the state root.
struct TinyRoot(String);

impl TinyRoot {
    fn new(s: &Sandbox, options: &str, flags: rustix::mount::MountFlags) -> Self {
        let path = s.path("tiny");
        fs::create_dir(&path).unwrap();
        let data = std::ffi::CString::new(options).unwrap();
        rustix::mount::mount("tmpfs", path.as_str(), "tmpfs", flags, data.as_c_str()).unwrap();
        Self(path)
    }
}

impl Drop for TinyRoot {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.0.as_str(), rustix::mount::UnmountFlags::DETACH);
    }
}

fn full_disk(s: &mut Sandbox) {
    let tiny = TinyRoot::new(
        s,
        "size=4k,nr_inodes=50",
        rustix::mount::MountFlags::empty(),
    );
    s.spec
        .set("annotations", json!({"large": "x".repeat(20_000)}));
    let output = s
        .create_call(&[])
        .globals(["--root", &tiny.0])
        .run()
        .fails_somehow()
        .exits(1);
    assert!(
        output.stderr.contains("no space left") || output.stderr.contains("ENOSPC"),
        "{}",
        output.stderr
    );
    let left: Vec<_> = fs::read_dir(&tiny.0)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(leaks::cgroups(&s.id), Vec::<std::path::PathBuf>::new());
}

fn read_only_root(s: &mut Sandbox) {
    let tiny = TinyRoot::new(s, "size=64k", rustix::mount::MountFlags::RDONLY);
    s.create_call(&[])
        .globals(["--root", &tiny.0])
        .run()
        .fails_somehow()
        .exits(1);
}

fn root_is_a_file(s: &mut Sandbox) {
    let path = s.path("file");
    fs::write(&path, "").unwrap();
    s.create_call(&[])
        .globals(["--root", &path])
        .run()
        .fails_somehow()
        .exits(1);
}

fn root_is_made(s: &mut Sandbox) {
    let path = s.path("deep/state/root");
    s.run_call(&[]).globals(["--root", &path]).run().ok();
}

fn bundle_removed_after_create(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "wait"]);
    s.create();
    fs::remove_file(s.bundle.join("config.json")).unwrap();
    s.start().ok();
    s.wait_output("ready");
    assert_eq!(s.status(), "running");
    s.stop();
}

fn rootfs_is_a_symlink(s: &mut Sandbox) {
    fs::rename(&s.rootfs, s.bundle.join("real")).unwrap();
    symlink("real", &s.rootfs).unwrap();
    s.spec.args(&["/bin/echo", "through"]);
    // Followed or refused with a word about it; never something else.
    let output = s.run();
    assert!(
        output.stdout == "through\n" || output.stderr.contains("rootfs"),
        "{output:?}"
    );
}

fn rootfs_is_a_file(s: &mut Sandbox) {
    fs::remove_dir_all(&s.rootfs).unwrap();
    fs::write(&s.rootfs, "").unwrap();
    s.run().fails_somehow().exits(1);
}

fn internal_variables_ignored(s: &mut Sandbox) {
    s.spec.args(&["/bin/echo", "fine"]);
    let call = s
        .run_call(&[])
        .env("_LIBCONTAINER_INITPIPE", "0")
        .env("_LIBCONTAINER_STATEDIR", "1")
        .env("_TARE_STAGE", "1");
    assert_eq!(call.run().ok().stdout, "fine\n");
}

fn cwd_of_leaked_descriptors(s: &mut Sandbox) {
    // CVE-2024-21626.
    for number in 3..24 {
        s.spec
            .set("process.cwd", format!("/proc/self/fd/{number}"))
            .args(&[
                "/bin/sh",
                "-c",
                "cd ..; cd ..; cat etc/hostname etc/debian_version 2>&1",
            ]);
        let output = s.run();
        let host =
            fs::read_to_string("/etc/debian_version").unwrap_or_else(|_| "no such text".to_owned());
        assert!(
            !output.stdout.contains(host.trim()),
            "descriptor {number} leads to the host: {}",
            output.stdout
        );
    }
}

fn closed_stdio(s: &mut Sandbox) {
    s.spec.args(&["/inspect", "exit", "5"]);
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        s.run_call(&[]).redirect(closed).run().exits(5);
    }
}
