//! Standing still and going on, by the freezer.
use super::Container;
use crate::Status;
use crate::error::Error;

impl Container {
    /// Freezes all processes; returns when all stand still.
    ///
    /// # Errors
    /// [`Error::NotRunning`] for a container that isn't running or created; those of the cgroup crate where there is no freezer.
    pub fn pause(&self) -> Result<(), Error> {
        let _lock = self.dir.lock()?;
        match self.status()? {
            Status::Running | Status::Created => Ok(self.cgroup().freeze()?),
            status => Err(Error::NotRunning { status }),
        }
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// [`Error::NotPaused`].
    pub fn resume(&self) -> Result<(), Error> {
        let _lock = self.dir.lock()?;
        match self.status()? {
            Status::Paused => Ok(self.cgroup().thaw()?),
            status => Err(Error::NotPaused { status }),
        }
    }
}
