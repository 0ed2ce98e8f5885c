//! What follows when a job is done: its answer, the events, and whoever waited for its end.
use super::{Kind, Server};
use crate::clock::stamp;
use crate::failure::Failure;
use crate::life::{Exit, Life, Which};
use crate::pin::Pin;
use crate::task::{Caller, Process, Task};
use crate::work::{Begun, Creation};
use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::SystemTime;
use tare_shim_wire::messages::events::{
    TaskCreate, TaskDelete, TaskExecStarted, TaskIO, TaskPaused, TaskResumed, TaskStart,
};
use tare_shim_wire::messages::google::{Any, Empty};
use tare_shim_wire::messages::runtime::ProcessDetails;
use tare_shim_wire::messages::sandbox;
use tare_shim_wire::messages::task::{
    Answer, Call, CreateTaskResponse, DeleteResponse, PidsResponse, ProcessInfo, StartResponse,
};
use tare_supervisor::{Interest, Relay};

/// A job's result.
pub(crate) enum Done {
    /// Create.
    Created {
        caller: Caller,
        id: String,
        result: Result<Box<(Creation, Begun)>, Failure>,
    },
    /// Start of init.
    Started {
        caller: Caller,
        id: String,
        result: Result<(), Failure>,
    },
    /// Start of an exec.
    Entered {
        caller: Caller,
        id: String,
        exec: String,
        result: Result<Box<Begun>, Failure>,
    },
    /// Delete of init.
    Deleted {
        caller: Caller,
        id: String,
        result: Result<(), Failure>,
    },
    /// Pause, Resume.
    Frozen {
        caller: Caller,
        id: String,
        frozen: bool,
        result: Result<(), Failure>,
    },
    /// Kill of init, or of all.
    Killed {
        caller: Caller,
        id: String,
        result: Result<(), Failure>,
    },
    /// Update.
    Updated {
        caller: Caller,
        id: String,
        result: Result<(), Failure>,
    },
    /// What changes nothing here.
    Answered {
        caller: Caller,
        result: Result<Answer, Failure>,
    },
    /// StartSandbox.
    Pinned {
        caller: Caller,
        id: String,
        result: Result<Pin, Failure>,
    },
    /// A sandbox's end.
    Unpinned { id: String, status: u32 },
    /// SandboxMetrics.
    Measured {
        caller: Caller,
        result: Result<sandbox::Answer, Failure>,
    },
    /// Of our own accord.
    Nothing,
}

impl Server {
    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Created { caller, id, result } => self.created(caller, &id, result),
            Done::Started { caller, id, result } => self.started(caller, &id, result),
            Done::Entered {
                caller,
                id,
                exec,
                result,
            } => self.entered(caller, &id, exec, result),
            Done::Deleted { caller, id, result } => self.deleted(caller, &id, result),
            Done::Frozen {
                caller,
                id,
                frozen,
                result,
            } => self.frozen(caller, &id, frozen, result),
            Done::Killed { caller, id, result } => {
                self.answer(caller, result.map(|()| Answer::Kill(Empty {})));
                self.killed(&id);
            }
            Done::Updated { caller, id, result } => {
                self.answer(caller, result.map(|()| Answer::Update(Empty {})));
                self.next_turn(&id);
            }
            Done::Answered { caller, result } => self.answer(caller, result),
            Done::Pinned { caller, id, result } => self.pinned(caller, &id, result),
            Done::Unpinned { id, status } => self.unpinned(&id, status),
            Done::Measured { caller, result } => self.sandbox_answer(caller, result),
            Done::Nothing => {}
        }
    }

    fn created(
        &mut self,
        caller: Caller,
        id: &str,
        result: Result<Box<(Creation, Begun)>, Failure>,
    ) {
        self.making.remove(id);
        let (creation, mut begun) = match result {
            Ok(made) => *made,
            Err(failure) => return self.answer(caller, Err(failure)),
        };
        let pid = begun.pid;
        let mut task = Task {
            bundle: creation.bundle,
            options: creation.options,
            mounts: creation.mounts,
            life: Life::new(),
            init: Process {
                streams: creation.streams,
                ..Process::default()
            },
            execs: BTreeMap::new(),
            paused: false,
            oom: None,
            shares_pids: begun.shares_pids,
            busy: false,
            kills: 0,
            waiting: Default::default(),
        };
        let event = TaskCreate {
            container_id: id.to_owned(),
            bundle: task.bundle.to_string_lossy().into_owned(),
            rootfs: task.mounts.clone(),
            io: Some(TaskIO {
                stdin: task.init.streams.stdin.clone(),
                stdout: task.init.streams.stdout.clone(),
                stderr: task.init.streams.stderr.clone(),
                terminal: task.init.streams.terminal,
            }),
            checkpoint: String::new(),
            pid,
        };
        self.watch_memory(id, &mut task, &mut begun);
        self.tasks.insert(id.to_owned(), task);
        self.publish(&event);
        self.answer(caller, Ok(Answer::Create(CreateTaskResponse { pid })));
        self.attend(id, Which::Init, begun);
    }

    pub(super) fn watch_memory(&mut self, id: &str, task: &mut Task, begun: &mut Begun) {
        if let Some(watch) = begun.oom.take() {
            let number = self.number();
            let token = Kind::Oom.token(number);
            if self.poll.add(&watch, token, Interest::Read).is_ok() {
                self.ooms.insert(number, id.to_owned());
                task.oom = Some(watch);
            }
        }
    }

    /// Takes over a process: its streams, and the wait for its end.
    pub(super) fn attend(&mut self, id: &str, which: Which, begun: Begun) {
        let mut made = begun.made;
        let (mut output, mut input) = (Vec::new(), None);
        if let Some((fifo, pipe)) = made.input.take() {
            input = Some(self.flow(Relay::new(fifo, pipe)));
        }
        if let Some(console) = &begun.console {
            // Each relay has a descriptor of its own; the file is the same.
            if let (Some(to), Ok(from)) = (made.terminal_output.take(), console.try_clone()) {
                output.push(self.flow(Relay::new(from, to)));
            }
            if let (Some(from), Ok(to)) = (made.terminal_input.take(), console.try_clone()) {
                input = Some(self.flow(Relay::new(from, to)));
            }
        }
        let number = self.number();
        let token = Kind::Exit.token(number);
        if let Err(error) = self.poll.add(begun.pidfd.as_fd(), token, Interest::Read) {
            eprintln!("{id}: its end can't be waited for: {error}");
        }
        self.exits.insert(number, (id.to_owned(), which.clone()));
        let process = self
            .tasks
            .get_mut(id)
            .and_then(|task| task.process_mut(&which));
        if let Some(process) = process {
            process.pid = begun.pid;
            process.pidfd = Some(begun.pidfd);
            process.console = begun.console;
            process.kept = std::mem::take(&mut made.kept);
            process.output = output;
            process.input = input;
        }
        // A logger's end is a child's end like others.
        drop(made);
    }

    fn started(&mut self, caller: Caller, id: &str, result: Result<(), Failure>) {
        if let Some(task) = self.tasks.get_mut(id) {
            match result {
                Ok(()) => {
                    let pid = task.init.pid;
                    let told = task.life.started(&Which::Init);
                    self.publish(&TaskStart {
                        container_id: id.to_owned(),
                        pid,
                    });
                    self.answer(caller, Ok(Answer::Start(StartResponse { pid })));
                    self.tell(id, told);
                }
                Err(failure) => {
                    self.not_started(id, &Which::Init);
                    self.answer(caller, Err(failure));
                }
            }
        }
        self.next_turn(id);
    }

    pub(super) fn not_started(&mut self, id: &str, which: &Which) {
        let exit = Exit {
            status: 255,
            at: SystemTime::now(),
        };
        if let Some(task) = self.tasks.get_mut(id) {
            if *which == Which::Init {
                task.busy = false;
            }
            let told = task.life.not_started(which, exit);
            self.tell(id, told);
        }
    }

    fn entered(
        &mut self,
        caller: Caller,
        id: &str,
        exec: String,
        result: Result<Box<Begun>, Failure>,
    ) {
        let which = Which::Exec(exec.clone());
        match result {
            Ok(begun) => {
                let pid = begun.pid;
                self.attend(id, which.clone(), *begun);
                self.publish(&TaskExecStarted {
                    container_id: id.to_owned(),
                    exec_id: exec,
                    pid,
                });
                self.answer(caller, Ok(Answer::Start(StartResponse { pid })));
                if let Some(task) = self.tasks.get_mut(id) {
                    let told = task.life.started(&which);
                    self.tell(id, told);
                }
            }
            Err(failure) => {
                self.not_started(id, &which);
                self.answer(caller, Err(failure));
            }
        }
    }

    fn deleted(&mut self, caller: Caller, id: &str, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.answer(caller, Err(failure));
            return self.next_turn(id);
        }
        let Some(mut task) = self.tasks.remove(id) else {
            return;
        };
        let exit = task.life.may_delete(&Which::Init).ok().flatten();
        // Created and never started: it was ended by this call, and its end is told no more.
        let exit = exit.unwrap_or(Exit {
            status: 137,
            at: SystemTime::now(),
        });
        self.exits.retain(|_, (task, _)| task != id);
        self.ooms.retain(|_, task| task != id);
        let answer = DeleteResponse {
            pid: task.init.pid,
            exit_status: exit.status,
            exited_at: Some(stamp(exit.at)),
        };
        self.publish(&TaskDelete {
            container_id: id.to_owned(),
            pid: answer.pid,
            exit_status: answer.exit_status,
            exited_at: answer.exited_at.clone(),
            id: String::new(),
        });
        self.answer(caller, Ok(Answer::Delete(answer)));
        for (waiter, call) in std::mem::take(&mut task.waiting) {
            self.call(waiter, call);
        }
        let execs = std::mem::take(&mut task.execs);
        for process in execs.into_values().chain([task.init]) {
            self.close(process);
        }
    }

    fn frozen(&mut self, caller: Caller, id: &str, frozen: bool, result: Result<(), Failure>) {
        if let (Ok(()), Some(task)) = (&result, self.tasks.get_mut(id)) {
            task.paused = frozen;
            let container_id = id.to_owned();
            if frozen {
                self.publish(&TaskPaused { container_id });
            } else {
                self.publish(&TaskResumed { container_id });
            }
        }
        let answer = if frozen {
            Answer::Pause(Empty {})
        } else {
            Answer::Resume(Empty {})
        };
        self.answer(caller, result.map(|()| answer));
        self.next_turn(id);
    }

    fn killed(&mut self, id: &str) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.kills = task.kills.saturating_sub(1);
            if task.kills == 0 && !task.busy {
                self.next_turn(id);
            }
        }
    }

    /// Nobody is at work on the task: whoever waited longest is next.
    fn next_turn(&mut self, id: &str) {
        loop {
            let Some(task) = self.tasks.get_mut(id) else {
                return;
            };
            task.busy = false;
            // It would only come back.
            if task.kills > 0 && matches!(task.waiting.front(), Some((_, Call::Delete(_)))) {
                return;
            }
            let Some((caller, call)) = task.waiting.pop_front() else {
                return;
            };
            self.call(caller, call);
            if self.tasks.get(id).is_some_and(|task| task.busy) {
                return;
            }
        }
    }
}

/// The answer to Pids.
pub(super) fn pids(pids: &[i32], execs: &BTreeMap<u32, String>) -> PidsResponse {
    let processes = pids
        .iter()
        .map(|pid| {
            let pid = pid.unsigned_abs();
            ProcessInfo {
                pid,
                info: execs.get(&pid).map(|exec_id| {
                    let details = ProcessDetails {
                        exec_id: exec_id.clone(),
                    };
                    Any::pack(&details)
                }),
            }
        })
        .collect();
    PidsResponse { processes }
}
