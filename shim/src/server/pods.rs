//! The sandbox service: pods whose namespaces this server holds, so that none needs a container for that.
use super::{Done, Kind, POLITE, Server};
use crate::clock::stamp;
use crate::failure::{Code, Failure};
use crate::furniture::{self, Place};
use crate::life::Exit;
use crate::pin::{self, Pin};
use crate::pod::Pod;
use crate::task::Caller;
use crate::work;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};
use tare_shim_wire::messages::sandbox::{
    Answer, Call, CreateSandboxRequest, CreateSandboxResponse, Metric, PingResponse, Platform,
    PlatformResponse, SandboxMetricsResponse, SandboxStatusRequest, SandboxStatusResponse,
    ShutdownSandboxResponse, StartSandboxResponse, StopSandboxResponse, WaitSandboxResponse,
};
use tare_supervisor::Interest;

/// A pod.
#[derive(Debug)]
pub(super) struct Sandbox {
    directory: PathBuf,
    pod: Pod,
    stage: Stage,
    created: SystemTime,
    pid: u32,
    waiters: Vec<Caller>,
    /// Whoever waits for its end because he asked for it.
    enders: Vec<(Caller, Ending)>,
}

#[derive(Debug)]
enum Stage {
    Created,
    Starting,
    Ready(Pin),
    Stopping,
    Stopped(Exit),
}

/// What is asked for with a pod's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Stop,
    Shutdown,
}

/// The status of what ended by a signal that nobody here has sent.
const KILLED: u32 = 137;

/// What becomes of a call.
enum Next {
    Now(Answer),
    Later,
}

impl Server {
    pub(super) fn sandbox_call(&mut self, caller: Caller, call: Call) {
        match self.sandbox_begin(caller, call) {
            Ok(Next::Now(answer)) => self.sandbox_answer(caller, Ok(answer)),
            Ok(Next::Later) => {}
            Err(failure) => self.sandbox_answer(caller, Err(failure)),
        }
    }

    pub(super) fn sandbox_answer(&mut self, caller: Caller, result: Result<Answer, Failure>) {
        self.reply(
            caller,
            result.as_ref().map(Answer::message).map_err(Clone::clone),
        );
    }

    fn sandbox_begin(&mut self, caller: Caller, call: Call) -> Result<Next, Failure> {
        match call {
            Call::CreateSandbox(request) => self.sandbox_create(request),
            Call::StartSandbox(request) => self.sandbox_start(caller, request.sandbox_id),
            Call::Platform(request) => {
                self.sandbox(&request.sandbox_id)?;
                Ok(Next::Now(Answer::Platform(platform())))
            }
            Call::StopSandbox(request) => self.end(caller, request.sandbox_id, Ending::Stop),
            Call::WaitSandbox(request) => self.sandbox_wait(caller, &request.sandbox_id),
            Call::SandboxStatus(request) => self.sandbox_status(&request),
            Call::PingSandbox(request) => {
                self.sandbox(&request.sandbox_id)?;
                Ok(Next::Now(Answer::PingSandbox(PingResponse {})))
            }
            Call::ShutdownSandbox(request) => {
                self.end(caller, request.sandbox_id, Ending::Shutdown)
            }
            Call::SandboxMetrics(request) => self.sandbox_metrics(caller, request.sandbox_id),
        }
    }

    fn sandbox(&mut self, id: &str) -> Result<&mut Sandbox, Failure> {
        self.sandboxes
            .get_mut(id)
            .ok_or_else(|| Failure::new(Code::NotFound, format!("sandbox {id}: not found")))
    }

    /// The pods that containers can be put into.
    pub(super) fn places(&self) -> Vec<Place> {
        let ready = self.sandboxes.iter();
        let ready = ready.filter(|(_, one)| matches!(one.stage, Stage::Ready(_)));
        ready
            .map(|(id, one)| Place {
                id: id.clone(),
                directory: one.directory.clone(),
                pod: one.pod.clone(),
                pid: one.pid,
            })
            .collect()
    }

    fn sandbox_create(&mut self, request: CreateSandboxRequest) -> Result<Next, Failure> {
        let id = request.sandbox_id.clone();
        if self.sandboxes.contains_key(&id) {
            let why = format!("sandbox {id} already exists");
            return Err(Failure::new(Code::AlreadyExists, why));
        }
        let directory = PathBuf::from(&request.bundle_path);
        if !directory.is_absolute() {
            let why = format!("bundle_path {:?} is not absolute", request.bundle_path);
            return Err(Failure::new(Code::InvalidArgument, why));
        }
        let sandbox = Sandbox {
            directory,
            pod: Pod::of(&request)?,
            stage: Stage::Created,
            created: SystemTime::now(),
            pid: 0,
            waiters: Vec::new(),
            enders: Vec::new(),
        };
        self.sandboxes.insert(id, sandbox);
        Ok(Next::Now(Answer::CreateSandbox(CreateSandboxResponse {})))
    }

    fn sandbox_start(&mut self, caller: Caller, id: String) -> Result<Next, Failure> {
        let sandbox = self.sandbox(&id)?;
        if !matches!(sandbox.stage, Stage::Created) {
            return Err(precondition(&id, "has been started before"));
        }
        sandbox.stage = Stage::Starting;
        let (directory, pod) = (sandbox.directory.clone(), sandbox.pod.clone());
        let begun = self.jobs.begin({
            let id = id.clone();
            move || {
                let result = furniture::furnish(&directory, &pod)
                    .and_then(|()| pin::pin(&pod).inspect_err(|_| furniture::clear(&directory)));
                Done::Pinned { caller, id, result }
            }
        });
        begun.map_err(|error| {
            if let Some(sandbox) = self.sandboxes.get_mut(&id) {
                sandbox.stage = Stage::Created;
            }
            Failure::io("start a thread", &error)
        })?;
        Ok(Next::Later)
    }

    pub(super) fn pinned(&mut self, caller: Caller, id: &str, result: Result<Pin, Failure>) {
        let pin = match result {
            Ok(pin) => pin,
            Err(failure) => {
                if let Some(sandbox) = self.sandboxes.get_mut(id) {
                    sandbox.stage = Stage::Created;
                }
                return self.sandbox_answer(caller, Err(failure));
            }
        };
        let pid = pin.pid;
        if let Some(pidfd) = &pin.pidfd {
            let number = self.number();
            let token = Kind::Pod.token(number);
            match self.poll.add(pidfd.as_fd(), token, Interest::Read) {
                Ok(()) => {
                    self.pins.insert(number, id.to_owned());
                }
                Err(error) => eprintln!("{id}: its end can't be waited for: {error}"),
            }
        }
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return;
        };
        sandbox.pid = pid;
        sandbox.created = SystemTime::now();
        sandbox.stage = Stage::Ready(pin);
        let answer = StartSandboxResponse {
            pid,
            created_at: Some(stamp(sandbox.created)),
            spec: None,
        };
        self.sandbox_answer(caller, Ok(Answer::StartSandbox(answer)));
    }

    /// What held a pod's namespaces has ended by itself.
    pub(super) fn unheld(&mut self, number: u64) {
        let Some(id) = self.pins.remove(&number) else {
            return;
        };
        let ready = self.sandboxes.get(&id);
        if ready.is_some_and(|sandbox| matches!(sandbox.stage, Stage::Ready(_))) {
            eprintln!("sandbox {id}: what holds its namespaces has been killed");
            self.take_down(&id, KILLED);
        }
    }

    fn end(&mut self, caller: Caller, id: String, how: Ending) -> Result<Next, Failure> {
        self.sandbox(&id)?;
        if how == Ending::Shutdown && !(self.tasks.is_empty() && self.making.is_empty()) {
            let names: Vec<&str> = self.tasks.keys().map(String::as_str).collect();
            return Err(precondition(
                &id,
                &format!("has containers: {}", names.join(", ")),
            ));
        }
        let sandbox = self.sandbox(&id)?;
        match sandbox.stage {
            Stage::Starting => return Err(precondition(&id, "is being started")),
            Stage::Stopped(_) => return Ok(self.ended_as(&id, how)),
            Stage::Created => {
                self.unpinned(&id, 0);
                return Ok(self.ended_as(&id, how));
            }
            Stage::Stopping => sandbox.enders.push((caller, how)),
            Stage::Ready(_) => {
                sandbox.enders.push((caller, how));
                self.take_down(&id, 0);
            }
        }
        Ok(Next::Later)
    }

    /// Lets go of a pod's namespaces.
    fn take_down(&mut self, id: &str, status: u32) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return;
        };
        let Stage::Ready(pin) = std::mem::replace(&mut sandbox.stage, Stage::Stopping) else {
            return;
        };
        let directory = sandbox.directory.clone();
        self.pins.retain(|_, other| other != id);
        let begun = self.jobs.begin({
            let id = id.to_owned();
            move || {
                drop(pin);
                furniture::clear(&directory);
                Done::Unpinned { id, status }
            }
        });
        if let Err(error) = begun {
            // The job's pin has been dropped with it.
            eprintln!("sandbox {id}: {error}");
            self.unpinned(id, status);
        }
    }

    pub(super) fn unpinned(&mut self, id: &str, status: u32) {
        let Some(sandbox) = self.sandboxes.get_mut(id) else {
            return;
        };
        let exit = Exit {
            status,
            at: SystemTime::now(),
        };
        let answer = waited(&exit);
        sandbox.stage = Stage::Stopped(exit);
        sandbox.pid = 0;
        let waiters = std::mem::take(&mut sandbox.waiters);
        let enders = std::mem::take(&mut sandbox.enders);
        for waiter in waiters {
            self.sandbox_answer(waiter, Ok(Answer::WaitSandbox(answer.clone())));
        }
        for (ender, how) in enders {
            if let Next::Now(answer) = self.ended_as(id, how) {
                self.sandbox_answer(ender, Ok(answer));
            }
        }
    }

    /// The answer to whoever asked for the end of a pod that has ended.
    fn ended_as(&mut self, id: &str, how: Ending) -> Next {
        Next::Now(match how {
            Ending::Stop => Answer::StopSandbox(StopSandboxResponse {}),
            Ending::Shutdown => {
                self.sandboxes.remove(id);
                if self.sandboxes.is_empty() {
                    self.polite = Some(Instant::now() + POLITE);
                    self.stop();
                }
                Answer::ShutdownSandbox(ShutdownSandboxResponse {})
            }
        })
    }

    fn sandbox_wait(&mut self, caller: Caller, id: &str) -> Result<Next, Failure> {
        let sandbox = self.sandbox(id)?;
        if let Stage::Stopped(exit) = &sandbox.stage {
            return Ok(Next::Now(Answer::WaitSandbox(waited(exit))));
        }
        sandbox.waiters.push(caller);
        Ok(Next::Later)
    }

    fn sandbox_status(&mut self, request: &SandboxStatusRequest) -> Result<Next, Failure> {
        let id = &request.sandbox_id;
        let sandbox = self.sandbox(id)?;
        let (state, exited) = match &sandbox.stage {
            Stage::Ready(_) => (READY, None),
            Stage::Stopped(exit) => (NOT_READY, Some(stamp(exit.at))),
            _ => (NOT_READY, None),
        };
        // As JSON under "info", where kubelet's tools look.
        let info = json!({
            "pid": sandbox.pid,
            "processStatus": if state == READY { "running" } else { "stopped" },
            "hostname": sandbox.pod.hostname,
        });
        let info = BTreeMap::from([("info".to_owned(), info.to_string())]);
        Ok(Next::Now(Answer::SandboxStatus(SandboxStatusResponse {
            sandbox_id: id.clone(),
            pid: sandbox.pid,
            state: state.to_owned(),
            info: if request.verbose {
                info
            } else {
                BTreeMap::new()
            },
            created_at: Some(stamp(sandbox.created)),
            exited_at: exited,
            extra: None,
        })))
    }

    fn sandbox_metrics(&mut self, caller: Caller, id: String) -> Result<Next, Failure> {
        let sandbox = self.sandbox(&id)?;
        if !matches!(sandbox.stage, Stage::Ready(_)) {
            return Err(precondition(&id, "uses nothing: it is not ready"));
        }
        let pod = sandbox.pod.clone();
        // What the host's network carries is not the pod's.
        let holder = (!pod.network.is_empty()).then_some(sandbox.pid.cast_signed());
        let tasks = self.tasks.iter();
        let tasks = tasks
            .map(|(id, task)| (self.runtime(task), id.clone(), task.bundle.clone()))
            .collect();
        let begun = self.jobs.begin(move || {
            let data = work::pod_stats((&id, &pod.cgroup), tasks, holder);
            let result = data.map(|data| {
                Answer::SandboxMetrics(SandboxMetricsResponse {
                    metrics: Some(Metric {
                        timestamp: Some(stamp(SystemTime::now())),
                        id,
                        data: Some(data),
                    }),
                })
            });
            Done::Measured { caller, result }
        });
        begun.map_err(|error| Failure::io("start a thread", &error))?;
        Ok(Next::Later)
    }

    /// Whether an answer for this connection is still to come.
    pub(super) fn sandboxes_owe(&self, connection: u64) -> bool {
        self.sandboxes.values().any(|one| {
            let enders = one.enders.iter().map(|(caller, _)| caller);
            let mut callers = one.waiters.iter().chain(enders);
            callers.any(|caller| caller.connection == connection)
        })
    }

    pub(super) fn sandboxes_forget(&mut self, connection: u64) {
        for one in self.sandboxes.values_mut() {
            one.waiters.retain(|caller| caller.connection != connection);
        }
    }
}

/// As kubelet's interface names them.
const READY: &str = "SANDBOX_READY";
const NOT_READY: &str = "SANDBOX_NOTREADY";

fn waited(exit: &Exit) -> WaitSandboxResponse {
    WaitSandboxResponse {
        exit_status: exit.status,
        exited_at: Some(stamp(exit.at)),
    }
}

/// In Go's words.
fn platform() -> PlatformResponse {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    PlatformResponse {
        platform: Some(Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            ..Platform::default()
        }),
    }
}

fn precondition(id: &str, why: &str) -> Failure {
    Failure::new(Code::FailedPrecondition, format!("sandbox {id} {why}"))
}
