//! Deleting: processes, cgroup, resctrl group, poststop hooks, and the state directory last, so that an interrupted deletion can
//! be repeated until it is done.
use super::{Container, ownership};
use crate::error::Error;
use crate::state::Record;
use crate::store::{Lock, StateDir};
use crate::wait::wait_end;
use crate::{CgroupManager, Signal, Status, hook, intel_rdt, procfs};
use std::os::fd::AsFd;
use std::time::Duration;

/// How long a killed init may take to end; a process in uninterruptible sleep takes longer.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How long `delete --force` waits for another verb to let go of the container.
pub(crate) const LOCK_PATIENCE: Duration = Duration::from_secs(10);

impl Container {
    /// Deletes the container. It must be stopped, or created and never started; with `force` a live one is killed.
    ///
    /// Returns what went wrong without stopping the deletion: failing poststop hooks.
    ///
    /// # Errors
    /// [`Error::DeleteLive`] without force, [`Error::Busy`] with it; a cgroup that can't be removed. What is left then is
    /// enough for a second try.
    pub fn delete(mut self, force: bool) -> Result<Vec<Error>, Error> {
        let lock = if force {
            // Whoever holds the lock may wait for init: ended, it lets go.
            if self.dir.is_locked()? {
                self.end_init()?;
            }
            self.dir.lock_within(LOCK_PATIENCE)?
        } else {
            self.dir.lock()?
        };
        // What was written while we waited counts.
        if let Some(record) = self.dir.read()? {
            self.record = record;
        }
        match self.status()? {
            Status::Stopped | Status::Creating => {}
            Status::Running | Status::Paused if !force => {
                return Err(Error::DeleteLive {
                    id: self.id().to_owned(),
                    status: self.status()?,
                });
            }
            _ => self.end_init()?,
        }
        destroy_cgroup(&self.cgroup())?;
        remove_rdt_group(&self.record)?;
        let warnings = poststop(&self.record);
        self.dir.remove(lock)?;
        Ok(warnings)
    }

    /// Kills init and waits for its end.
    fn end_init(&self) -> Result<(), Error> {
        let Some(pidfd) =
            procfs::open(self.record.init_process_pid, self.record.init_process_start)?
        else {
            return Ok(());
        };
        match self.kill(Signal::KILL, false) {
            Ok(()) | Err(Error::NotRunning { .. }) => {}
            Err(error) => return Err(error),
        }
        if wait_end(pidfd.as_fd(), KILL_PATIENCE)? {
            return Ok(());
        }
        Err(unkillable(self.id(), self.record.init_process_pid))
    }
}

/// Cleans up a state directory whose `state.json` is unreadable: the cgroup's place follows from the kept configuration, and what
/// is in it must be this container's as [`ownership`] can tell.
pub(crate) fn wreck(
    dir: StateDir,
    lock: Lock,
    manager: &CgroupManager,
) -> Result<Vec<Error>, Error> {
    end_noted(&dir)?;
    let mut record = Record {
        id: dir.id().to_owned(),
        ..Record::default()
    };
    if let Some(spec) = dir
        .read_config()
        .ok()
        .and_then(|bytes| crate::config::load(&bytes).ok())
    {
        let path = spec
            .linux
            .as_ref()
            .map_or("", |linux| linux.cgroups_path.as_str());
        let layout = tare_cgroup::Layout::detect()?;
        let request = tare_cgroup::Request {
            manager: manager.clone(),
            path,
            id: dir.id(),
            ..Default::default()
        };
        if let Ok(decision) = tare_cgroup::decide(&layout, &request) {
            record.set_cgroup(&decision.expected(manager.clone()));
        }
        record.tare.poststop = spec.hooks.map(|hooks| hooks.poststop).unwrap_or_default();
        record.config.version = spec.oci_version;
        record.tare.annotations = spec.annotations;
    }
    let cgroup = tare_cgroup::Cgroup::open(record.cgroup());
    ownership::check(&dir, &cgroup)?;
    destroy_cgroup(&cgroup).or_else(|error| {
        if record.tare.systemd_scope.is_empty() {
            return Err(error);
        }
        // Whether systemd was ever asked is not known; should it not answer, what counts is that the cgroups are gone.
        record.tare.systemd_scope.clear();
        destroy_cgroup(&tare_cgroup::Cgroup::open(record.cgroup()))
    })?;
    let warnings = poststop(&record);
    dir.remove(lock)?;
    Ok(warnings)
}

/// Kills the process that a `create` noted and waits for its end.
pub(crate) fn end_noted(dir: &StateDir) -> Result<(), Error> {
    let Some((pid, start)) = dir.noted_init()? else {
        return Ok(());
    };
    let Some(pidfd) = procfs::open(pid, start)? else {
        return Ok(());
    };
    match rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(Error::system(format!("kill process {pid}"), errno)),
    }
    if wait_end(pidfd.as_fd(), KILL_PATIENCE)? {
        return Ok(());
    }
    Err(unkillable(dir.id(), pid))
}

fn unkillable(id: &str, pid: i32) -> Error {
    Error::Unkillable {
        id: id.to_owned(),
        pid,
        waited: format!("{} s", KILL_PATIENCE.as_secs()),
    }
}

fn destroy_cgroup(cgroup: &tare_cgroup::Cgroup) -> Result<(), Error> {
    // Left over where init has no pid namespace of its own, or was killed alone.
    if !cgroup.pids()?.is_empty() {
        cgroup.kill(9)?;
    }
    Ok(cgroup.destroy()?)
}

fn remove_rdt_group(record: &Record) -> Result<(), Error> {
    let monitor = &record.tare.intel_rdt_monitor;
    intel_rdt::destroy(&intel_rdt::Applied {
        path: record.intel_rdt_path.clone(),
        owned: record.tare.intel_rdt_owned && !record.intel_rdt_path.is_empty(),
        monitor: (!monitor.is_empty()).then(|| monitor.clone()),
    })
}

fn poststop(record: &Record) -> Vec<Error> {
    let state = record.oci_state(Status::Stopped);
    let hooks = record.tare.poststop.iter().enumerate();
    hooks
        .filter_map(|(index, one)| hook::run("poststop", index, one, &state).err())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitoring_group_goes_and_a_named_group_stays() {
        let group = std::env::temp_dir().join(format!("tare-rdt-{}", std::process::id()));
        let monitor = group.join("mon_groups/c1");
        std::fs::create_dir_all(&monitor).unwrap();
        let mut record = Record {
            intel_rdt_path: group.to_string_lossy().into_owned(),
            ..Record::default()
        };
        record.tare.intel_rdt_monitor = monitor.to_string_lossy().into_owned();
        let first = remove_rdt_group(&record);
        let left = (group.is_dir(), monitor.exists());
        let again = remove_rdt_group(&record);
        std::fs::remove_dir_all(&group).unwrap();
        assert!(first.is_ok() && again.is_ok(), "{first:?} {again:?}");
        assert_eq!(left, (true, false));
    }
}
