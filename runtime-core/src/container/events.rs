//! What the container uses, and when it runs out of memory.
use super::Container;
use crate::error::Error;
use tare_cgroup::{OomWatch, Stats};

impl Container {
    /// What the container uses now, as its cgroup counts it.
    ///
    /// # Errors
    /// When the cgroup can't be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(self.cgroup().stats()?)
    }

    /// A source of out-of-memory events, to be polled.
    ///
    /// # Errors
    /// When the container has no memory cgroup.
    pub fn events(&self) -> Result<OomWatch, Error> {
        Ok(self.cgroup().oom()?)
    }

    /// How many of its processes the kernel has killed for want of memory.
    ///
    /// # Errors
    /// When the cgroup can't be read.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        Ok(self.cgroup().oom_kills()?)
    }
}
