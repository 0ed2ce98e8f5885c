//! A host that is unkind: a bundle that goes away, a full disk, signals, fifos that nobody opens.

use super::refused;
use crate::case::cases;
use crate::client::{Connection, code};
use crate::container::Container;
use crate::lab::Lab;
use crate::task::RUNNING;
use crate::wire::{Message, any};
use crate::{process, reaper};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::Signal;
use std::fs;
use std::time::Duration;

cases!("adversity":
    bundle_deleted,
    full_disk,
    a_small_disk_for_the_bundle,
    fifos_that_nobody_opens,
    fifos_that_are_not_there,
    fifos_that_are_none,
    sigterm,
    sigterm_with_a_container,
    signals_that_mean_nothing,
    killed_by_the_host,
    mask_of_the_caller,
);

fn bundle_deleted(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    fs::remove_dir_all(&container.bundle).expect("own directory");
    task.kill(&container.id, "", 9).expect("Kill");
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 137);
    task.delete(&container.id, "").expect("Delete");
    refused(task.state(&container.id, ""), code::NOT_FOUND);
}

/// State has no room: Create fails, says why, leaves nothing, and works when there is room.
fn full_disk(lab: &mut Lab) {
    let small = lab.directory().join("small");
    fs::create_dir(&small).expect("own directory");
    let data = Some(c"size=64k");
    mount("small", &small, "tmpfs", MountFlags::empty(), data).expect("mount");
    // Fails when there is no room left, as it should.
    let _ = fs::write(small.join("fill"), vec![0; 128 << 10]);
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let task = lab.start(&container);
    let root = Message::new().text(7, &small.to_string_lossy());
    let options = any("containerd.runc.v1.Options", &root.done());
    let Container {
        id, bundle, stdio, ..
    } = &container;
    let created = task.create(id, bundle, &[], stdio, Some(options));
    let status = created.expect_err("there is no room");
    assert!(status.code < 100, "{status}");
    let words = status.message.to_lowercase();
    assert!(
        words.contains("no space left") || words.contains("enospc"),
        "{status}"
    );
    let state = small.join(&lab.namespace).join(id);
    assert!(!state.exists(), "{} is left", state.display());
    lab.create(&task, &container);
    task.start(id, "").expect("Start");
    unmount(&small, UnmountFlags::DETACH).expect("unmount");
}

/// The bundle itself is on a disk that is full: a failure with a code, or a container.
fn a_small_disk_for_the_bundle(lab: &mut Lab) {
    let mut container = lab.container("", &["sleep", "1000"]);
    container.write();
    let small = &container.bundle.clone();
    let config = fs::read(small.join("config.json")).expect("config.json");
    let files = lab.directory().join("files");
    fs::rename(small.join("rootfs"), &files).expect("own directory");
    mount(
        "small",
        small,
        "tmpfs",
        MountFlags::empty(),
        Some(c"size=64k"),
    )
    .expect("mount");
    fs::write(small.join("config.json"), config).expect("room for it");
    fs::create_dir(small.join("rootfs")).expect("room for it");
    let root = serde_json::json!(files.to_string_lossy());
    container.spec["root"]["path"] = root;
    container.write();
    let task = lab.start(&container);
    let _ = fs::write(small.join("fill"), vec![0; 128 << 10]);
    let Container {
        id, bundle, stdio, ..
    } = &container;
    match task.create(id, bundle, &[], stdio, lab.runc_options()) {
        Ok(_) => {
            task.start(id, "").expect("Start");
            task.kill(id, "", 9).expect("Kill");
            task.wait(id, "").expect("Wait");
            task.delete(id, "").expect("Delete");
        }
        Err(status) => {
            assert!(status.code < 100 && !status.message.is_empty(), "{status}");
            fs::remove_file(small.join("fill")).expect("it is there");
            lab.create(&task, &container);
            task.delete(id, "").expect("Delete");
        }
    }
    // The mount goes before the suite looks for what is left.
    unmount(small, UnmountFlags::DETACH).expect("unmount");
}

/// containerd opens them later, or died before it did.
fn fifos_that_nobody_opens(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "echo x; echo y >&2"]);
    let [input, output, errors] = ["stdin", "stdout", "stderr"].map(|name| {
        let path = container.fifo(name);
        path.to_string_lossy().into_owned()
    });
    container.stdio.stdin = input;
    container.stdio.stdout = output;
    container.stdio.stderr = errors;
    let task = lab.started(&container);
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
}

#[track_caller]
fn refuses_streams(lab: &Lab, container: &Container) {
    container.write();
    let task = lab.start(container);
    let Container {
        id, bundle, stdio, ..
    } = container;
    let created = task.create(id, bundle, &[], stdio, lab.runc_options());
    let status = created.expect_err("such streams");
    assert!(status.code < 100, "{status}");
    refused(task.state(id, ""), code::NOT_FOUND);
}

fn fifos_that_are_not_there(lab: &mut Lab) {
    let mut container = lab.container("", &["true"]);
    container.stdio.stdout = "/no/such/fifo".to_owned();
    container.stdio.stderr = "/no/such/fifo".to_owned();
    refuses_streams(lab, &container);
}

/// A file where a fifo should be: refused, or written to; but never followed to something else.
fn fifos_that_are_none(lab: &mut Lab) {
    let mut container = lab.container("", &["true"]);
    container.stdio.stdout = container.bundle.to_string_lossy().into_owned();
    container.stdio.stderr = container.stdio.stdout.clone();
    refuses_streams(lab, &container);
}

fn sigterm(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let socket = lab.start_socket(&container);
    let pid = lab.connect(&socket).connect("none").expect("Connect").0;
    process::kill(pid, Signal::TERM);
    assert!(
        process::eventually(Duration::from_secs(3), || !process::is_alive(pid)),
        "it lives on"
    );
    assert!(!socket.exists(), "its socket is left");
    assert!(Connection::open(&socket).is_err());
}

/// It may end, but its container may not.
fn sigterm_with_a_container(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let (shim, init) = task.connect(&container.id).expect("Connect");
    process::kill(shim, Signal::TERM);
    std::thread::sleep(Duration::from_millis(500));
    assert!(process::is_alive(init), "the container went with the shim");
    if !process::is_alive(shim) {
        assert_eq!(lab.delete(&container).status, 137);
    }
}

fn signals_that_mean_nothing(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let shim = task.connect(&container.id).expect("Connect").0;
    for signal in [Signal::USR1, Signal::PIPE, Signal::WINCH, Signal::CHILD] {
        process::kill(shim, signal);
        std::thread::sleep(Duration::from_millis(30));
        let state = task.state(&container.id, "");
        assert!(
            state.is_ok_and(|state| state.status == RUNNING),
            "after {signal:?}"
        );
    }
}

/// Init is killed from outside, as by the kernel for want of memory.
fn killed_by_the_host(lab: &mut Lab) {
    let container = lab.container("", &["sleep", "1000"]);
    let task = lab.started(&container);
    let wait = task.begin_wait(&container.id, "");
    process::kill(
        task.state(&container.id, "").expect("State").pid,
        Signal::KILL,
    );
    let end = wait.within(Duration::from_secs(5)).expect("Wait");
    assert_eq!(end.number(1), 137);
    lab.events
        .await_event(&format!("TaskExit {}", container.id));
}

fn masks(text: &str) -> Vec<u64> {
    let words = text
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    words
        .filter_map(|word| u64::from_str_radix(word, 16).ok())
        .collect()
}

/// The program ignores and blocks nothing that the shim's caller didn't.
fn mask_of_the_caller(lab: &mut Lab) {
    let words = ["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
    let own = reaper::output(&words);
    let mut container = lab.container("", &[&["busybox"], &words[..]].concat());
    let output = container.read_stdout();
    let task = lab.started(&container);
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    let [own, seen] = [own, output.text()].map(|text| masks(&text));
    assert_eq!((own.len(), seen.len()), (2, 2));
    for (own, seen) in own.iter().zip(&seen) {
        assert_eq!(seen & !own, 0, "{seen:x}, the caller's {own:x}");
    }
}
