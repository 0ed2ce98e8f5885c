//! `start`: how containerd of each version asks for a shim, and what it takes as answer.

use crate::case::cases;
use crate::container::Container;
use crate::lab::{Dialect, Lab, Output, is_default_place};
use crate::process;

use crate::wire::{Fields, Message, any};
use rustix::process::Signal;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

cases!("bootstrap":
    bare_address_for_1_6,
    options_for_1_6,
    bare_address_or_json_for_1_7,
    answer_for_2_0,
    params_for_2_3,
    params_with_a_socket_directory,
    any_that_reads_as_params,
    garbage_on_stdin,
    streams_are_not_held,
    long_names,
    socket_is_private,
    one_shim_for_a_group,
    sandbox_id_is_a_group,
    group_annotation_comes_first,
    namespaces_do_not_share,
    a_dead_socket_is_replaced,
    two_starts_at_once,
    no_config,
    broken_config,
    version_flag,
    info,
    info_with_options,
);

/// The task service answers behind it.
#[track_caller]
fn serves(lab: &Lab, socket: &Path) -> i32 {
    let pids = lab.connect(socket).connect("none");
    pids.unwrap_or_else(|status| panic!("Connect: {status}")).0
}

fn bare_address_for_1_6(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let output = lab.start_output(&container, Dialect::V1_6, b"");
    let text = String::from_utf8(output.stdout.clone()).expect("an address is text");
    assert!(text.trim().starts_with("unix:///"), "{text:?}");
    assert!(!text.trim().contains(char::is_whitespace), "{text:?}");
    let socket = lab.socket(&container, &output, &text);
    assert!(is_default_place(&socket), "{}", socket.display());
    let pid = serves(lab, &socket);
    assert!(process::is_alive(pid), "Connect says {pid}");
}

fn options_for_1_6(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let options = Message::new().flag(2, true).text(7, "/run/some-root");
    let stdin = any("containerd.runc.v1.Options", &options.done()).done();
    let output = lab.start_output(&container, Dialect::V1_6, &stdin);
    let socket = lab.socket(
        &container,
        &output,
        &String::from_utf8_lossy(&output.stdout),
    );
    serves(lab, &socket);
}

fn bare_address_or_json_for_1_7(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let output = lab.start_output(&container, Dialect::V1_7, b"");
    let (version, address) = output.old_answer();
    assert_eq!(version, 2, "1.7 refuses version 3");
    let socket = lab.socket(&container, &output, &address);
    serves(lab, &socket);
}

fn answer_for_2_0(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let output = lab.start_output(&container, Dialect::V2_0, b"");
    let (version, address) = output.old_answer();
    let socket = lab.socket(&container, &output, &address);
    lab.connect_by(&socket, version)
        .connect("none")
        .expect("the version that was told is served");
}

fn params(lab: &Lab, id: &str) -> Message {
    Message::new()
        .text(1, id)
        .text(2, &lab.namespace)
        .text(4, "v2.3.0")
        .text(5, &lab.events.path.to_string_lossy())
        .text(6, &lab.address.to_string_lossy())
        .text(7, "/no/such/containerd")
}

#[track_caller]
fn result(output: &Output) -> (u64, String) {
    let fields = Fields::read(&output.stdout);
    let fields = fields.unwrap_or_else(|error| panic!("no BootstrapResult: {error}; {output:?}"));
    assert_eq!(fields.text(3), "ttrpc", "{output:?}");
    (fields.number(1), fields.text(2))
}

fn params_for_2_3(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let options = any(
        "containerd.runc.v1.Options",
        &Message::new().flag(2, true).done(),
    );
    let stdin = params(lab, &container.id).message(8, Message::new().message(1, options));
    let output = lab.start_output(&container, Dialect::V2_3, &stdin.done());
    let (version, address) = result(&output);
    let socket = lab.socket(&container, &output, &address);
    lab.connect_by(&socket, version)
        .connect("none")
        .expect("the version that was told is served");
}

fn params_with_a_socket_directory(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let sockets = lab.directory().join("sockets");
    let stdin = params(lab, &container.id).text(9, &sockets.to_string_lossy());
    let output = lab.start_output(&container, Dialect::V2_3, &stdin.done());
    let (_, address) = result(&output);
    let socket = lab.socket(&container, &output, &address);
    serves(lab, &socket);
    assert!(socket.starts_with(&sockets), "{}", socket.display());
    private(&socket);
}

/// Its type stands where BootstrapParams has the id.
fn any_that_reads_as_params(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let options = Message::new().flag(2, true);
    let stdin = any("containerd.runc.v1.Options", &options.done()).done();
    let output = lab.start_output(&container, Dialect::V1_7, &stdin);
    let (version, address) = output.old_answer();
    assert_eq!(version, 2);
    let socket = lab.socket(&container, &output, &address);
    serves(lab, &socket);
}

/// An error or not: but an answer, and a shim only where one is told of.
fn garbage_on_stdin(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let output = lab.start_output(&container, Dialect::V1_6, b"\xff\xff\xff\xff\x0f");
    match output.code {
        Some(0) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            serves(lab, &lab.socket(&container, &output, &text));
        }
        Some(_) => assert!(!output.stderr.is_empty(), "it fails without a word"),
        None => panic!("no end: {output:?}"),
    }
}

/// containerd reads both to their ends, so that a server that holds one of them would block it.
fn streams_are_not_held(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let begin = std::time::Instant::now();
    let socket = lab.start_socket(&container);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let pid = serves(lab, &socket);
    for (number, what) in [(0, "stdin"), (1, "stdout")] {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap_or_default();
        let target = target.to_string_lossy().into_owned();
        assert!(!target.starts_with("pipe:"), "{what} is {target}");
    }
    let group = process_group(pid);
    assert_ne!(
        group,
        process_group(std::process::id() as i32),
        "a signal of its caller's group reaches it"
    );
}

fn process_group(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let tail = stat.rsplit_once(')').map_or("", |(_, tail)| tail);
    tail.split_whitespace()
        .nth(2)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// A socket's path ends at 107 bytes.
fn long_names(lab: &mut Lab) {
    let group = "x".repeat(1000);
    let container = lab.container(&"y".repeat(60), &["true"]).in_group(&group);
    container.write();
    let socket = lab.start_socket(&container);
    serves(lab, &socket);
    assert!(socket.as_os_str().len() <= 107, "{}", socket.display());
}

/// Modes of the socket and of its directory.
#[track_caller]
fn private(socket: &Path) {
    let socket_mode = mode(socket);
    assert_eq!(socket_mode & 0o777, 0o600, "socket {socket_mode:o}");
    let directory = socket.parent().expect("an absolute path");
    let directory_mode = mode(directory);
    assert_eq!(
        directory_mode & 0o777,
        0o700,
        "directory {directory_mode:o}"
    );
}

fn mode(path: &Path) -> u32 {
    let data = fs::metadata(path);
    let data = data.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    data.permissions().mode()
}

fn socket_is_private(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let socket = lab.start_socket(&container);
    let kind = fs::metadata(&socket)
        .expect("no abstract socket")
        .file_type();
    assert!(kind.is_socket());
    assert_eq!(mode(&socket) & 0o777, 0o600);
    // Both shims' /run/containerd/s may have been made by the other: nobody else may enter is what counts.
    let directory = socket.parent().expect("an absolute path");
    assert_eq!(mode(directory) & 0o077, 0, "{:o}", mode(directory));
}

fn one_shim_for_a_group(lab: &mut Lab) {
    let [first, second] = ["a", "b"].map(|name| {
        let container = lab.container(name, &["sleep", "100"]);
        container.in_group(&lab.namespace)
    });
    first.write();
    second.write();
    let sockets = [&first, &second].map(|one| lab.start_socket(one));
    assert_eq!(sockets[0], sockets[1]);
    let task = lab.connect(&sockets[0]);
    let pids = [&first, &second].map(|one| {
        lab.create(&task, one);
        task.start(&one.id, "").expect("both run in one shim")
    });
    assert_ne!(pids[0], pids[1]);
    let parents = pids.map(process::parent);
    assert_eq!(parents[0], parents[1]);
}

fn annotated(lab: &Lab, name: &str, pairs: &[(&str, &str)]) -> PathBuf {
    let mut container = lab.container(name, &["true"]);
    for (key, value) in pairs {
        container.spec["annotations"][*key] = (*value).into();
    }
    container.write();
    lab.start_socket(&container)
}

fn sandbox_id_is_a_group(lab: &mut Lab) {
    let sandbox = ("io.kubernetes.cri.sandbox-id", &*lab.namespace);
    let [a, b] = ["a", "b"].map(|name| annotated(lab, name, &[sandbox]));
    assert_eq!(a, b);
    assert_ne!(a, annotated(lab, "c", &[]));
}

fn group_annotation_comes_first(lab: &mut Lab) {
    let [g, s] = ["g", "s"].map(|end| format!("{}-{end}", lab.namespace));
    let sandbox = ("io.kubernetes.cri.sandbox-id", &*s);
    let group = ("io.containerd.runc.v2.group", &*g);
    let a = annotated(lab, "a", &[sandbox, group]);
    let b = annotated(lab, "b", &[group]);
    let c = annotated(lab, "c", &[sandbox]);
    assert_eq!(a, b);
    assert_ne!(a, c);
}

fn namespaces_do_not_share(lab: &mut Lab) {
    let [one, two] = ["a", "b"].map(|name| {
        let container = lab.container(name, &["true"]).in_group("shared");
        container.write();
        container
    });
    let first = lab.start_socket(&one);
    let own = std::mem::replace(&mut lab.namespace, format!("{}-other", lab.options.tag));
    let second = lab.start_socket(&two);
    crate::lab::remove_state(&lab.namespace);
    lab.namespace = own;
    assert_ne!(first, second);
}

fn a_dead_socket_is_replaced(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    container.write();
    let socket = lab.start_socket(&container);
    let pid = serves(lab, &socket);
    process::kill(pid, Signal::KILL);
    assert!(process::eventually(Duration::from_secs(2), || {
        !process::is_alive(pid)
    }));
    assert!(socket.exists(), "a killed shim leaves its socket");
    let again = lab.start_socket(&container);
    assert_eq!(socket, again);
    assert_ne!(serves(lab, &again), pid);
}

/// Of a pod's containers two may be started in the same moment.
fn two_starts_at_once(lab: &mut Lab) {
    for round in 0..5 {
        let group = format!("{}-{round}", lab.namespace);
        let containers = ["a", "b"].map(|name| {
            let container = lab.container(&format!("{name}{round}"), &["true"]);
            let container = container.in_group(&group);
            container.write();
            container
        });
        let outputs = start_both(lab, &containers);
        let sockets = [0, 1].map(|index| {
            let output: &Output = &outputs[index];
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            lab.socket(&containers[index], output, &text)
        });
        assert_eq!(sockets[0], sockets[1]);
        let pids = sockets.map(|socket| serves(lab, &socket));
        assert_eq!(pids[0], pids[1], "two shims for one group");
    }
}

fn start_both(lab: &Lab, containers: &[crate::container::Container; 2]) -> [Output; 2] {
    let commands = [0, 1].map(|index| lab.start_later(&containers[index]));
    let threads = commands.map(std::thread::spawn);
    threads.map(|thread| thread.join().expect("it does not panic"))
}

#[track_caller]
fn fails(output: &Output) {
    assert!(
        output.code.is_some_and(|code| code != 0) && !output.stderr.is_empty(),
        "{output:?}"
    );
}

/// The bundle of a sandbox has none, so that `start` may leave a server; a container is not made of it.
fn no_config(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    let output = lab.start_output(&container, Dialect::V1_6, b"");
    if output.code != Some(0) {
        return fails(&output);
    }
    let address = String::from_utf8_lossy(&output.stdout).into_owned();
    let task = lab.connect(&lab.socket(&container, &output, &address));
    let Container {
        id, bundle, stdio, ..
    } = &container;
    let created = task.create(id, bundle, &[], stdio, lab.runc_options());
    let status = created.expect_err("there is no config.json");
    assert!(status.message.contains("config.json"), "{status}");
}

fn broken_config(lab: &mut Lab) {
    let container = lab.container("", &["true"]);
    fs::write(container.bundle.join("config.json"), "{\"annotations\":").expect("own directory");
    fails(&lab.start_output(&container, Dialect::V1_6, b""));
}

fn version_flag(lab: &mut Lab) {
    let output = lab.plain(&["-v"], b"");
    assert_eq!(output.code, Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    let name = lab.options.shim.file_name().unwrap_or_default();
    assert!(text.contains(&*name.to_string_lossy()), "{text}");
    assert!(text.contains(|c: char| c.is_ascii_digit()), "{text}");
}

/// RuntimeInfo, raw: its name, a version, and features as JSON in an Any.
#[track_caller]
fn runtime_info(output: &Output) -> Fields {
    assert!(
        output.code == Some(0) && output.stderr.is_empty(),
        "{output:?}"
    );
    let fields = Fields::read(&output.stdout);
    let fields = fields.unwrap_or_else(|error| panic!("no RuntimeInfo: {error}; {output:?}"));
    let name = fields.text(1);
    assert!(name.starts_with("io.containerd."), "name {name:?}");
    assert!(!fields.message(2).text(1).is_empty(), "no version");
    let features = fields.message(4);
    let json = serde_json::from_slice::<serde_json::Value>(features.bytes(2));
    let json = json.unwrap_or_else(|error| panic!("features: {error}"));
    assert!(json["ociVersionMax"].is_string(), "{json}");
    assert!(json["linux"]["namespaces"].is_array(), "{json}");
    // Why containerd asks at all.
    assert!(
        json["linux"]["mountExtensions"]["idmap"]["enabled"].is_boolean(),
        "{json}"
    );
    fields
}

fn info(lab: &mut Lab) {
    runtime_info(&lab.plain(&["-info"], b""));
}

fn info_with_options(lab: &mut Lab) {
    let options = Message::new().flag(9, false).text(7, "/run/some-root");
    let stdin = any("containerd.runc.v1.Options", &options.done()).done();
    let fields = runtime_info(&lab.plain(&["-info"], &stdin));
    // The options as they were understood.
    assert_eq!(fields.message(3).text(1), "containerd.runc.v1.Options");
}
