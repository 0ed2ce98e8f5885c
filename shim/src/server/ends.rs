//! What happens by itself: signals, processes that end, memory that runs out.
use super::{LAST_EVENTS, Server};
use crate::life::{Exit, Which};
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};
use tare_runtime::{ExitStatus, OomEvent};
use tare_shim_wire::messages::events::TaskOOM;

/// How long the parent of a process that isn't our child may take to wait for it.
const OTHERS: Duration = Duration::from_millis(200);

impl Server {
    pub(super) fn signal(&mut self) {
        while let Ok(Some(signal)) = self.signals.next() {
            match signal.number() {
                libc_signals::CHLD => self.reap(),
                libc_signals::TERM | libc_signals::INT => self.stop(),
                libc_signals::USR1 => self.tell_state(),
                _ => {}
            }
        }
    }

    /// For whoever looks into the log: what is there.
    pub(super) fn tell_state(&self) {
        eprintln!(
            "{} connections, {} tasks, {} relays, {} jobs, events {}",
            self.connections.len(),
            self.tasks.len(),
            self.flows.len(),
            self.jobs.running(),
            if self.publisher.is_idle() {
                "told"
            } else {
                "waiting"
            },
        );
    }

    pub(crate) fn stop(&mut self) {
        self.stopping.get_or_insert(Instant::now() + LAST_EVENTS);
    }

    /// Orphans, and loggers; whatever of them is ours by name has been waited for with them.
    pub(super) fn reap(&mut self) {
        self.reap = self.jobs.running() > 0;
        if self.reap {
            return;
        }
        for (pid, status) in tare_supervisor::reap_orphans() {
            let pid = pid.as_raw_pid().unsigned_abs();
            let known = self.exits.iter().find(|(_, (id, which))| {
                let process = self.tasks.get(id).and_then(|task| task.process(which));
                process.is_some_and(|process| process.pid == pid && process.pidfd.is_some())
            });
            if let Some(number) = known.map(|(number, _)| *number) {
                let status = match (status.exit_status(), status.terminating_signal()) {
                    (Some(status), _) => status.unsigned_abs(),
                    (None, Some(signal)) => 128 + signal.unsigned_abs(),
                    (None, None) => continue,
                };
                self.ended(number, status);
            }
        }
    }

    pub(super) fn exited(&mut self, number: u64) {
        let Some((id, which)) = self.exits.get(&number) else {
            return;
        };
        let process = self.tasks.get(id).and_then(|task| task.process(which));
        let Some(pidfd) = process.and_then(|process| process.pidfd.as_ref()) else {
            return;
        };
        // Whoever has got a child of a server that is gone may not have waited for it yet, and then nobody is told.
        let status = ExitStatus::of(pidfd.as_fd()).or_else(|_| {
            tare_supervisor::await_reaped(pidfd.as_fd(), OTHERS);
            ExitStatus::of(pidfd.as_fd())
        });
        let status = match status {
            Ok(status) => status.code().unsigned_abs(),
            Err(error) => {
                eprintln!("{}: {}", crate::work::name(id, which), error.report());
                255
            }
        };
        self.ended(number, status);
    }

    pub(super) fn ended(&mut self, number: u64, status: u32) {
        let Some((id, which)) = self.exits.remove(&number) else {
            return;
        };
        let exit = Exit {
            status,
            at: SystemTime::now(),
        };
        let Some(task) = self.tasks.get_mut(&id) else {
            return;
        };
        if let Some(process) = task.process_mut(&which) {
            process.pidfd = None;
        }
        if which == Which::Init && task.shares_pids {
            // Nobody else ends with it, and containerd takes its exit for everybody's.
            self.kill_rest(&id);
        }
        if let Some(task) = self.tasks.get_mut(&id) {
            let told = task.life.ended(&which, exit);
            self.tell(&id, told);
        }
    }

    pub(super) fn out_of_memory(&mut self, number: u64) {
        let Some(id) = self.ooms.get(&number).cloned() else {
            return;
        };
        let watch = self.tasks.get_mut(&id).and_then(|task| task.oom.as_mut());
        let gone = match watch.map(|watch| watch.read()) {
            Some(Ok(Some(OomEvent::Oom))) => {
                self.publish(&TaskOOM {
                    container_id: id.clone(),
                });
                false
            }
            Some(Ok(None)) => false,
            Some(Ok(Some(OomEvent::Gone)) | Err(_)) | None => true,
        };
        if gone {
            self.ooms.remove(&number);
            if let Some(task) = self.tasks.get_mut(&id)
                && let Some(watch) = task.oom.take()
            {
                let _ = self.poll.remove(&watch);
            }
        }
    }
}

/// Signals by their numbers, which are the same on all architectures that are supported.
mod libc_signals {
    pub(super) const INT: i32 = 2;
    pub(super) const USR1: i32 = 10;
    pub(super) const TERM: i32 = 15;
    pub(super) const CHLD: i32 = 17;
}
