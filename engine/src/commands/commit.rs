//! `tare commit`, `tare export` and `tare diff`: what a container has changed.

use super::{change, print};
use crate::cli::{Commit, Export};
use crate::containers::{self, Found, Maps, State};
use crate::failure::Failure;
use crate::namespace::own_mounts;
use crate::output::write_out;
use crate::place::Place;
use crate::run::place::lower;
use crate::run::root::{COPY, INIT};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;
use tare_image::Reference;
use tare_image::changes::{Change, changes};
use tare_image::commit::{CommittedAs, commit as commit_changes};
use tare_image::diff::{Changes, Owners, write_layer};
use tare_image::rootfs::{Layers, changes_of_copy, mount_at};
use tare_image::store::Store;
use tare_image::unpack::Privileges;
use tare_runtime::user_namespace;

pub fn commit(place: &Place, words: &Commit) -> Result<(), Failure> {
    let store = place.store()?;
    let name: Option<Reference> = words.name.as_deref().map(str::parse).transpose()?;
    if name.as_ref().is_some_and(|name| name.digest().is_some()) {
        return Err(Failure::new(
            "refusing to create a tag with a digest reference",
        ));
    }
    let found = containers::find(place, &words.container)?;
    let config = change::apply(found.record.config.clone(), &words.change).map_err(Failure::new)?;
    let paused = match words.pause && found.state(&place.runtime())? == State::Running {
        true => Some(Paused::new(place, &found)?),
        false => None,
    };
    let (changed, _held) = changed(&found, &store)?;
    let command = found
        .record
        .config
        .entrypoint
        .iter()
        .chain(&found.record.config.cmd);
    let made = CommittedAs {
        created: Some(tare_runtime::rfc3339(SystemTime::now())),
        created_by: command.map(String::as_str).collect::<Vec<_>>().join(" "),
        author: words.author.clone(),
        comment: words.message.clone(),
        config,
    };
    let to = commit_changes(&store, &found.record.base, &changed, name.as_ref(), made)?;
    if let Some(paused) = paused {
        paused.end()?;
    }
    print(&format!("{}\n", to.config))
}

pub fn export(place: &Place, words: &Export) -> Result<(), Failure> {
    let store = place.store()?;
    let found = containers::find(place, &words.container)?;
    let (upper, _held) = found.changes()?;
    let mut lease = store.lease()?;
    lease.add(&store, &found.record.layers)?;
    if found.record.copied {
        let copy = found.directory.join(COPY);
        return write_out(words.output.as_deref(), |out| {
            Ok(write_layer(&Changes::of(copy), out)?)
        });
    }
    let mut all = vec![upper];
    all.extend(below(&found, &store));
    let target = found.directory.join("merged");
    containers::make_all(&target)?;
    let userns = match &found.record.maps {
        Some(maps) => Some(
            user_namespace(&maps.uids, &maps.gids).map_err(|error| Failure::new(error.report()))?,
        ),
        None => None,
    };
    own_mounts()?;
    let layers = Layers {
        lower: &all,
        upper: None,
        user_xattrs: Privileges::own().user_xattrs(),
        userns: userns.as_ref().map(AsFd::as_fd),
        // Its changes have the host's numbers already.
        unmapped: 1,
    };
    mount_at(&layers, &target)?;
    let merged = Changes {
        owners: owners(&found),
        ..Changes::of(target)
    };
    write_out(words.output.as_deref(), |out| {
        Ok(write_layer(&merged, out)?)
    })
}

pub fn diff(place: &Place, container: &str) -> Result<(), Failure> {
    let store = place.store()?;
    let found = containers::find(place, container)?;
    let (changed, _held) = changed(&found, &store)?;
    let mut out = Vec::new();
    for (change, path) in changes(&changed, &below(&found, &store))? {
        out.extend_from_slice(match change {
            Change::Changed => b"C ",
            Change::Added => b"A ",
            Change::Deleted => b"D ",
        });
        out.extend_from_slice(&path);
        out.push(b'\n');
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&out).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Whose numbers its files' owners are.
fn owners(found: &Found) -> Owners {
    found
        .record
        .maps
        .as_ref()
        .map_or(Owners::AsTheyAre, Maps::owners)
}

/// What its changes are changes of, from the uppermost to the lowest.
fn below(found: &Found, store: &Store) -> Vec<PathBuf> {
    let mut below = vec![found.directory.join(INIT)];
    below.retain(|path| path.is_dir());
    below.extend(lower(store, &found.record.layers));
    below
}

/// What was made to tell a copy's changes; dropped, it is removed.
struct Made(PathBuf);

impl Drop for Made {
    fn drop(&mut self) {
        // The container's end takes it away too.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Keeps changes as they are until it is dropped.
struct Held {
    _made: Option<Made>,
    _lock: OwnedFd,
}

/// A container's changes, by themselves also where its root is a copy.
fn changed(found: &Found, store: &Store) -> Result<(Changes, Held), Failure> {
    if !found.record.copied {
        let (upper, held) = found.changes()?;
        let changes = Changes {
            owners: owners(found),
            ..Changes::of(upper)
        };
        let held = Held {
            _made: None,
            _lock: held,
        };
        return Ok((changes, held));
    }
    let held = found.hold_changes()?;
    let target = found.directory.join("changed");
    if target.exists() {
        std::fs::remove_dir_all(&target)
            .map_err(|error| containers::failed("remove", &target, &error))?;
    }
    containers::make_all(&target)?;
    let held = Held {
        _made: Some(Made(target.clone())),
        _lock: held,
    };
    let copy = found.directory.join(COPY);
    let changes = changes_of_copy(&copy, &below(found, store), &target)?;
    Ok((changes, held))
}

/// A container that stands still as long as we live: another process keeps it so, which lets it go however we end.
struct Paused(Child);

impl Paused {
    fn new(place: &Place, found: &Found) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::new(format!("pause the container: {error}"));
        let mut child = Command::new("/proc/self/exe")
            .arg("--root")
            .arg(&place.root)
            .arg("--run-root")
            .arg(&place.run)
            .args(["keep-paused", &found.record.id])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the terminal is ours.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut said = String::new();
        if let Some(stdout) = child.stdout.take() {
            let _ = BufReader::new(stdout).read_line(&mut said);
        }
        let paused = Self(child);
        if said.trim() == "paused" {
            return Ok(paused);
        }
        paused.end()?;
        Err(Failure::new(
            "the container was not paused; --pause=false takes it as it runs",
        ))
    }

    fn end(mut self) -> Result<(), Failure> {
        drop(self.0.stdin.take());
        match self.0.wait() {
            Ok(status) if status.success() => Ok(()),
            // It has said why.
            Ok(_) => Err(Failure::new(
                "the container can't be paused and resumed; --pause=false takes it as it runs",
            )),
            Err(error) => Err(Failure::new(format!("wait for the pause's end: {error}"))),
        }
    }
}

/// Pauses a container, says so, and resumes it when standard input ends.
pub fn keep_paused(place: &Place, id: &str) -> Result<(), Failure> {
    let wrong = |error: tare_runtime::Error| Failure::new(error.report());
    let container = place.runtime().load(id).map_err(wrong)?;
    container.pause().map_err(wrong)?;
    let said = {
        let mut out = std::io::stdout().lock();
        out.write_all(b"paused\n").and_then(|()| out.flush())
    };
    if said.is_ok() {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    }
    container.resume().map_err(wrong)
}
