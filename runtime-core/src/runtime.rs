//! The entry: a state root and how cgroups are made; from here containers are created, found and listed.
use crate::container::Container;
use crate::container::delete::{LOCK_PATIENCE, end_noted, wreck};
use crate::error::Error;
use crate::store::{StateDir, StateRoot};
use crate::{CgroupManager, Status};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A runtime over one state root. Cheap to make and to clone; holds no lock and no open file.
#[derive(Debug, Clone)]
pub struct Runtime {
    pub(crate) root: PathBuf,
    pub(crate) cgroup_manager: CgroupManager,
    pub(crate) rootless: Option<bool>,
}

/// What [`Runtime::list`] found.
#[derive(Debug)]
pub struct Listing {
    /// The containers, by id.
    pub containers: Vec<Container>,
    /// State directories that can't be read: one error each.
    pub unusable: Vec<Error>,
}

impl Runtime {
    /// A runtime that keeps its containers' state under this directory, which is made when the first container is.
    pub fn new(root: impl Into<PathBuf>) -> Runtime {
        Runtime {
            root: root.into(),
            cgroup_manager: CgroupManager::Cgroupfs,
            rootless: None,
        }
    }

    /// Who makes the cgroups of new containers. The default is the cgroup filesystem.
    #[must_use]
    pub fn with_cgroup_manager(mut self, manager: CgroupManager) -> Self {
        self.cgroup_manager = manager;
        self
    }

    /// Whether to work without root's rights; `None` (the default) decides by the caller's credentials.
    #[must_use]
    pub fn with_rootless(mut self, rootless: Option<bool>) -> Self {
        self.rootless = rootless;
        self
    }

    /// The state root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Finds a container.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::InvalidId`], [`Error::Corrupt`].
    pub fn load(&self, id: &str) -> Result<Container, Error> {
        crate::check_id(id)?;
        let root =
            StateRoot::open(&self.root)?.ok_or_else(|| Error::NotFound { id: id.to_owned() })?;
        Container::open(root.dir(id)?)
    }

    /// All containers under the root. One damaged state directory does not hide the others.
    ///
    /// # Errors
    /// Only when the root itself can't be read.
    pub fn list(&self) -> Result<Listing, Error> {
        let mut listing = Listing {
            containers: Vec::new(),
            unusable: Vec::new(),
        };
        let Some(root) = StateRoot::open(&self.root)? else {
            return Ok(listing);
        };
        for id in root.ids()? {
            match root.dir(&id).and_then(Container::open) {
                Ok(container) => listing.containers.push(container),
                // Deleted while we looked.
                Err(Error::NotFound { .. }) => {}
                Err(error) => listing.unusable.push(error),
            }
        }
        Ok(listing)
    }

    /// Deletes a container by its id. Unlike [`Container::delete`] it also removes what has no readable state: with `force` an
    /// absent container is fine, and a damaged state directory is cleaned up as far as its other files tell.
    ///
    /// Returns what went wrong without stopping the deletion, such as a failing poststop hook.
    ///
    /// # Errors
    /// As [`Container::delete`]; without `force` also those of [`Runtime::load`].
    pub fn delete(&self, id: &str, force: bool) -> Result<Vec<Error>, Error> {
        match self.delete_found(id, force) {
            Err(error @ Error::NotFound { .. }) => {
                let root = StateRoot::open(&self.root)?;
                match root.map_or(Ok(()), |root| root.remove_uninhabited(id)) {
                    // Nothing there, or another `delete` was quicker.
                    Ok(()) | Err(Error::NotFound { .. }) if force => Ok(Vec::new()),
                    Err(other) if force => Err(other),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    fn delete_found(&self, id: &str, force: bool) -> Result<Vec<Error>, Error> {
        match self.load(id) {
            // A `create` is at work, or was killed before it wrote its record.
            Ok(container) if container.record.init_process_pid == 0 => {
                if !force && container.status()? == Status::Creating {
                    return Err(Error::Busy { id: id.to_owned() });
                }
                wreck_or_delete(container.dir, force, &self.cgroup_manager)
            }
            Ok(container) => container.delete(force),
            Err(Error::Corrupt { .. }) if force => {
                let root = StateRoot::open(&self.root)?
                    .ok_or_else(|| Error::NotFound { id: id.to_owned() })?;
                wreck_or_delete(root.dir(id)?, force, &self.cgroup_manager)
            }
            Err(error) => Err(error),
        }
    }

    /// The status of a container, or `None` when there is none of this id.
    ///
    /// # Errors
    /// As [`Runtime::load`], but not [`Error::NotFound`].
    pub fn status(&self, id: &str) -> Result<Option<Status>, Error> {
        match self.load(id).and_then(|container| container.status()) {
            Ok(status) => Ok(Some(status)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// How long a `create` may hold the lock before it is looked at again.
const NOTE_PATIENCE: Duration = Duration::from_millis(100);

/// Deletes a container whose record could not be read a moment ago: by its record if there is one once nobody is at work on it,
/// otherwise by the configuration that `create` kept.
fn wreck_or_delete(
    dir: StateDir,
    force: bool,
    manager: &CgroupManager,
) -> Result<Vec<Error>, Error> {
    let begin = Instant::now();
    let lock = loop {
        if force && dir.is_locked()? {
            // A `create` that waits for its first process fails when that is killed, and cleans up by itself. It may not have
            // noted it yet.
            end_noted(&dir)?;
        }
        match dir.lock_within(NOTE_PATIENCE) {
            Err(Error::Busy { .. }) if begin.elapsed() < LOCK_PATIENCE => {}
            other => break other?,
        }
    };
    match dir.read() {
        Ok(Some(record)) if record.init_process_pid > 0 => {
            drop(lock);
            Container::open(dir)?.delete(force)
        }
        _ => wreck(dir, lock, manager),
    }
}
