//! A cgroup that somebody else made, such as kubelet's for a pod: what is used in it. Nothing is written to it.
use crate::Error;
use std::collections::BTreeMap;
use tare_cgroup::{Cgroup, Layout, Stats};

/// A cgroup of no container of ours.
#[derive(Debug, Clone)]
pub struct ForeignCgroup(Cgroup);

impl ForeignCgroup {
    /// By its path from the hierarchies' mount points, or the name of a slice. It need not be there.
    ///
    /// # Errors
    /// For what is no path of a cgroup, and when this host's cgroups can't be found.
    pub fn find(path: &str) -> Result<ForeignCgroup, Error> {
        let layout = Layout::detect()?;
        let found = Cgroup::foreign(&layout, path).map_err(tare_cgroup::Error::from)?;
        Ok(ForeignCgroup(found))
    }

    /// Whether it is there, in any hierarchy.
    pub fn exists(&self) -> bool {
        self.0.exists()
    }

    /// v1 controller, or empty for v2, to directory.
    pub fn paths(&self) -> &BTreeMap<String, String> {
        &self.0.saved().paths
    }

    /// What its processes use now. What isn't there stays zero or empty.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(self.0.stats()?)
    }

    /// How many of its processes the kernel has killed for want of memory.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn oom_kills(&self) -> Result<u64, Error> {
        Ok(self.0.oom_kills()?)
    }
}
