//! Signals to init, or to all processes.
use super::Container;
use crate::error::Error;
use crate::state::Record;
use crate::{Signal, Status, procfs};
use std::os::fd::AsRawFd;

impl Container {
    /// Sends a signal to init or, with `all`, to every process in the container.
    ///
    /// SIGKILL ends a paused container too, and where init has no pid namespace of its own it goes to all.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when init has ended; with `all` that is no error.
    pub fn kill(&self, signal: Signal, all: bool) -> Result<(), Error> {
        let record = self.current()?;
        let cgroup = tare_cgroup::Cgroup::open(record.cgroup());
        if all {
            return match cgroup.kill(signal.number().unsigned_abs())? {
                // Without a cgroup only init is known.
                0 if record.cgroup_paths.is_empty() => match kill_init(&record, signal) {
                    Err(Error::NotRunning { .. }) => Ok(()),
                    other => other,
                },
                _ => Ok(()),
            };
        }
        kill_init(&record, signal)?;
        if signal == Signal::KILL {
            if record.tare.shares_pid_namespace {
                cgroup.kill(9)?;
            } else if cgroup.frozen()? {
                // v1 delivers nothing to a frozen process, SIGKILL neither.
                cgroup.thaw_the_dying()?;
            }
        }
        Ok(())
    }
}

fn kill_init(record: &Record, signal: Signal) -> Result<(), Error> {
    let stopped = Error::NotRunning {
        status: Status::Stopped,
    };
    let Some(pidfd) = procfs::open(record.init_process_pid, record.init_process_start)? else {
        return Err(stopped);
    };
    let number = signal.number().unsigned_abs();
    match tare_sys::signal::send(tare_sys::Fd::new(pidfd.as_raw_fd()), number) {
        Ok(()) => Ok(()),
        Err(tare_sys::Errno::ESRCH) => Err(stopped),
        Err(errno) => Err(Error::system(
            format!("send {signal} to process {}", record.init_process_pid),
            errno,
        )),
    }
}
