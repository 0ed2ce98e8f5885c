//! The containers that there are: a directory each, with a record that says what is kept of it.
//!
//! | path below the root | what |
//! |---|---|
//! | `containers/ID/container.json` | the record |
//! | `containers/ID/upper` | what the container has changed |
//! | `containers/ID/in-use` | shared by whoever reads the changes, exclusive for whoever takes them away |
//! | `container-names/NAME` | a link that says whose name it is |
//!
//! `tare run` holds a lock on the container's directory as long as it lives.

use crate::failure::Failure;
use crate::place::Place;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tare_image::Digest;
use tare_image::diff::{Extent, Owners};
use tare_image::manifest::RunConfig;
use tare_image::store::Ref;
use tare_oci::IdMapping;
use tare_runtime::{Error, Runtime, Status};

/// What is known of a container beside its changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// As it was typed.
    pub image: String,
    pub base: Ref,
    /// From the lowest to the uppermost.
    pub layers: Vec<Digest>,
    /// What an image of it would run.
    pub config: RunConfig,
    /// RFC 3339.
    pub created: String,
    /// Whether its changes stay when it ends.
    pub keep: bool,
    /// Whether its root is a copy of the layers, so that its changes are not by themselves.
    #[serde(default)]
    pub copied: bool,
    /// Its own ids; None: those of whoever ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maps: Option<Maps>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Finished>,
}

/// Which number of the host each of a container's ids is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maps {
    pub uids: Vec<IdMapping>,
    pub gids: Vec<IdMapping>,
}

impl Maps {
    /// As whoever writes a layer wants to know them.
    pub fn owners(&self) -> Owners {
        let extents = |map: &[IdMapping]| {
            let extent = |map: &IdMapping| Extent {
                inside: map.container_id,
                outside: map.host_id,
                size: map.size,
            };
            map.iter().map(extent).collect()
        };
        Owners::Mapped {
            uids: extents(&self.uids),
            gids: extents(&self.gids),
        }
    }

    /// The host's number of the container's root.
    pub fn root_uid(&self) -> Option<u32> {
        root(&self.uids)
    }

    /// The same of its group.
    pub fn root_gid(&self) -> Option<u32> {
        root(&self.gids)
    }
}

fn root(map: &[IdMapping]) -> Option<u32> {
    let first = map.iter().find(|mapping| mapping.container_id == 0);
    first.map(|mapping| mapping.host_id)
}

/// How a container has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// RFC 3339.
    pub at: String,
    /// None: nobody was there to see it.
    pub status: Option<u8>,
}

/// What a container does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being made, or has just ended.
    Created,
    Running,
    Paused,
    Exited,
}

/// A container that is there.
#[derive(Debug)]
pub struct Found {
    pub record: Record,
    pub directory: PathBuf,
}

const CONTAINERS: &str = "containers";
const NAMES: &str = "container-names";
const RECORD: &str = "container.json";

/// Where the changes of all containers are.
pub fn folder(place: &Place) -> PathBuf {
    place.root.join(CONTAINERS)
}

/// All of them, the latest first; `complain` hears of records that can't be read.
pub fn list(place: &Place, complain: &mut dyn FnMut(Failure)) -> Result<Vec<Found>, Failure> {
    let folder = folder(place);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| failed("list", &folder, &error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let directory = entry
            .map_err(|error| failed("list", &folder, &error))?
            .path();
        match read(&directory) {
            Ok(Some(record)) => found.push(Found { record, directory }),
            // It is being made, or taken away.
            Ok(None) => {}
            Err(failure) => complain(failure),
        }
    }
    found.sort_by(|one, other| other.record.created.cmp(&one.record.created));
    Ok(found)
}

/// One by its name, or by the beginning of its id.
pub fn find(place: &Place, text: &str) -> Result<Found, Failure> {
    let mut broken = None;
    let all = list(place, &mut |failure| broken = Some(failure))?;
    let by_name = all
        .iter()
        .position(|found| found.record.name.as_deref() == Some(text) || found.record.id == text);
    let by_id: Vec<usize> = (0..all.len())
        .filter(|number| !text.is_empty() && all[*number].record.id.starts_with(text))
        .collect();
    if by_name.is_none() && by_id.len() > 1 {
        return Err(Failure::new(format!(
            "{text}: {} containers have an id that begins so; give more of it",
            by_id.len()
        )));
    }
    by_name
        .or(by_id.first().copied())
        .and_then(|number| all.into_iter().nth(number))
        .ok_or_else(|| broken.unwrap_or_else(|| Failure::new(format!("No such container: {text}"))))
}

/// What containers need of the store. A record that can't be read is an error: its layers can't be known.
pub fn used(place: &Place) -> io::Result<HashSet<Digest>> {
    let mut wrong = None;
    let all = list(place, &mut |failure| wrong = Some(failure))
        .map_err(|failure| io::Error::other(failure.message))?;
    if let Some(failure) = wrong {
        return Err(io::Error::other(failure.message));
    }
    let mut used = HashSet::new();
    for Found { record, .. } in all {
        used.extend([
            record.base.target.digest,
            record.base.manifest,
            record.base.config,
        ]);
        used.extend(record.layers);
    }
    Ok(used)
}

impl Found {
    /// What it does now.
    pub fn state(&self, runtime: &Runtime) -> Result<State, Failure> {
        Ok(match runtime.status(&self.record.id) {
            Ok(Some(Status::Running)) => State::Running,
            Ok(Some(Status::Paused)) => State::Paused,
            Ok(Some(Status::Creating | Status::Created)) => State::Created,
            // The state of one whose making or end was cut short says no more.
            Ok(_) | Err(Error::Corrupt { .. }) => {
                match self.held()? && self.record.finished.is_none() {
                    true => State::Created,
                    false => State::Exited,
                }
            }
            Err(error) => return Err(Failure::new(error.report())),
        })
    }

    /// Whether its `tare run` lives.
    pub fn held(&self) -> Result<bool, Failure> {
        let fd = self.open()?;
        Ok(flock(&fd, FlockOperation::NonBlockingLockShared).is_err())
    }

    /// Waits until its `tare run` has ended, and keeps others from taking it away; None: it is gone.
    pub fn hold(&self) -> Result<Option<OwnedFd>, Failure> {
        if !self.directory.is_dir() {
            return Ok(None);
        }
        let fd = self.open()?;
        flock(&fd, FlockOperation::LockExclusive)
            .map_err(|errno| failed("lock", &self.directory, &errno.into()))?;
        Ok(read(&self.directory)?.map(|_| fd))
    }

    fn open(&self) -> Result<OwnedFd, Failure> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        open(&self.directory, flags, Mode::empty())
            .map_err(|errno| failed("open", &self.directory, &errno.into()))
    }

    /// Its changes, which stay as long as the descriptor is open.
    pub fn changes(&self) -> Result<(PathBuf, OwnedFd), Failure> {
        let held = in_use(&self.directory, FlockOperation::LockShared)?;
        Ok((self.directory.join("upper"), held))
    }

    /// The same, for one alone.
    pub fn hold_changes(&self) -> Result<OwnedFd, Failure> {
        in_use(&self.directory, FlockOperation::LockExclusive)
    }

    /// Takes it away with its name.
    pub fn remove(&self, place: &Place) -> Result<(), Failure> {
        remove(place, &self.record, &self.directory)
    }
}

/// Takes a container's directory and name away, once nobody reads its changes.
pub fn remove(place: &Place, record: &Record, directory: &Path) -> Result<(), Failure> {
    let _held = in_use(directory, FlockOperation::LockExclusive)?;
    // Without its record it is no container any more, whatever interrupts us then.
    for path in [directory.join(RECORD), directory.to_owned()] {
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(|error| failed("remove", &path, &error))?,
        }
    }
    match &record.name {
        Some(name) => release(place, name, &record.id),
        None => Ok(()),
    }
}

fn in_use(directory: &Path, operation: FlockOperation) -> Result<OwnedFd, Failure> {
    let path = directory.join("in-use");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(&path, flags, Mode::RUSR | Mode::WUSR)
        .and_then(|fd| flock(&fd, operation).map(|()| fd))
        .map_err(|errno| failed("lock", &path, &errno.into()))
}

/// Reads a container's record; None: it has none, or none yet.
pub fn read(directory: &Path) -> Result<Option<Record>, Failure> {
    let path = directory.join(RECORD);
    match fs::read(&path) {
        Ok(content) => serde_json::from_slice(&content).map(Some).map_err(|error| {
            Failure::new(format!(
                "the container's record {} is damaged: {error}; remove {} to be rid of the container",
                path.display(),
                directory.display()
            ))
        }),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed("read", &path, &error)),
    }
}

/// Writes it, whole or not at all.
pub fn write(directory: &Path, record: &Record) -> Result<(), Failure> {
    put(directory, record, false)
}

fn put(directory: &Path, record: &Record, sync: bool) -> Result<(), Failure> {
    let path = directory.join(RECORD);
    let temporary = directory.join("container.json.new");
    let content = serde_json::to_vec(record).expect("strings and numbers only");
    fs::File::create(&temporary)
        .and_then(|mut file| {
            file.write_all(&content)?;
            if sync { file.sync_data() } else { Ok(()) }
        })
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(|error| failed("write", &path, &error))
}

/// Notes how it ended.
pub fn finish(directory: &Path, record: &Record, status: Option<u8>) -> Result<(), Failure> {
    let finished = Finished {
        at: tare_runtime::rfc3339(SystemTime::now()),
        status,
    };
    let record = Record {
        finished: Some(finished),
        ..record.clone()
    };
    put(directory, &record, true)
}

/// Gives a name to a container whose directory is there. One whose container is gone is free.
pub fn claim(place: &Place, name: &str, id: &str) -> Result<(), Failure> {
    let fits = name.len() >= 2
        && name.starts_with(|letter: char| letter.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    if !fits || name.len() > 128 {
        return Err(Failure::new(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to 128 of them"
        )));
    }
    let (folder, _held) = names(place)?;
    let link = folder.join(name);
    if let Ok(owner) = fs::read_link(&link) {
        if crate::containers::folder(place).join(&owner).is_dir() {
            return Err(Failure::new(format!(
                "Conflict. The container name {name:?} is already in use by container {:.12}: remove it (tare rm {name}) or take another name",
                owner.display()
            )));
        }
        fs::remove_file(&link).map_err(|error| failed("remove", &link, &error))?;
    }
    std::os::unix::fs::symlink(id, &link).map_err(|error| failed("make", &link, &error))
}

/// Gives a name up, if it is still that container's.
pub fn release(place: &Place, name: &str, id: &str) -> Result<(), Failure> {
    let (folder, _held) = names(place)?;
    let link = folder.join(name);
    match fs::read_link(&link) {
        Ok(owner) if owner == Path::new(id) => {
            fs::remove_file(&link).map_err(|error| failed("remove", &link, &error))
        }
        _ => Ok(()),
    }
}

/// Takes away names whose containers are gone: whoever removed those was killed between the two.
pub fn sweep_names(place: &Place) -> Result<(), Failure> {
    let (names, _held) = names(place)?;
    let entries = fs::read_dir(&names).map_err(|error| failed("list", &names, &error))?;
    for entry in entries.flatten() {
        let link = entry.path();
        let owner = fs::read_link(&link).map(|owner| folder(place).join(owner));
        if owner.is_ok_and(|owner| !owner.is_dir()) {
            fs::remove_file(&link).map_err(|error| failed("remove", &link, &error))?;
        }
    }
    Ok(())
}

/// The directory of names, locked.
fn names(place: &Place) -> Result<(PathBuf, OwnedFd), Failure> {
    let folder = place.root.join(NAMES);
    make_all(&folder)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let held = open(&folder, flags, Mode::empty())
        .and_then(|fd| flock(&fd, FlockOperation::LockExclusive).map(|()| fd))
        .map_err(|errno| failed("lock", &folder, &errno.into()))?;
    Ok((folder, held))
}

/// Makes a directory with all above it, for its owner alone.
pub fn make_all(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| failed("make", path, &error))
}

/// What failed, and where.
pub fn failed(what: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{what} {}: {error}", path.display()))
}
