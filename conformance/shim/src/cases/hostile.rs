//! What no client should do: the shim answers with a code or hangs up, goes on for others, and keeps nothing.

use super::refused;
use crate::case::cases;
use crate::client::{Answer, Status, answer, code};
use crate::container::Container;
use crate::lab::Lab;
use crate::process;
use crate::task::{RUNNING, Task, V2};
use crate::wire::{self, DATA, Message, REQUEST, RESPONSE};
use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

cases!("hostile":
    unknown_service,
    unknown_method,
    no_request,
    a_payload_that_is_no_message,
    one_byte_too_many,
    almost_too_many_bytes,
    a_length_of_four_gigabytes,
    half_a_frame,
    a_frame_in_single_bytes,
    many_requests_in_one_write,
    frames_of_other_kinds,
    stream_zero,
    even_stream,
    the_same_stream_twice,
    half_closed,
    gone_while_it_waits,
    a_client_that_does_not_read,
    a_thousand_connections,
    a_hundred_connections_at_once,
    descriptors_after_many_lives,
    strange_ids,
    long_strings,
);

/// A shim with a running container, and a raw connection to it.
struct Ground {
    container: Container,
    socket: PathBuf,
    task: Task,
    shim: i32,
}

fn ground(lab: &Lab) -> Ground {
    let container = lab.container("", &["sleep", "1000"]);
    container.write();
    let socket = lab.start_socket(&container);
    let task = lab.connect(&socket);
    lab.create(&task, &container);
    task.start(&container.id, "").expect("Start");
    let shim = task.connect(&container.id).expect("Connect").0;
    Ground {
        container,
        socket,
        task,
        shim,
    }
}

impl Ground {
    fn raw(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("it listens");
        let limit = Some(Duration::from_secs(5));
        stream.set_read_timeout(limit).expect("a limit");
        stream.set_write_timeout(limit).expect("a limit");
        stream
    }

    fn state(&self) -> Vec<u8> {
        let message = Message::new().text(1, &self.container.id).done();
        wire::request(V2, "State", &message)
    }

    /// It answers others, old and new.
    #[track_caller]
    fn serves(&self, lab: &Lab) {
        let again = lab.connect(&self.socket);
        for task in [&self.task, &again] {
            let state = task.state(&self.container.id, "");
            let state = state.unwrap_or_else(|status| panic!("State afterwards: {status}"));
            assert_eq!(state.status, RUNNING);
        }
        assert_eq!(again.connect("none").expect("Connect").0, self.shim);
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.shim)).map_or(0, Iterator::count)
    }

    /// As many descriptors as before, or some more that are no connection's: the cases make tens.
    #[track_caller]
    fn no_more_than(&self, before: usize) {
        let flat = process::eventually(Duration::from_secs(5), || self.descriptors() <= before + 4);
        assert!(flat, "{} descriptors, before {before}", self.descriptors());
    }
}

/// The answer on a stream; CLOSED where the shim hangs up.
fn receive(from: &mut UnixStream, stream: u32) -> Answer {
    loop {
        let frame = wire::read_frame(from).map_err(|error| Status {
            code: match error.kind() {
                std::io::ErrorKind::WouldBlock => code::TIMEOUT,
                _ => code::CLOSED,
            },
            message: error.to_string(),
        })?;
        if frame.stream == stream {
            return answer(frame.kind, &frame.payload);
        }
    }
}

/// Sends one frame; the answer.
fn exchange(ground: &Ground, stream: u32, kind: u8, payload: &[u8]) -> Answer {
    let mut raw = ground.raw();
    raw.write_all(&wire::frame(stream, kind, payload))
        .expect("it reads");
    receive(&mut raw, stream)
}

#[track_caller]
fn fails_or_hangs_up(answer: Answer) {
    let status = answer.expect_err("that is no request");
    assert_ne!(status.code, code::TIMEOUT, "neither an answer nor an end");
}

fn unknown_service(lab: &mut Lab) {
    let ground = ground(lab);
    let connection = &ground.task.connection;
    let id = Message::new().text(1, &ground.container.id).done();
    for service in ["no.such.Service", "", "containerd.task.v9.Task"] {
        refused(connection.call(service, "State", &id), code::UNIMPLEMENTED);
    }
    ground.serves(lab);
}

fn unknown_method(lab: &mut Lab) {
    let ground = ground(lab);
    let connection = &ground.task.connection;
    for method in ["Dance", "state", ""] {
        refused(connection.call(V2, method, b""), code::UNIMPLEMENTED);
    }
    ground.serves(lab);
}

fn no_request(lab: &mut Lab) {
    let ground = ground(lab);
    fails_or_hangs_up(exchange(&ground, 1, REQUEST, b"\xff\xff\xff\xff"));
    ground.serves(lab);
}

fn a_payload_that_is_no_message(lab: &mut Lab) {
    let ground = ground(lab);
    for method in ["State", "Create", "Exec", "Update"] {
        let answer = ground.task.connection.call(V2, method, b"\x0a\xff\xff\xff");
        let status = answer.expect_err("that is no message");
        assert!(status.code < 100, "{method}: {status}");
    }
    ground.serves(lab);
}

/// 4 MiB and one byte: said so on its stream.
fn one_byte_too_many(lab: &mut Lab) {
    let ground = ground(lab);
    let mut raw = ground.raw();
    let frame = wire::frame(1, REQUEST, &vec![0; (4 << 20) + 1]);
    raw.write_all(&frame).expect("it reads");
    refused(receive(&mut raw, 1), code::RESOURCE_EXHAUSTED);
    ground.serves(lab);
}

/// A field that nobody knows fills it up.
fn almost_too_many_bytes(lab: &mut Lab) {
    let ground = ground(lab);
    let id = Message::new().text(1, &ground.container.id);
    let message = id.bytes(999, &vec![b'x'; (4 << 20) - 1000]).done();
    let answer = ground.task.connection.call(V2, "State", &message);
    assert_eq!(answer.expect("it is short enough").number(4), RUNNING);
    ground.serves(lab);
}

/// The header alone: nothing may be made ready for it.
fn a_length_of_four_gigabytes(lab: &mut Lab) {
    let ground = ground(lab);
    let before = resident(ground.shim);
    let raws: Vec<UnixStream> = (0..20)
        .map(|_| {
            let mut raw = ground.raw();
            raw.write_all(&wire::header(u32::MAX, 1, REQUEST))
                .expect("it reads");
            // It may have hung up already.
            let _ = raw.write_all(&[0; 1000]);
            raw
        })
        .collect();
    ground.serves(lab);
    let grown = resident(ground.shim).saturating_sub(before);
    assert!(grown < 16 << 20, "the shim grew by {} KiB", grown >> 10);
    drop(raws);
    ground.serves(lab);
}

/// Bytes of VmRSS.
pub fn resident(pid: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.expect("VmRSS") << 10
}

fn half_a_frame(lab: &mut Lab) {
    let ground = ground(lab);
    ground.serves(lab);
    let before = ground.descriptors();
    let whole = wire::frame(1, REQUEST, &ground.state());
    let lengths = [1, 4, 9, 10, 11, whole.len() - 1];
    for length in lengths.into_iter().cycle().take(36) {
        let mut raw = ground.raw();
        raw.write_all(&whole[..length]).expect("it reads");
        ground.serves(lab);
        drop(raw);
    }
    ground.no_more_than(before);
    ground.serves(lab);
}

fn a_frame_in_single_bytes(lab: &mut Lab) {
    let ground = ground(lab);
    let mut raw = ground.raw();
    for byte in wire::frame(1, REQUEST, &ground.state()) {
        raw.write_all(&[byte]).expect("it reads");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(receive(&mut raw, 1).expect("State").number(4), RUNNING);
}

fn many_requests_in_one_write(lab: &mut Lab) {
    let ground = ground(lab);
    let mut raw = ground.raw();
    let mut bytes = Vec::new();
    for number in 0..100 {
        bytes.extend(wire::frame(number * 2 + 1, REQUEST, &ground.state()));
    }
    raw.write_all(&bytes).expect("it reads");
    let mut streams: Vec<u32> = (0..100)
        .map(|_| {
            let frame = wire::read_frame(&mut raw).expect("an answer for each");
            let state = answer(frame.kind, &frame.payload).expect("State");
            assert_eq!(state.number(4), RUNNING);
            frame.stream
        })
        .collect();
    streams.sort_unstable();
    let expected: Vec<u32> = (0..100).map(|number| number * 2 + 1).collect();
    assert_eq!(streams, expected);
}

/// Responses, data and what is no kind: passed over or refused, and the next request is answered, or the connection ends.
fn frames_of_other_kinds(lab: &mut Lab) {
    let ground = ground(lab);
    for kind in [RESPONSE, DATA, 0, 99, 255] {
        let mut raw = ground.raw();
        raw.write_all(&wire::frame(1, kind, &ground.state()))
            .expect("it reads");
        let sent = raw.write_all(&wire::frame(3, REQUEST, &ground.state()));
        let answer = match sent {
            Ok(()) => receive(&mut raw, 3),
            Err(_) => continue,
        };
        match answer {
            Ok(state) => assert_eq!(state.number(4), RUNNING, "kind {kind}"),
            Err(status) => assert_eq!(status.code, code::CLOSED, "kind {kind}: {status}"),
        }
        ground.serves(lab);
    }
}

fn stream_zero(lab: &mut Lab) {
    let ground = ground(lab);
    fails_or_hangs_up(exchange(&ground, 0, REQUEST, &ground.state()));
    ground.serves(lab);
}

/// Clients have the odd ones.
fn even_stream(lab: &mut Lab) {
    let ground = ground(lab);
    let status = exchange(&ground, 2, REQUEST, &ground.state()).expect_err("an even number");
    assert!(
        status.code == code::INVALID_ARGUMENT || status.code == code::CLOSED,
        "{status}"
    );
    ground.serves(lab);
}

fn the_same_stream_twice(lab: &mut Lab) {
    let ground = ground(lab);
    let mut raw = ground.raw();
    for round in 0..2 {
        // It may have hung up.
        let _ = raw.write_all(&wire::frame(1, REQUEST, &ground.state()));
        match receive(&mut raw, 1) {
            Ok(_) => {}
            Err(status) => assert!(round == 1 && status.code != code::TIMEOUT, "{status}"),
        }
    }
    ground.serves(lab);
}

/// What was asked before is answered, or the connection ends; others go on.
fn half_closed(lab: &mut Lab) {
    let ground = ground(lab);
    let mut raw = ground.raw();
    let id = Message::new().text(1, &ground.container.id).done();
    let wait = wire::request(V2, "Wait", &id);
    raw.write_all(&wire::frame(1, REQUEST, &wait))
        .expect("it reads");
    raw.shutdown(Shutdown::Write).expect("a socket");
    std::thread::sleep(Duration::from_millis(100));
    ground.serves(lab);
    ground.task.kill(&ground.container.id, "", 9).expect("Kill");
    match receive(&mut raw, 1) {
        Ok(end) => assert_eq!(end.number(1), 137),
        Err(status) => assert_eq!(status.code, code::CLOSED, "{status}"),
    }
}

/// Waits of clients that are gone cost nothing.
fn gone_while_it_waits(lab: &mut Lab) {
    let ground = ground(lab);
    let before = ground.descriptors();
    for _ in 0..50 {
        let task = lab.connect(&ground.socket);
        let waits: Vec<_> = (0..10)
            .map(|_| task.begin_wait(&ground.container.id, ""))
            .collect();
        task.state(&ground.container.id, "").expect("State");
        drop((task, waits));
    }
    ground.no_more_than(before);
    ground.serves(lab);
}

/// Its socket is full of answers; nobody else may notice.
fn a_client_that_does_not_read(lab: &mut Lab) {
    let ground = ground(lab);
    let mut raw = ground.raw();
    raw.set_write_timeout(Some(Duration::from_millis(500)))
        .expect("a limit");
    for number in 0..20_000 {
        let frame = wire::frame(number * 2 + 1, REQUEST, &ground.state());
        if raw.write_all(&frame).is_err() {
            break;
        }
    }
    let before = resident(ground.shim);
    ground.serves(lab);
    ground.task.kill(&ground.container.id, "", 9).expect("Kill");
    assert_eq!(
        ground.task.wait(&ground.container.id, "").expect("Wait"),
        137
    );
    assert!(
        before < 64 << 20,
        "{} KiB of answers are kept",
        before >> 10
    );
}

fn a_thousand_connections(lab: &mut Lab) {
    let ground = ground(lab);
    let before = ground.descriptors();
    for number in 0..1000 {
        let mut raw = ground.raw();
        if number % 3 == 0 {
            raw.write_all(&wire::frame(1, REQUEST, &ground.state()))
                .expect("it reads");
        }
    }
    ground.no_more_than(before);
    ground.serves(lab);
}

fn a_hundred_connections_at_once(lab: &mut Lab) {
    let ground = ground(lab);
    let before = ground.descriptors();
    let mut raws: Vec<UnixStream> = (0..100).map(|_| ground.raw()).collect();
    for raw in &mut raws {
        raw.write_all(&wire::frame(1, REQUEST, &ground.state()))
            .expect("it reads");
    }
    for raw in &mut raws {
        assert_eq!(receive(raw, 1).expect("State").number(4), RUNNING);
    }
    drop(raws);
    ground.no_more_than(before);
}

/// Lives with streams and execs: none leaves a descriptor.
fn descriptors_after_many_lives(lab: &mut Lab) {
    let ground = ground(lab);
    let life = |name: &str| {
        let mut container = lab.container(name, &["sh", "-c", "echo hello"]);
        let (output, _errors) = container.read_both();
        container.write();
        lab.create(&ground.task, &container);
        ground.task.start(&container.id, "").expect("Start");
        ground.task.wait(&container.id, "").expect("Wait");
        ground.task.delete(&container.id, "").expect("Delete");
        assert_eq!(output.text(), "hello\n");
    };
    life("first");
    std::thread::sleep(Duration::from_millis(200));
    let before = ground.descriptors();
    for number in 0..10 {
        life(&number.to_string());
    }
    ground.no_more_than(before);
}

/// Ids become paths of state and cgroups.
fn strange_ids(lab: &mut Lab) {
    let ground = ground(lab);
    let Container { bundle, stdio, .. } = &ground.container;
    for id in ["../x", "a/b", ".", "..", "a b", "", "a\0b"] {
        let created = ground
            .task
            .create(id, bundle, &[], stdio, lab.runc_options());
        refused(created, code::INVALID_ARGUMENT);
    }
    ground.serves(lab);
}

fn long_strings(lab: &mut Lab) {
    let ground = ground(lab);
    let long = "x".repeat(100_000);
    let Container {
        id, bundle, stdio, ..
    } = &ground.container;
    let status = ground
        .task
        .create(&long, bundle, &[], stdio, lab.runc_options())
        .expect_err("no id is that long");
    assert!(status.code < 100, "{}", status.code);
    refused(ground.task.state(&long, ""), code::NOT_FOUND);
    refused(ground.task.state(id, &long), code::NOT_FOUND);
    let mut streams = stdio.clone();
    streams.stdout = format!("/{long}");
    streams.stderr.clone_from(&streams.stdout);
    let other = lab.container("other", &["true"]);
    other.write();
    let created = ground
        .task
        .create(&other.id, &other.bundle, &[], &streams, lab.runc_options());
    let status = created.expect_err("no path is that long");
    assert!(status.code < 100, "{}", status.code);
    ground.serves(lab);
}
