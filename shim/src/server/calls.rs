//! The seventeen calls of containerd's task service: what can be answered is, the rest is begun.
use super::{DRAIN, Done, Draining, Server};
use crate::clock::stamp;
use crate::failure::{Code, Failure};
use crate::life::Which;
use crate::options;
use crate::stdio::Streams;
use crate::task::{Caller, Process, Task};
use crate::work::{self, Creation};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;
use tare_runtime::Runtime;
use tare_shim_wire::messages::google::Empty;
use tare_shim_wire::messages::task::{
    Answer, Call, CreateTaskRequest, DeleteRequest, DeleteResponse, KillRequest, PidsRequest,
    StartRequest, StatsRequest, StatsResponse, UpdateTaskRequest,
};

/// What becomes of a call.
pub(super) enum Next {
    /// It is answered at once.
    Now(Answer),
    /// Its answer comes later.
    Later,
}

impl Server {
    pub(super) fn call(&mut self, caller: Caller, call: Call) {
        let next = self.begin(caller, call);
        self.follow(caller, next);
    }

    fn follow(&mut self, caller: Caller, next: Result<Next, Failure>) {
        match next {
            Ok(Next::Now(answer)) => self.answer(caller, Ok(answer)),
            Ok(Next::Later) => {}
            Err(failure) => self.answer(caller, Err(failure)),
        }
    }

    fn begin(&mut self, caller: Caller, call: Call) -> Result<Next, Failure> {
        match call {
            Call::State(request) => self.state(&request),
            Call::Create(request) => self.create(caller, request),
            Call::Start(request) => self.start(caller, request),
            Call::Delete(request) => self.delete(caller, request),
            Call::Pids(request) => self.pids(caller, request),
            Call::Pause(ref request) => self.freeze(caller, request.id.clone(), true, call),
            Call::Resume(ref request) => self.freeze(caller, request.id.clone(), false, call),
            Call::Checkpoint(_) => Err(Failure::new(
                Code::Unimplemented,
                "checkpoints are not made yet",
            )),
            Call::Kill(request) => self.kill(caller, request),
            Call::Exec(request) => self.exec(request),
            Call::ResizePty(request) => self.resize(&request),
            Call::CloseIO(request) => self.close_io(&request),
            Call::Update(request) => self.update(caller, request),
            Call::Wait(request) => self.wait(caller, &request),
            Call::Stats(request) => self.stats(caller, request),
            Call::Connect(request) => self.connect(&request),
            Call::Shutdown(_) => Ok(self.shutdown()),
        }
    }

    pub(super) fn task(&self, id: &str) -> Result<&Task, Failure> {
        self.tasks.get(id).ok_or_else(|| unknown(id))
    }

    pub(super) fn task_mut(&mut self, id: &str) -> Result<&mut Task, Failure> {
        self.tasks.get_mut(id).ok_or_else(|| unknown(id))
    }

    pub(super) fn runtime(&self, task: &Task) -> Runtime {
        work::runtime(&task.options, &self.namespace)
    }

    /// Begins a job. That it could not is an answer too.
    fn job(&mut self, job: impl FnOnce() -> Done + Send + 'static) -> Result<Next, Failure> {
        self.jobs
            .begin(job)
            .map_err(|error| Failure::io("start a thread", &error))?;
        Ok(Next::Later)
    }

    /// Whether it is a call's turn; else it waits. No other may come between a verb and its end.
    fn turn(
        &mut self,
        caller: Caller,
        id: &str,
        call: impl FnOnce() -> Call,
    ) -> Result<bool, Failure> {
        let task = self.task_mut(id)?;
        if task.busy {
            task.waiting.push_back((caller, call()));
            return Ok(false);
        }
        Ok(true)
    }

    fn create(&mut self, caller: Caller, request: CreateTaskRequest) -> Result<Next, Failure> {
        let id = request.id.clone();
        if self.tasks.contains_key(&id) || self.making.contains(&id) {
            return Err(Failure::new(
                Code::AlreadyExists,
                format!("task {id} already exists"),
            ));
        }
        if !request.checkpoint.is_empty() {
            return Err(Failure::new(
                Code::Unimplemented,
                "checkpoints are not restored yet",
            ));
        }
        let found = options::read(request.options.as_ref())?;
        self.making.insert(id.clone());
        let (namespace, pods) = (self.namespace.clone(), self.places());
        let socket = self.socket.clone();
        let begun = self.job(move || {
            let result = crate::start::load(found).and_then(|options| {
                let creation = Creation {
                    id: request.id.clone(),
                    namespace,
                    socket,
                    bundle: PathBuf::from(&request.bundle),
                    mounts: request.rootfs.clone(),
                    streams: Streams {
                        stdin: request.stdin.clone(),
                        stdout: request.stdout.clone(),
                        stderr: request.stderr.clone(),
                        terminal: request.terminal,
                    },
                    options,
                    pods,
                };
                work::create(&creation).map(|begun| Box::new((creation, begun)))
            });
            Done::Created {
                caller,
                id: request.id,
                result,
            }
        });
        if begun.is_err() {
            self.making.remove(&id);
        }
        begun
    }

    fn start(&mut self, caller: Caller, request: StartRequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let id = request.id.clone();
        match &which {
            Which::Init => {
                if !self.turn(caller, &id, || Call::Start(request))? {
                    return Ok(Next::Later);
                }
                let task = self.task_mut(&id)?;
                task.life.start(&which)?;
                task.busy = true;
                let runtime = self.runtime(self.task(&id)?);
                let begun = self.job({
                    let id = id.clone();
                    move || {
                        let result = work::start(&runtime, &id);
                        Done::Started { caller, id, result }
                    }
                });
                if begun.is_err() {
                    self.not_started(&id, &which);
                }
                begun
            }
            Which::Exec(exec) => {
                let task = self.task_mut(&id)?;
                task.life.start(&which)?;
                let ids = (task.options.runc.io_uid, task.options.runc.io_gid);
                let process = task.execs.get_mut(exec);
                let (spec, streams) = match process {
                    Some(process) => (
                        process.spec.take().unwrap_or_default(),
                        process.streams.clone(),
                    ),
                    None => return Err(unknown(exec)),
                };
                let (runtime, namespace) = (self.runtime(self.task(&id)?), self.namespace.clone());
                let begun = self.job({
                    let (id, exec) = (id.clone(), exec.clone());
                    move || {
                        let result = work::exec(&runtime, &id, &namespace, spec, &streams, ids);
                        Done::Entered {
                            caller,
                            id,
                            exec,
                            result: result.map(Box::new),
                        }
                    }
                });
                if begun.is_err() {
                    self.not_started(&id, &which);
                }
                begun
            }
        }
    }

    fn delete(&mut self, caller: Caller, request: DeleteRequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let id = request.id.clone();
        self.task(&id)?.life.may_delete(&which)?;
        if which == Which::Init && !self.turn(caller, &id, || Call::Delete(request))? {
            return Ok(Next::Later);
        }
        // Nobody comes back to read what a process that has ended has said: where nobody reads now the rest is dropped.
        if let Some(process) = self.task_mut(&id)?.process_mut(&which) {
            process.kept.clear();
        }
        if self.is_full(&id, &which) {
            self.draining.push(Draining {
                caller,
                id,
                which,
                until: Instant::now() + DRAIN,
            });
        } else {
            self.delete_now(caller, &id, &which);
        }
        Ok(Next::Later)
    }

    /// What the process said has been taken.
    pub(super) fn delete_now(&mut self, caller: Caller, id: &str, which: &Which) {
        let next = self.delete_begin(caller, id, which);
        self.follow(caller, next);
    }

    fn delete_begin(&mut self, caller: Caller, id: &str, which: &Which) -> Result<Next, Failure> {
        let exit = self.task(id)?.life.may_delete(which)?;
        match which {
            Which::Exec(exec) => {
                let task = self.task_mut(id)?;
                task.life.deleted(exec);
                let process = task.execs.remove(exec).unwrap_or_default();
                let answer = DeleteResponse {
                    pid: process.pid,
                    exit_status: exit.map_or(0, |exit| exit.status),
                    exited_at: exit.map(|exit| stamp(exit.at)),
                };
                self.close(process);
                Ok(Next::Now(Answer::Delete(answer)))
            }
            Which::Init => {
                let task = self.task_mut(id)?;
                if task.kills > 0 {
                    let request = DeleteRequest {
                        id: id.to_owned(),
                        ..DeleteRequest::default()
                    };
                    task.waiting.push_back((caller, Call::Delete(request)));
                    return Ok(Next::Later);
                }
                task.busy = true;
                let bundle = task.bundle.clone();
                let runtime = self.runtime(self.task(id)?);
                // Created and never started: it is ended first.
                let force = exit.is_none();
                let begun = self.job({
                    let id = id.to_owned();
                    move || {
                        let result = work::delete(&runtime, &id, &bundle, force);
                        Done::Deleted { caller, id, result }
                    }
                });
                if begun.is_err()
                    && let Some(task) = self.tasks.get_mut(id)
                {
                    task.busy = false;
                }
                begun
            }
        }
    }

    /// Nobody needs its streams any more.
    pub(super) fn close(&mut self, process: Process) {
        for number in process.output.iter().chain(&process.input) {
            self.flows.remove(number);
        }
    }

    fn pids(&mut self, caller: Caller, request: PidsRequest) -> Result<Next, Failure> {
        let task = self.task(&request.id)?;
        let execs: BTreeMap<u32, String> = task
            .execs
            .iter()
            .map(|(id, process)| (process.pid, id.clone()))
            .collect();
        // A task without a process is a leak to a containerd that comes back, which deletes it: the status of an end that it has
        // not been told of yet would be lost.
        let untold = !task.life.is_live(&Which::Init) && !self.publisher.is_idle();
        let ended = untold.then_some(task.init.pid.cast_signed());
        let runtime = self.runtime(task);
        self.job(move || Done::Answered {
            caller,
            result: work::pids(&runtime, &request.id).map(|mut pids| {
                if pids.is_empty() {
                    pids.extend(ended);
                }
                Answer::Pids(super::done::pids(&pids, &execs))
            }),
        })
    }

    fn freeze(
        &mut self,
        caller: Caller,
        id: String,
        frozen: bool,
        call: Call,
    ) -> Result<Next, Failure> {
        if !self.turn(caller, &id, || call)? {
            return Ok(Next::Later);
        }
        self.task_mut(&id)?.busy = true;
        let runtime = self.runtime(self.task(&id)?);
        self.ordered(id.clone(), move || Done::Frozen {
            caller,
            result: work::freeze(&runtime, &id, frozen),
            id,
            frozen,
        })
    }

    /// A job of a task that is busy now, and no longer if it can't be begun.
    fn ordered(
        &mut self,
        id: String,
        job: impl FnOnce() -> Done + Send + 'static,
    ) -> Result<Next, Failure> {
        let begun = self.job(job);
        if begun.is_err()
            && let Some(task) = self.tasks.get_mut(&id)
        {
            task.busy = false;
        }
        begun
    }

    fn kill(&mut self, caller: Caller, request: KillRequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let task = self.task(&request.id)?;
        task.life.stage(&which)?;
        let signal = work::signal_of(request.signal)?;
        if let Which::Exec(_) = which {
            let process = task.process(&which);
            let pidfd = process.and_then(|process| process.pidfd.as_ref());
            let pidfd = pidfd.ok_or_else(finished)?;
            return match signal.send(pidfd) {
                Ok(()) => Ok(Next::Now(Answer::Kill(Empty {}))),
                Err(error) => Err(Failure::of(&error)),
            };
        }
        if !task.life.is_live(&which) && !request.all {
            return Err(finished());
        }
        let runtime = self.runtime(task);
        let begun = self.job({
            let id = request.id.clone();
            move || Done::Killed {
                caller,
                result: work::kill(&runtime, &id, request.signal, request.all),
                id,
            }
        });
        if begun.is_ok() {
            self.task_mut(&request.id)?.kills += 1;
        }
        begun
    }

    /// Ends what runs in a container whose init has ended without it.
    pub(super) fn kill_rest(&mut self, id: &str) {
        let Some(task) = self.tasks.get(id) else {
            return;
        };
        let runtime = self.runtime(task);
        let id = id.to_owned();
        let begun = self.jobs.begin(move || {
            // It may be empty already.
            let _ = work::kill(&runtime, &id, 9, true);
            Done::Nothing
        });
        if let Err(error) = begun {
            eprintln!("kill the rest: {error}");
        }
    }

    fn update(&mut self, caller: Caller, request: UpdateTaskRequest) -> Result<Next, Failure> {
        let id = request.id.clone();
        if self.task(&id)?.busy {
            self.turn(caller, &id, || Call::Update(request))?;
            return Ok(Next::Later);
        }
        let resources = request
            .resources
            .ok_or_else(|| Failure::new(Code::InvalidArgument, "update without resources"))?;
        let task = self.task_mut(&request.id)?;
        task.busy = true;
        let runtime = self.runtime(self.task(&request.id)?);
        self.ordered(id.clone(), move || Done::Updated {
            caller,
            result: work::update(&runtime, &id, &resources),
            id,
        })
    }

    fn stats(&mut self, caller: Caller, request: StatsRequest) -> Result<Next, Failure> {
        let runtime = self.runtime(self.task(&request.id)?);
        self.job(move || Done::Answered {
            caller,
            result: work::stats(&runtime, &request.id)
                .map(|stats| Answer::Stats(StatsResponse { stats: Some(stats) })),
        })
    }
}

fn unknown(id: &str) -> Failure {
    Failure::new(Code::NotFound, format!("task {id}: not found"))
}

fn finished() -> Failure {
    Failure::new(Code::NotFound, "process already finished: not found")
}
