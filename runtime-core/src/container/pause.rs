//! Standing still and going on, by the freezer.
use super::Container;
use crate::error::Error;
use crate::{Status, procfs};

impl Container {
    /// Freezes all processes; returns when all stand still.
    ///
    /// # Errors
    /// [`Error::NotRunning`] for a container that isn't running or created; those of the cgroup crate where there is no freezer.
    pub fn pause(&self) -> Result<(), Error> {
        let _lock = self.dir.lock()?;
        let record = self.current()?;
        let cgroup = tare_cgroup::Cgroup::open(record.cgroup());
        match self.status_of(&record)? {
            Status::Running | Status::Created => {}
            status => return Err(Error::NotRunning { status }),
        }
        let frozen = cgroup.freeze();
        // `kill` takes no lock. It sends first and then looks whether to thaw; here it is the other way round, so that one of
        // the two sees the other: v1 delivers nothing to a frozen process, SIGKILL neither.
        if procfs::is_dying(record.init_process_pid)? {
            // A cgroup that is gone needs no thaw.
            let _ = cgroup.thaw();
            return Err(Error::NotRunning {
                status: Status::Stopped,
            });
        }
        Ok(frozen?)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// [`Error::NotPaused`].
    pub fn resume(&self) -> Result<(), Error> {
        let _lock = self.dir.lock()?;
        let record = self.current()?;
        match self.status_of(&record)? {
            Status::Paused => Ok(tare_cgroup::Cgroup::open(record.cgroup()).thaw()?),
            status => Err(Error::NotPaused { status }),
        }
    }
}
