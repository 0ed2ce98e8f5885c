//! Options that come with Create: as runc's message, or as TOML.

use crate::case::cases;
use crate::client::Status;
use crate::container::Container;
use crate::lab::{Dialect, Lab};
use crate::task::{RUNNING, Task};
use crate::wire::{Message, any};
use std::path::{Path, PathBuf};

cases!("options":
    none,
    empty,
    root,
    root_is_cleaned_up,
    cgroupfs,
    owner_of_streams,
    no_new_keyring,
    no_pivot_root,
    unknown_fields,
    toml_with_a_root,
    toml_of_another_case,
    toml_that_is_none,
    garbage,
    of_an_unknown_type,
    one_shim_for_the_node,
);

const RUNC: &str = "containerd.runc.v1.Options";
const GENERIC: &str = "runtimeoptions.v1.Options";

fn create(lab: &Lab, task: &Task, container: &Container, options: Message) -> Result<i32, Status> {
    let options = match lab.options.runc.as_ref() {
        None => options,
        Some(_) => crate::case::skip("these options say nothing of --runc"),
    };
    let Container {
        id, bundle, stdio, ..
    } = container;
    task.create(id, bundle, &[], stdio, Some(options))
}

/// A container with these options runs, and ends.
#[track_caller]
fn runs(lab: &Lab, container: &Container, options: Message) -> Task {
    container.write();
    let task = lab.start(container);
    let created = create(lab, &task, container, options);
    created.unwrap_or_else(|status| panic!("Create: {status}"));
    task.start(&container.id, "").expect("Start");
    task
}

/// Create fails with a code, nothing is made, and the shim goes on.
#[track_caller]
fn refused(lab: &Lab, options: Message) {
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let task = lab.start(&container);
    let status = create(lab, &task, &container, options).expect_err("such options");
    assert!(status.code < 100 && !status.message.is_empty(), "{status}");
    task.state(&container.id, "").expect_err("nothing was made");
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
}

fn sleeper(lab: &Lab) -> Container {
    lab.container("", &["sleep", "1000"])
}

fn none(lab: &mut Lab) {
    let container = sleeper(lab);
    container.write();
    let task = lab.start(&container);
    let Container {
        id, bundle, stdio, ..
    } = &container;
    task.create(id, bundle, &[], stdio, None).expect("Create");
    task.start(id, "").expect("Start");
}

fn empty(lab: &mut Lab) {
    let container = sleeper(lab);
    let task = runs(lab, &container, any(RUNC, b""));
    assert_eq!(
        task.state(&container.id, "").expect("State").status,
        RUNNING
    );
}

fn own_root(lab: &Lab) -> PathBuf {
    lab.directory().join("state")
}

fn state_in(root: &Path, lab: &Lab, container: &Container) -> bool {
    root.join(&lab.namespace).join(&container.id).is_dir()
}

fn root(lab: &mut Lab) {
    let container = sleeper(lab);
    let root = own_root(lab);
    let options = Message::new().text(7, &root.to_string_lossy());
    let task = runs(lab, &container, any(RUNC, &options.done()));
    assert!(state_in(&root, lab, &container), "the state is elsewhere");
    task.kill(&container.id, "", 9).expect("Kill");
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    assert!(!state_in(&root, lab, &container), "state is left");
}

/// `delete` is told of no option: it must find the root by what is on disk.
fn root_is_cleaned_up(lab: &mut Lab) {
    let container = sleeper(lab);
    let root = own_root(lab);
    let options = Message::new().text(7, &root.to_string_lossy());
    let task = runs(lab, &container, any(RUNC, &options.done()));
    let (shim, init) = task.connect(&container.id).expect("Connect");
    crate::process::kill(shim, rustix::process::Signal::KILL);
    let gone = || !crate::process::is_alive(shim);
    assert!(crate::process::eventually(
        std::time::Duration::from_secs(2),
        gone
    ));
    assert_eq!(lab.delete(&container).status, 137);
    assert!(!crate::process::is_alive(init), "the container lives on");
    assert!(!state_in(&root, lab, &container), "state is left");
}

fn cgroupfs(lab: &mut Lab) {
    let container = sleeper(lab);
    runs(
        lab,
        &container,
        any(RUNC, &Message::new().flag(9, false).done()),
    );
    assert!(
        container.cgroup("pids").is_some(),
        "its group has another name"
    );
}

/// io_uid and io_gid: the container's user may open its streams again.
fn owner_of_streams(lab: &mut Lab) {
    let line = "echo direct; echo again >/dev/stdout && echo done";
    let mut container = lab.container("", &["sh", "-c", line]);
    container.spec.set("process.user.uid", 1000);
    container.spec.set("process.user.gid", 1000);
    let output = container.read_stdout();
    let options = Message::new().number(4, 1000).number(5, 1000);
    let task = runs(lab, &container, any(RUNC, &options.done()));
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.text(), "direct\nagain\ndone\n");
}

/// The name of the session's keyring is `_ses.ID` when a new one was joined.
fn session_keyring(lab: &Lab, name: &str, options: Message) -> String {
    let line = "cat /proc/keys || true";
    let mut container = lab.container(name, &["sh", "-c", line]);
    let output = container.read_stdout();
    let task = runs(lab, &container, options);
    task.wait(&container.id, "").expect("Wait");
    task.delete(&container.id, "").expect("Delete");
    output.text()
}

fn no_new_keyring(lab: &mut Lab) {
    let new = session_keyring(lab, "new", any(RUNC, b""));
    if !new.contains("_ses") {
        crate::case::skip("no keyring is shown here");
    }
    let options = any(RUNC, &Message::new().flag(2, true).done());
    let old = session_keyring(lab, "old", options);
    assert!(
        !old.contains(&format!("_ses.{}-old", lab.options.tag)),
        "{old}"
    );
}

fn no_pivot_root(lab: &mut Lab) {
    let mut container = lab.container("", &["sh", "-c", "echo rooted; ls -d /bin/busybox"]);
    let output = container.read_stdout();
    let options = any(RUNC, &Message::new().flag(1, true).done());
    let task = runs(lab, &container, options);
    assert_eq!(task.wait(&container.id, "").expect("Wait"), 0);
    task.delete(&container.id, "").expect("Delete");
    assert_eq!(output.text(), "rooted\n/bin/busybox\n");
}

/// Fields of versions to come.
fn unknown_fields(lab: &mut Lab) {
    let container = sleeper(lab);
    let options = Message::new().flag(2, true).text(500, "new").number(501, 7);
    runs(lab, &container, any(RUNC, &options.done()));
}

fn toml(text: &str) -> Message {
    any(GENERIC, &Message::new().text(1, RUNC).text(3, text).done())
}

/// What CRI sends for every runtime type other than runc's own.
fn toml_with_a_root(lab: &mut Lab) {
    let container = sleeper(lab);
    let root = own_root(lab);
    let text = format!(
        "SystemdCgroup = false\nRoot = {:?}\n",
        root.to_string_lossy()
    );
    runs(lab, &container, toml(&text));
    assert!(state_in(&root, lab, &container), "the state is elsewhere");
}

/// Upper and lower case are one to Go's decoder; what it does not know it passes over.
fn toml_of_another_case(lab: &mut Lab) {
    let container = sleeper(lab);
    let root = own_root(lab);
    let text = format!("root = {:?}\nNoSuchOption = 7\n", root.to_string_lossy());
    runs(lab, &container, toml(&text));
    assert!(state_in(&root, lab, &container), "the state is elsewhere");
}

/// Whatever pods they are of.
fn one_shim_for_the_node(lab: &mut Lab) {
    let options = || toml("ShimSharing = \"node\"\n");
    let containers = ["one", "two", "three"].map(|name| {
        let container = lab.container(name, &["sleep", "1000"]);
        container.in_group(&format!("pod-of-{name}"))
    });
    let sockets = [0, 1, 2].map(|number| {
        let container = &containers[number];
        container.write();
        let output = lab.start_output(container, Dialect::V1_6, &options().done());
        let address = String::from_utf8_lossy(&output.stdout).into_owned();
        lab.socket(container, &output, &address)
    });
    assert!(
        sockets.iter().all(|socket| *socket == sockets[0]),
        "{sockets:?}"
    );
    let task = lab.connect(&sockets[0]);
    for container in &containers {
        create(lab, &task, container, options()).expect("Create");
        task.start(&container.id, "").expect("Start");
    }
    let [one, two, three] = containers;
    lab.end(&one);
    lab.end(&two);
    assert_eq!(task.state(&three.id, "").expect("State").status, RUNNING);
    // One without the option has its own.
    let other = lab.container("other", &["true"]);
    other.write();
    assert_ne!(lab.start_socket(&other), sockets[0]);
}

fn toml_that_is_none(lab: &mut Lab) {
    refused(lab, toml("Root = [\n"));
}

fn garbage(lab: &mut Lab) {
    refused(lab, any(RUNC, b"\xff\xff\xff\xff\xff"));
}

fn of_an_unknown_type(lab: &mut Lab) {
    refused(lab, any("no.such.Type", b"\x08\x01"));
}
