//! What no client should do: the shim answers with a code or hangs up, goes on for others, and keeps nothing.
use super::{Case, all, ours};
use crate::proto::Message;
use crate::ttrpc::{Client, V2, code};
use crate::world::{World, eventually, kill, refused, which};
use std::path::Path;

pub fn cases() -> Vec<Case> {
    vec![
        all("hostile/unknown-service-and-method", unknown),
        all("hostile/message-too-long", too_long),
        all("hostile/requests-that-are-none", garbage),
        ours(
            "hostile/frames-that-are-none",
            "it closes the connection",
            frames,
        ),
        all("hostile/half-a-frame-and-gone", half_a_frame),
        all("hostile/half-closed", half_closed),
        all("hostile/1000-connections", connections),
        ours(
            "hostile/fifos-that-nobody-opens",
            "it waits for a reader in Create",
            lonely_fifos,
        ),
        all("hostile/bundle-deleted", bundle_deleted),
        ours(
            "hostile/full-disk",
            "it leaves the state of the failed Create",
            full_disk,
        ),
        ours("hostile/sigterm-ends-it", "it ignores SIGTERM", sigterm),
        all("hostile/sigusr1-and-sigpipe", signals),
        ours(
            "hostile/no-descriptor-is-left",
            "it holds more of them for a while",
            descriptors,
        ),
        ours(
            "hostile/strange-ids",
            "it takes what its caller gives it",
            ids,
        ),
    ]
}

fn lives(w: &World, id: &str) {
    let mut c = w.connect(&address(w), id);
    assert_eq!(c.call("State", &which(id, "")).unwrap().get(4), 2);
}

fn address(w: &World) -> String {
    let text = std::fs::read_to_string(w.dir.join("c/address")).expect("the bundle's address");
    text.trim().trim_start_matches("unix://").to_owned()
}

fn unknown(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    refused(c.call("Dance", &which("c", "")), code::UNIMPLEMENTED);
    refused(
        c.call_of("no.such.Service", "State", &which("c", "")),
        code::UNIMPLEMENTED,
    );
    lives(w, "c");
}

fn too_long(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    c.raw(1001, 1, &vec![0; (4 << 20) + 1]);
    let answer = c.receive(1001);
    refused(answer, code::RESOURCE_EXHAUSTED);
    lives(w, "c");
}

fn garbage(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let stream = c.send(V2, "State", b"\xff\xff\xff\xff");
    assert!(c.receive(stream).is_err());
    c.raw(2001, 1, b"\xff\xff");
    let _ = Client::connect(&address(w));
    lives(w, "c");
}

fn frames(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let request = Message::new()
        .text(1, V2)
        .text(2, "State")
        .message(3, &which("c", ""))
        .encode();
    for (stream, kind) in [(1000, 1), (0, 1), (1003, 2), (1005, 3), (1007, 99)] {
        c.raw(stream, kind, &request);
    }
    c.raw(3001, 1, &request);
    assert_eq!(c.receive(3001).unwrap().get(4), 2);
}

fn half_a_frame(w: &World) {
    w.started("c", &["sleep", "1000"]);
    let before = w.descriptors();
    for bytes in [
        &b"\0"[..],
        b"\0\0\0\x10\0\0\0\x01\x01\0half",
        b"\0\x40\0\0\0\0\0\x01\x01\0",
    ] {
        let mut c = Client::connect(&address(w)).unwrap();
        c.bytes(bytes);
    }
    eventually("descriptors are left", || w.descriptors() <= before);
    lives(w, "c");
}

fn half_closed(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    let mut waiter = w.connect(&address(w), "c");
    let wait = waiter.send(V2, "Wait", &which("c", "").encode());
    waiter.half_close();
    std::thread::sleep(std::time::Duration::from_millis(100));
    c.call("Kill", &kill("c", "", 9)).unwrap();
    if w.is_ours() {
        assert_eq!(waiter.receive(wait).unwrap().get(1), 137);
    }
}

fn connections(w: &World) {
    w.started("c", &["sleep", "1000"]);
    let before = w.descriptors();
    for _ in 0..10 {
        let many: Vec<_> = (0..100)
            .filter_map(|_| Client::connect(&address(w)).ok())
            .collect();
        assert!(many.len() > 50);
    }
    eventually("descriptors are left", || w.descriptors() <= before);
    lives(w, "c");
}

fn lonely_fifos(w: &World) {
    let (input, out, err) = (w.fifo("in"), w.fifo("out"), w.fifo("err"));
    let bundle = w.bundle("c", &["sh", "-c", "echo x; echo y >&2"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let request = w.create("c").text(5, &input).text(6, &out).text(7, &err);
    c.call("Create", &request).unwrap();
    c.call("Start", &which("c", "")).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 0);
    c.call("Delete", &which("c", "")).unwrap();
}

fn bundle_deleted(w: &World) {
    let mut c = w.started("c", &["sleep", "1000"]);
    std::fs::remove_dir_all(w.dir.join("c")).unwrap();
    c.call("Kill", &kill("c", "", 9)).unwrap();
    assert_eq!(c.call("Wait", &which("c", "")).unwrap().get(1), 137);
    c.call("Delete", &which("c", "")).unwrap();
    refused(c.call("Create", &w.create("d")), 2);
}

fn full_disk(w: &World) {
    let small = w.dir.join("small");
    std::fs::create_dir_all(&small).unwrap();
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("small", &small, "tmpfs", flags, Some(c"size=16k")).unwrap();
    let bundle = w.bundle("c", &["true"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    std::fs::write(small.join("fill"), vec![0; 16384]).unwrap_or(());
    let options = Message::new().text(7, &small.to_string_lossy());
    let options = crate::proto::any("containerd.runc.v1.Options", &options.encode());
    let failure = c
        .call("Create", &w.create("c").message(10, &options))
        .unwrap_err();
    assert!(failure.message.contains("ENOSPC"), "{}", failure.message);
    std::fs::remove_file(small.join("fill")).unwrap();
    assert!(
        !small.join(&w.namespace).join("c").exists(),
        "a state directory is left"
    );
    rustix::mount::unmount(&small, rustix::mount::UnmountFlags::DETACH).unwrap();
    c.call("Create", &w.create("c")).unwrap();
}

fn send(w: &World, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(w.pid().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

fn sigterm(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let address = w.start(&bundle, "c");
    w.connect(&address, "c");
    send(w, rustix::process::Signal::TERM);
    eventually("it goes on", || Client::connect(&address).is_err());
    eventually("its socket is there", || !Path::new(&address).exists());
}

fn signals(w: &World) {
    w.started("c", &["sleep", "1000"]);
    send(w, rustix::process::Signal::USR1);
    send(w, rustix::process::Signal::PIPE);
    std::thread::sleep(std::time::Duration::from_millis(50));
    lives(w, "c");
}

fn descriptors(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    let mut life = || {
        c.call("Create", &w.create("c")).unwrap();
        c.call("Start", &which("c", "")).unwrap();
        c.call("Wait", &which("c", "")).unwrap();
        c.call("Delete", &which("c", "")).unwrap();
    };
    life();
    let before = w.descriptors();
    for _ in 0..5 {
        life();
    }
    eventually("descriptors are left", || w.descriptors() <= before);
}

fn ids(w: &World) {
    let bundle = w.bundle("c", &["true"]);
    let mut c = w.connect(&w.start(&bundle, "c"), "c");
    for id in ["../x", "a/b", ".", "a b"] {
        let request = Message::new()
            .text(1, id)
            .text(2, &bundle.to_string_lossy());
        refused(c.call("Create", &request), code::INVALID_ARGUMENT);
    }
    let long = "x".repeat(2000);
    let request = Message::new()
        .text(1, &long)
        .text(2, &bundle.to_string_lossy());
    refused(c.call("Create", &request), code::INVALID_ARGUMENT);
}
