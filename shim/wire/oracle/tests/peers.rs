//! Over sockets: their client calls our server, and ours calls theirs.
use containerd_shim_protos::shim::{events as theirs, shim as task};
use containerd_shim_protos::{Events, EventsClient, TaskClient, create_events};
use protobuf::Message as _;
use std::io::{Read, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tare_shim_wire::Message;
use tare_shim_wire::doors::Sample;
use tare_shim_wire::messages::events::{FORWARD, ForwardRequest, SERVICE, TaskExit};
use tare_shim_wire::messages::google::{Any, Empty, Timestamp};
use tare_shim_wire::messages::task::*;
use tare_shim_wire::rpc::{Client, Code, Incoming, Server, Status, put_response};
use ttrpc::context::with_duration;

const TIME: Timestamp = Timestamp {
    seconds: 7,
    nanos: 8,
};

/// What the served task answers: `Wait` only after the next call was answered.
fn answer(call: &Call) -> Result<Answer, Status> {
    let any = || Some(Any::pack(&TIME));
    Ok(match call {
        Call::State(request) if request.id == "none" => {
            return Err(Status::new(Code::NotFound, "no such container"));
        }
        Call::State(request) => Answer::State(StateResponse {
            id: request.id.clone(),
            exec_id: request.exec_id.clone(),
            pid: u32::MAX,
            status: ProcessStatus::Paused as i32,
            terminal: true,
            exited_at: Some(TIME),
            ..StateResponse::default()
        }),
        Call::Create(request) => {
            let mount = request.rootfs.first().cloned().unwrap_or_default();
            assert_eq!((mount.r#type.as_str(), mount.options.len()), ("overlay", 2));
            assert_eq!(request.options, any());
            Answer::Create(CreateTaskResponse { pid: 5 })
        }
        Call::Start(_) => Answer::Start(StartResponse { pid: 6 }),
        Call::Delete(_) => Answer::Delete(DeleteResponse {
            pid: 7,
            exit_status: 137,
            exited_at: Some(TIME),
        }),
        Call::Pids(_) => Answer::Pids(PidsResponse {
            processes: vec![
                ProcessInfo {
                    pid: 8,
                    info: any(),
                },
                ProcessInfo { pid: 9, info: None },
            ],
        }),
        Call::Pause(_) => Answer::Pause(Empty {}),
        Call::Resume(_) => Answer::Resume(Empty {}),
        Call::Checkpoint(_) => Answer::Checkpoint(Empty {}),
        Call::Kill(request) => {
            assert_eq!((request.signal, request.all), (9, true));
            Answer::Kill(Empty {})
        }
        Call::Exec(request) => {
            assert_eq!(request.spec, any());
            Answer::Exec(Empty {})
        }
        Call::ResizePty(request) => {
            assert_eq!((request.width, request.height), (80, 25));
            Answer::ResizePty(Empty {})
        }
        Call::CloseIO(request) => {
            assert!(request.stdin);
            Answer::CloseIO(Empty {})
        }
        Call::Update(request) => {
            assert_eq!(request.annotations.get("k").map(String::as_str), Some("v"));
            Answer::Update(Empty {})
        }
        Call::Wait(_) => Answer::Wait(WaitResponse {
            exit_status: 3,
            exited_at: Some(TIME),
        }),
        Call::Stats(_) => Answer::Stats(StatsResponse { stats: any() }),
        Call::Connect(_) => Answer::Connect(ConnectResponse {
            shim_pid: 1,
            task_pid: 2,
            version: "3".into(),
        }),
        Call::Shutdown(_) => Answer::Shutdown(Empty {}),
    })
}

/// Serves one connection until it is closed, reading few bytes at a time.
fn serve(mut socket: UnixStream) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let (mut server, mut waiting, mut count) = (Server::default(), Vec::new(), 0);
        let mut buffer = [0; 7];
        loop {
            let length = socket.read(&mut buffer).unwrap_or(0);
            if length == 0 {
                assert!(server.between_frames());
                return count;
            }
            let (mut input, mut out) = (&buffer[..length], Vec::new());
            while let Some(incoming) = server.next(&mut input) {
                count += 1;
                let (stream, result) = match incoming {
                    Incoming::Refused(stream, status) => (stream, Err(status)),
                    Incoming::Request(stream, request) => {
                        let call = Call::of(&request);
                        if matches!(call, Ok(Call::Wait(_))) && waiting.is_empty() {
                            waiting.push((stream, call));
                            continue;
                        }
                        (stream, call.and_then(|call| answer(&call)))
                    }
                };
                put_response(&mut out, stream, result.as_ref().map(Answer::message));
                for (stream, call) in waiting.drain(..) {
                    let result = call.and_then(|call| answer(&call));
                    put_response(&mut out, stream, result.as_ref().map(Answer::message));
                }
            }
            socket.write_all(&out).expect("the client reads");
        }
    })
}

fn connected() -> (ttrpc::Client, std::thread::JoinHandle<usize>) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let client = ttrpc::Client::new(theirs.into_raw_fd()).expect("a client");
    (client, serve(ours))
}

fn context() -> ttrpc::context::Context {
    with_duration(Duration::from_secs(20))
}

/// A message of theirs, from ours.
fn of<T: protobuf::Message>(ours: &impl Message) -> T {
    T::parse_from_bytes(&ours.encode()).expect("the same message")
}

#[test]
fn their_client_calls_our_server() {
    let (client, server) = connected();
    let client = TaskClient::new(client);
    let any = Some(Any::pack(&TIME));

    // `Wait` is answered after what was asked later.
    let waiter = client.clone();
    let waiter = std::thread::spawn(move || waiter.wait(context(), &task::WaitRequest::new()));
    let state = StateRequest {
        id: "c".into(),
        exec_id: "e".into(),
    };
    let mut seen = task::StateResponse::new();
    while !waiter.is_finished() {
        seen = client.state(context(), &of(&state)).expect("a state");
    }
    assert_eq!(
        (seen.id(), seen.exec_id(), seen.pid(), seen.status.value()),
        ("c", "e", u32::MAX, 4)
    );
    assert_eq!((seen.exited_at().seconds, seen.exited_at().nanos), (7, 8));
    let waited = waiter.join().expect("a thread").expect("an exit");
    assert_eq!(waited.exit_status(), 3);

    let create = CreateTaskRequest {
        rootfs: vec![Mount {
            r#type: "overlay".into(),
            options: vec!["ro".into(), "x=y".into()],
            ..Mount::default()
        }],
        options: any.clone(),
        ..CreateTaskRequest::default()
    };
    assert_eq!(
        client
            .create(context(), &of(&create))
            .expect("a task")
            .pid(),
        5
    );
    assert_eq!(
        client
            .start(context(), &task::StartRequest::new())
            .expect("a pid")
            .pid(),
        6
    );
    let deleted = client
        .delete(context(), &task::DeleteRequest::new())
        .expect("an exit");
    assert_eq!((deleted.pid(), deleted.exit_status()), (7, 137));
    let pids = client
        .pids(context(), &task::PidsRequest::new())
        .expect("pids");
    assert_eq!(
        pids.processes.iter().map(|one| one.pid).collect::<Vec<_>>(),
        [8, 9]
    );
    assert_eq!(pids.processes[0].info().value, TIME.encode());
    client
        .pause(context(), &task::PauseRequest::new())
        .expect("nothing");
    client
        .resume(context(), &task::ResumeRequest::new())
        .expect("nothing");
    client
        .checkpoint(context(), &task::CheckpointTaskRequest::new())
        .expect("nothing");
    let kill = KillRequest {
        signal: 9,
        all: true,
        ..KillRequest::default()
    };
    client.kill(context(), &of(&kill)).expect("nothing");
    let exec = ExecProcessRequest {
        spec: any,
        ..ExecProcessRequest::default()
    };
    client.exec(context(), &of(&exec)).expect("nothing");
    let resize = ResizePtyRequest {
        width: 80,
        height: 25,
        ..ResizePtyRequest::default()
    };
    client.resize_pty(context(), &of(&resize)).expect("nothing");
    let close = CloseIORequest {
        stdin: true,
        ..CloseIORequest::default()
    };
    client.close_io(context(), &of(&close)).expect("nothing");
    let update = UpdateTaskRequest {
        annotations: [("k".into(), "v".into())].into(),
        ..UpdateTaskRequest::default()
    };
    client.update(context(), &of(&update)).expect("nothing");
    let stats = client
        .stats(context(), &task::StatsRequest::new())
        .expect("stats");
    assert_eq!(stats.stats().type_url, "google.protobuf.Timestamp");
    let connect = client
        .connect(context(), &task::ConnectRequest::new())
        .expect("pids");
    assert_eq!(
        (connect.shim_pid(), connect.task_pid(), connect.version()),
        (1, 2, "3")
    );
    client
        .shutdown(context(), &task::ShutdownRequest::new())
        .expect("nothing");
    drop(client);
    assert!(server.join().expect("a server") >= 17);
}

fn status<T: std::fmt::Debug>(result: ttrpc::Result<T>) -> (ttrpc::Code, String) {
    match result {
        Err(ttrpc::Error::RpcStatus(status)) => (status.code(), status.message().to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn their_client_understands_our_refusals() {
    let (client, server) = connected();
    let none = StateRequest {
        id: "none".into(),
        ..StateRequest::default()
    };
    let refused = status(TaskClient::new(client.clone()).state(context(), &of(&none)));
    assert_eq!(
        refused,
        (ttrpc::Code::NOT_FOUND, "no such container".into())
    );
    let events = EventsClient::new(client.clone());
    let refused = status(events.forward(context(), &theirs::ForwardRequest::new()));
    assert_eq!(
        refused,
        (ttrpc::Code::UNIMPLEMENTED, format!("service {SERVICE}"))
    );
    // They call version 3 as we do; a method that nobody has:
    let mut request = ttrpc::Request::new();
    request.set_service(SERVICES[0].into());
    request.set_method("Fly".into());
    let refused = status(client.request(request));
    assert_eq!(refused, (ttrpc::Code::UNIMPLEMENTED, "method Fly".into()));
    drop((events, client));
    assert_eq!(server.join().expect("a server"), 3);
}

#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<theirs::ForwardRequest>>>);

impl Events for Listener {
    fn forward(
        &self,
        _: &ttrpc::TtrpcContext,
        request: theirs::ForwardRequest,
    ) -> ttrpc::Result<containerd_shim_protos::types::empty::Empty> {
        if request.envelope().topic() != "/tasks/exit" {
            let status = ttrpc::get_status(ttrpc::Code::INVALID_ARGUMENT, "another topic");
            return Err(ttrpc::Error::RpcStatus(status));
        }
        self.0.lock().expect("one user").push(request);
        Ok(Default::default())
    }
}

#[test]
fn our_client_calls_their_server() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("events-{}", std::process::id()));
    let listener = Listener::default();
    let mut server = ttrpc::Server::new()
        .bind(&format!("unix://{}", folder.display()))
        .expect("an address")
        .register_service(create_events(Arc::new(listener.clone())));
    server.start().expect("a server");
    let mut socket = UnixStream::connect(&folder).expect("a connection");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");

    let exit = TaskExit::sample(&mut tare_shim_wire::doors::numbers(1));
    let request = ForwardRequest::of("k8s.io", TIME, &exit);
    let (mut client, mut out) = (Client::default(), Vec::new());
    let mut other = request.clone();
    other.envelope.as_mut().expect("an envelope").topic = "/tasks/?".into();
    client
        .put_request(&mut out, SERVICE, FORWARD, &request, 5_000_000_000)
        .expect("short");
    client
        .put_request(&mut out, SERVICE, FORWARD, &other, 0)
        .expect("short");
    client
        .put_request(&mut out, SERVICE, "Backward", &request, 0)
        .expect("short");
    socket.write_all(&out).expect("the server reads");
    let (mut found, mut buffer) = (Vec::new(), [0; 5]);
    while found.len() < 3 {
        let length = socket.read(&mut buffer).expect("an answer");
        assert!(length > 0, "closed after {found:?}");
        let mut input = &buffer[..length];
        while let Some(answer) = client.next(&mut input) {
            found.push(answer);
        }
    }
    found.sort_by_key(|answer| answer.0);
    assert_eq!(found[0], (1, Ok(Vec::new())));
    assert_eq!(
        found[1],
        (3, Err(Status::new(Code::InvalidArgument, "another topic")))
    );
    assert!(
        matches!(&found[2], (5, Err(status)) if status.code != 0),
        "{found:?}"
    );
    let seen = listener.0.lock().expect("one user");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].write_to_bytes().expect("bytes"), request.encode());
    drop(seen);
    drop(socket);
    server.shutdown();
    let _ = std::fs::remove_file(&folder);
}
