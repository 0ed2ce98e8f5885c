//! NOTIFY_SOCKET: readiness passed from the container to the host.

use crate::case::cases;
use crate::inspect::Report;
use crate::sandbox::Sandbox;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

cases!("notify":
    notify_socket, notify_socket_waits, notify_socket_of_create_and_start, notify_filtered,
);

/// A host's notification socket in the case's directory.
fn notification(s: &Sandbox) -> (UnixDatagram, String) {
    let path = s.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    (socket, path)
}

/// Reads the socket as a service manager does until the runtime ends; what it got, joined.
fn listen(
    socket: &UnixDatagram,
    running: crate::runtime::Running,
) -> (String, crate::runtime::Output) {
    let mut all = String::new();
    let mut bytes = [0_u8; 4096];
    socket
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let end = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        // Asked before reading, so that what came just before the end is still read.
        let ended = !crate::process::is_alive(running.pid());
        while let Ok(count) = socket.recv(&mut bytes) {
            all.push_str(&String::from_utf8_lossy(&bytes[..count]));
            all.push('\n');
        }
        if ended || std::time::Instant::now() > end {
            return (all, running.finish(Duration::from_secs(5)).ok());
        }
    }
}

fn notify_socket(s: &mut Sandbox) {
    let (socket, path) = notification(s);
    s.spec.args(&["/inspect", "report", "notify:READY=1"]);
    let running = s.run_call(&[]).env("NOTIFY_SOCKET", path).spawn();
    let (all, output) = listen(&socket, running);
    let report = Report::parse(&output.stdout);
    assert_eq!(report.errno("notify:READY=1"), 0);
    assert!(all.contains("READY=1") && all.contains("MAINPID="), "{all}");
}

fn notify_socket_waits(s: &mut Sandbox) {
    // Detached `run` returns only when the container is ready.
    let (socket, path) = notification(s);
    s.spec.args(&[
        "/bin/sh",
        "-c",
        "sleep 0.3; /inspect probe notify:READY=1; sleep 100",
    ]);
    let pid_file = s.pid_file().to_string_lossy().into_owned();
    let running = s
        .run_call(&["--detach", "--pid-file", &pid_file])
        .env("NOTIFY_SOCKET", path)
        .spawn();
    let (all, output) = listen(&socket, running);
    assert!(
        output.took > Duration::from_millis(250),
        "{:?}",
        output.took
    );
    assert!(all.contains("READY=1"), "{all}");
    assert!(all.contains(&format!("MAINPID={}", s.pid())), "{all}");
    s.stop();
}

fn notify_socket_of_create_and_start(s: &mut Sandbox) {
    let (socket, path) = notification(s);
    s.spec
        .args(&["/bin/sh", "-c", "/inspect probe notify:READY=1; sleep 100"]);
    let output = s
        .create_call(&[])
        .env("NOTIFY_SOCKET", path.clone())
        .run()
        .ok();
    s.output = output.stdout_file;
    let running = s.call(&["start", &s.id]).env("NOTIFY_SOCKET", path).spawn();
    let (all, _) = listen(&socket, running);
    assert!(all.contains("READY=1"), "{all}");
    s.stop();
}

fn notify_filtered(s: &mut Sandbox) {
    // Only READY is forwarded; a container cannot set arbitrary fields of the host's unit.
    let (socket, path) = notification(s);
    let script = "/inspect probe 'notify:STATUS=evil' 'notify:STOPPING=1' 'notify:READY=1'";
    s.spec.args(&["/bin/sh", "-c", script]);
    let running = s.run_call(&[]).env("NOTIFY_SOCKET", path).spawn();
    let (all, _) = listen(&socket, running);
    assert!(
        all.contains("READY=1") && !all.contains("evil") && !all.contains("STOPPING"),
        "{all}"
    );
}
