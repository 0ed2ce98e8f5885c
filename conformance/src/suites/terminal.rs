//! Terminals: the console socket, the foreground terminal, sizes, and exec with -t.

use crate::case::cases;
use crate::inspect::Report;
use crate::process;
use crate::sandbox::Sandbox;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::tcgetwinsize;
use serde_json::json;
use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

cases!("terminal":
    console_socket_of_create, console_socket_of_run_detached, console_socket_message_names_the_pty, console_size, console_size_default, console_node,
    controlling_terminal, exec_console_socket, exec_tty_foreground, run_in_the_foreground, socket_without_terminal,
    terminal_without_socket, socket_absent, user_owns_the_terminal, output_is_all_read, pidfd_socket, pidfd_socket_of_exec, console_symlink_in_rootfs,
);

/// Waits for one message with one descriptor, as containerd and conmon do.
pub fn receive(listener: &UnixListener) -> (OwnedFd, String) {
    listener.set_nonblocking(true).unwrap();
    let mut connection = None;
    assert!(process::eventually(Duration::from_secs(5), || {
        connection = listener.accept().ok();
        connection.is_some()
    }));
    let (connection, _) = connection.unwrap();
    connection.set_nonblocking(false).unwrap();
    connection
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut bytes = [0_u8; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(
        connection.as_fd(),
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )
    .unwrap();
    let mut descriptors: Vec<OwnedFd> = control
        .drain()
        .filter_map(|part| match part {
            RecvAncillaryMessage::ScmRights(rights) => Some(rights),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(descriptors.len(), 1, "one descriptor in one message");
    (
        descriptors.remove(0),
        String::from_utf8_lossy(&bytes[..message.bytes]).into_owned(),
    )
}

/// Reads a pty master until its other side is closed.
pub fn read_all(master: OwnedFd) -> String {
    let mut file = std::fs::File::from(master);
    let mut text = Vec::new();
    let mut bytes = [0_u8; 4096];
    let end = Instant::now() + Duration::from_secs(10);
    // EIO means that the last slave was closed.
    while let Ok(count) = file.read(&mut bytes) {
        if count == 0 || Instant::now() > end {
            break;
        }
        text.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

pub fn with_terminal(s: &mut Sandbox, arguments: &[&str]) -> (UnixListener, String) {
    s.spec.set("process.terminal", true).args(arguments);
    let path = s.path("console.sock");
    (UnixListener::bind(&path).unwrap(), path)
}

/// Creates and starts the inspector on a terminal and gives its report.
fn report_on_terminal(s: &mut Sandbox, probes: &[&str]) -> Report {
    let (listener, socket) = with_terminal(s, &[&["/inspect", "report"], probes].concat());
    s.create_call(&["--console-socket", &socket]).run().ok();
    let (master, _) = receive(&listener);
    s.start().ok();
    let text = read_all(master);
    assert_eq!(s.reap(), 0);
    s.delete().ok();
    Report::parse(&text)
}

fn console_socket_of_create(s: &mut Sandbox) {
    let report = report_on_terminal(s, &[]);
    for stream in ["tty0", "tty1", "tty2"] {
        let name = report.0[stream]["name"].as_str().unwrap_or_default();
        assert!(
            name == "/dev/pts/0" || name == "/dev/console",
            "{stream}: {}",
            report.0[stream]
        );
    }
}

fn console_socket_of_run_detached(s: &mut Sandbox) {
    let (listener, socket) = with_terminal(s, &["/bin/echo", "on a terminal"]);
    let pid_file = s.pid_file().to_string_lossy().into_owned();
    s.run_call(&["-d", "--console-socket", &socket, "--pid-file", &pid_file])
        .run()
        .ok();
    let (master, _) = receive(&listener);
    assert_eq!(read_all(master), "on a terminal\r\n");
    s.reap();
    s.delete().ok();
}

fn console_socket_message_names_the_pty(s: &mut Sandbox) {
    let (listener, socket) = with_terminal(s, &["/bin/true"]);
    s.create_call(&["--console-socket", &socket]).run().ok();
    let (master, name) = receive(&listener);
    assert!(name.contains("ptmx") || name.contains("pts"), "{name:?}");
    drop(master);
}

fn console_size(s: &mut Sandbox) {
    s.spec
        .set("process.consoleSize", json!({"height": 33, "width": 111}));
    let report = report_on_terminal(s, &[]);
    assert_eq!(
        (&report.0["tty0"]["rows"], &report.0["tty0"]["columns"]),
        (&json!(33), &json!(111))
    );
}

fn console_size_default(s: &mut Sandbox) {
    let (listener, socket) = with_terminal(s, &["/bin/true"]);
    s.create_call(&["--console-socket", &socket]).run().ok();
    let (master, _) = receive(&listener);
    let size = tcgetwinsize(&master).unwrap();
    assert_eq!((size.ws_row, size.ws_col), (0, 0));
}

fn console_node(s: &mut Sandbox) {
    let report = report_on_terminal(s, &["stat:/dev/console"]);
    let seen = report.probe("stat:/dev/console");
    assert_eq!(
        (&seen["errno"], &seen["major"]),
        (&json!(0), &json!(136)),
        "a pty slave is mounted there"
    );
    assert!(report.is_mounted("/dev/console"));
}

fn controlling_terminal(s: &mut Sandbox) {
    let report = report_on_terminal(s, &["openrw:/dev/tty"]);
    assert_eq!(report.errno("openrw:/dev/tty"), 0);
    assert_eq!(report.0["tty0"]["foreground"], 1);
}

fn user_owns_the_terminal(s: &mut Sandbox) {
    s.spec
        .set("process.user", json!({"uid": 1000, "gid": 1000}));
    let report = report_on_terminal(s, &["stat:/dev/pts/0"]);
    assert_eq!(report.probe("stat:/dev/pts/0")["uid"], 1000);
}

fn exec_console_socket(s: &mut Sandbox) {
    s.start_waiting();
    let socket = s.path("exec.sock");
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
    s.exec_with(&flags, &["/inspect", "report"]).ok();
    let (master, _) = receive(&listener);
    let report = Report::parse(&read_all(master));
    assert!(report.0["tty1"].is_object());
    assert!(report.number("sid") > 1, "a session of its own");
    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(process::reap(pid, Duration::from_secs(5)), Some(0));
    s.stop();
}

/// A pty pair for the harness: it plays the user's terminal.
fn pty() -> (OwnedFd, OwnedFd) {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = open(
        name.as_c_str(),
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .unwrap();
    let size = rustix::termios::Winsize {
        ws_row: 44,
        ws_col: 99,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    rustix::termios::tcsetwinsize(&master, size).unwrap();
    (master, slave)
}

fn run_in_the_foreground(s: &mut Sandbox) {
    // The size is passed on just after the start; the program looks a little later.
    s.spec.set("process.terminal", true).args(&[
        "/bin/sh",
        "-c",
        "sleep 0.3; exec /inspect report",
    ]);
    let (master, slave) = pty();
    let running = s.run_call(&[]).terminal(slave).spawn();
    let text = read_all(master);
    running.finish(Duration::from_secs(10)).ok();
    let report = Report::parse(&text);
    assert_eq!(
        (&report.0["tty0"]["rows"], &report.0["tty0"]["columns"]),
        (&json!(44), &json!(99)),
        "the caller's size"
    );
}

fn exec_tty_foreground(s: &mut Sandbox) {
    s.start_waiting();
    let (master, slave) = pty();
    let running = s
        .exec_call(&["-t"], &["/bin/sh", "-c", "tty; exit 3"])
        .terminal(slave)
        .spawn();
    let text = read_all(master);
    running.finish(Duration::from_secs(10)).exits(3);
    assert!(text.contains("/dev/pts/"), "{text}");
    s.stop();
}

fn output_is_all_read(s: &mut Sandbox) {
    // Nothing is lost when the program ends right after a large output.
    s.spec.set("process.terminal", true).args(&[
        "/bin/sh",
        "-c",
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done",
    ]);
    let (master, slave) = pty();
    let running = s.run_call(&[]).terminal(slave).spawn();
    let text = read_all(master);
    running.finish(Duration::from_secs(10)).ok();
    assert!(
        text.contains("line 2999"),
        "the end is missing: {:?}",
        &text[text.len().saturating_sub(60)..]
    );
}

fn socket_without_terminal(s: &mut Sandbox) {
    let (_listener, socket) = with_terminal(s, &["/bin/true"]);
    s.spec.set("process.terminal", false);
    s.create_call(&["--console-socket", &socket])
        .run()
        .fails_somehow()
        .exits(1);
}

fn terminal_without_socket(s: &mut Sandbox) {
    s.spec.set("process.terminal", true);
    s.create_call(&[]).run().fails_somehow().exits(1);
    s.run_call(&["--detach"]).run().fails_somehow().exits(1);
}

fn socket_absent(s: &mut Sandbox) {
    s.spec.set("process.terminal", true);
    let output = s
        .create_call(&["--console-socket", "/nonexistent/console.sock"])
        .run()
        .fails_somehow()
        .exits(1);
    assert!(
        output.stderr.contains("/nonexistent/console.sock"),
        "{}",
        output.stderr
    );
}

fn pidfd_socket(s: &mut Sandbox) {
    let path = s.path("pidfd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    s.create_call(&["--pidfd-socket", &path]).run().ok();
    let (descriptor, _) = receive(&listener);
    assert_eq!(pid_of(&descriptor), s.pid());
}

fn pidfd_socket_of_exec(s: &mut Sandbox) {
    s.start_waiting();
    let path = s.path("pidfd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let pid_file = s.path("exec.pid");
    s.exec_with(
        &["--detach", "--pid-file", &pid_file, "--pidfd-socket", &path],
        &["/bin/sleep", "0.3"],
    )
    .ok();
    let (descriptor, _) = receive(&listener);
    let pid: i32 = std::fs::read_to_string(pid_file).unwrap().parse().unwrap();
    assert_eq!(pid_of(&descriptor), pid);
    process::reap(pid, Duration::from_secs(5));
    s.stop();
}

fn pid_of(descriptor: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    let text =
        std::fs::read_to_string(format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    line.unwrap_or_else(|| panic!("no pidfd: {text}"))
        .trim()
        .parse()
        .unwrap()
}

fn console_symlink_in_rootfs(s: &mut Sandbox) {
    // CVE-2025-52565: a link in the image must not redirect the mount.
    let outside = s.path("outside");
    std::fs::write(&outside, "decoy").unwrap();
    s.spec.unmount("/dev").unmount("/dev/shm");
    std::os::unix::fs::symlink(&outside, s.rootfs.join("dev/console")).unwrap();
    let (listener, socket) = with_terminal(s, &["/bin/true"]);
    let output = s.create_call(&["--console-socket", &socket]).run();
    if output.code == 0 {
        drop(receive(&listener));
    }
    assert!(
        !crate::leaks::mounts(&s.environment.directory)
            .iter()
            .any(|mount| mount.ends_with("outside"))
    );
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "decoy");
}
