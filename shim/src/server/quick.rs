//! Calls that are answered at once, or as soon as something else happens; none of them blocks.
use super::Server;
use super::calls::Next;
use crate::clock::stamp;
use crate::failure::{Code, Failure};
use crate::life::{Exit, Stage, Which};
use crate::stdio::Streams;
use crate::task::{Caller, Process};
use crate::work;
use tare_shim_wire::messages::events::{TaskExecAdded, TaskExit};
use tare_shim_wire::messages::google::Empty;
use tare_shim_wire::messages::task::{
    Answer, CloseIORequest, ConnectRequest, ConnectResponse, ExecProcessRequest, ResizePtyRequest,
    StateRequest, WaitRequest, WaitResponse,
};

impl Server {
    pub(super) fn state(&self, request: &StateRequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let task = self.task(&request.id)?;
        let stage = task.life.stage(&which)?;
        Ok(Next::Now(Answer::State(task.state(
            &request.id,
            &which,
            stage,
        ))))
    }

    pub(super) fn exec(&mut self, request: ExecProcessRequest) -> Result<Next, Failure> {
        if request.exec_id.is_empty() {
            return Err(Failure::new(Code::InvalidArgument, "exec without an id"));
        }
        let spec = work::process(request.spec.as_ref())?;
        let task = self.task_mut(&request.id)?;
        task.life.add(&request.exec_id)?;
        let process = Process {
            streams: Streams {
                stdin: request.stdin,
                stdout: request.stdout,
                stderr: request.stderr,
                terminal: request.terminal,
            },
            spec: Some(spec),
            ..Process::default()
        };
        task.execs.insert(request.exec_id.clone(), process);
        self.publish(&TaskExecAdded {
            container_id: request.id,
            exec_id: request.exec_id,
        });
        Ok(Next::Now(Answer::Exec(Empty {})))
    }

    pub(super) fn resize(&self, request: &ResizePtyRequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let task = self.task(&request.id)?;
        task.life.stage(&which)?;
        let console = task
            .process(&which)
            .and_then(|process| process.console.as_ref());
        if let Some(console) = console {
            let narrow = |size: u32| u16::try_from(size).unwrap_or(u16::MAX);
            let size = rustix::termios::Winsize {
                ws_row: narrow(request.height),
                ws_col: narrow(request.width),
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(console, size)
                .map_err(|errno| Failure::io("resize the terminal", &errno.into()))?;
        }
        // Without a terminal, or before it is there, there is nothing to resize.
        Ok(Next::Now(Answer::ResizePty(Empty {})))
    }

    pub(super) fn close_io(&mut self, request: &CloseIORequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let task = self.task(&request.id)?;
        task.life.stage(&which)?;
        let input = task
            .process(&which)
            .filter(|_| request.stdin)
            .and_then(|process| process.input);
        if let Some(number) = input {
            // What the client has written before is the process's to read, when it has room.
            if let Some(flow) = self.flows.get_mut(&number) {
                flow.relay.close();
            }
            self.pump(number);
        }
        Ok(Next::Now(Answer::CloseIO(Empty {})))
    }

    pub(super) fn wait(&mut self, caller: Caller, request: &WaitRequest) -> Result<Next, Failure> {
        let which = Which::of(&request.exec_id);
        let task = self.task_mut(&request.id)?;
        match task.life.stage(&which)? {
            Stage::Stopped(exit) => Ok(Next::Now(Answer::Wait(WaitResponse {
                exit_status: exit.status,
                exited_at: Some(stamp(exit.at)),
            }))),
            _ => {
                if let Some(process) = task.process_mut(&which) {
                    process.waiters.push(caller);
                }
                Ok(Next::Later)
            }
        }
    }

    pub(super) fn connect(&self, request: &ConnectRequest) -> Result<Next, Failure> {
        let task_pid = self.tasks.get(&request.id).map_or(0, |task| task.init.pid);
        Ok(Next::Now(Answer::Connect(ConnectResponse {
            shim_pid: std::process::id(),
            task_pid,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })))
    }

    pub(super) fn shutdown(&mut self) -> Next {
        // A pod may get more containers; it ends by its own service.
        if self.tasks.is_empty() && self.making.is_empty() && self.sandboxes.is_empty() {
            self.stop();
        }
        Next::Now(Answer::Shutdown(Empty {}))
    }

    /// Tells of ends, in this order: to containerd, then to whoever waits.
    pub(super) fn tell(&mut self, id: &str, told: Vec<(Which, Exit)>) {
        for (which, exit) in told {
            let process = self
                .tasks
                .get_mut(id)
                .and_then(|task| task.process_mut(&which));
            let Some(process) = process else { continue };
            let waiters = std::mem::take(&mut process.waiters);
            let exec = which.exec_id();
            let event = TaskExit {
                container_id: id.to_owned(),
                id: if exec.is_empty() { id } else { exec }.to_owned(),
                pid: process.pid,
                exit_status: exit.status,
                exited_at: Some(stamp(exit.at)),
            };
            self.publish(&event);
            let answer = WaitResponse {
                exit_status: exit.status,
                exited_at: Some(stamp(exit.at)),
            };
            for waiter in waiters {
                self.answer(waiter, Ok(Answer::Wait(answer.clone())));
            }
        }
    }
}
