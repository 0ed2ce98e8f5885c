//! `linux.intelRdt`: the container's first process joins a resctrl group, made or checked as runtime-spec 1.3 says.
//!
//! The files are those of the kernel's resctrl filesystem: a directory is a group, `schemata` holds its shares line by line,
//! `tasks` takes a pid, `mon_groups/NAME` counts for some of the group's tasks, and `info/last_cmd_status` explains a refusal.
pub(crate) mod schemata;
#[cfg(test)]
mod tests;

use crate::error::Error;
use crate::plan::ir::IntelRdt;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use std::path::Path;

/// What `apply` has done, as state.json keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Directory of the group.
    pub(crate) path: String,
    /// Whether it was made here and has no name of its own, so that `delete` removes it.
    pub(crate) owned: bool,
    /// Directory of the container's monitoring group, which `delete` always removes; goes with the group if that is owned.
    pub(crate) monitor: Option<String>,
}

/// Makes or checks the group and its monitoring group and lets the process with this host pid join; it must have one thread.
///
/// # Errors
/// [`Error::Config`] for a named group that is absent with nothing to make it from, or whose schemata are others than asked, and
/// for lines that the kernel refuses; [`Error::System`] for all else. What was made is removed then.
pub(crate) fn apply(rdt: &IntelRdt, pid: i32) -> Result<Applied, Error> {
    let mut group = open(rdt)?;
    match fill(rdt, &mut group, pid) {
        Ok(()) => Ok(group.applied),
        Err(error) => {
            if group.made {
                let _ = remove_directory(&group.applied.path);
            } else {
                remove(&group.applied);
            }
            Err(error)
        }
    }
}

/// Removes what `delete` has to remove.
///
/// # Errors
/// [`Error::System`]; an absent directory is none.
pub(crate) fn destroy(applied: &Applied) -> Result<(), Error> {
    if applied.owned {
        return remove_directory(&applied.path);
    }
    applied.monitor.as_deref().map_or(Ok(()), remove_directory)
}

/// [`destroy`] for whoever fails for another reason already.
pub(crate) fn remove(applied: &Applied) {
    let _ = destroy(applied);
}

/// A group that is there.
struct Group {
    applied: Applied,
    /// Whether it was made here, with a name of its own or not.
    made: bool,
}

/// Makes the group's directory, or finds it and checks what the spec asks to check.
fn open(rdt: &IntelRdt) -> Result<Group, Error> {
    let mount = rdt.mount.trim_end_matches('/');
    let path = match rdt.clos.as_str() {
        "/" => mount.to_owned(),
        clos => format!("{mount}/{clos}"),
    };
    let made = if rdt.clos == "/" || (rdt.named && rdt.schemata.is_empty()) {
        if !Path::new(&path).is_dir() {
            return Err(refused(
                "closID",
                format!(
                    "there is no resctrl group {path}, and without schemata to make it from it has to be there"
                ),
            ));
        }
        false
    } else {
        make_directory(rdt, "make the resctrl group", &path)?
    };
    if rdt.named && !made && !rdt.schemata.is_empty() {
        compare(rdt, &path)?;
    }
    Ok(Group {
        applied: Applied {
            path,
            owned: made && !rdt.named,
            monitor: None,
        },
        made,
    })
}

/// A group that others share is never changed, only compared.
fn compare(rdt: &IntelRdt, path: &str) -> Result<(), Error> {
    let file = format!("{path}/schemata");
    let found = std::fs::read_to_string(&file)
        .map_err(|error| Error::path("read the resctrl group's", Path::new(&file), &error))?;
    let step = |resource: &str| {
        std::fs::read_to_string(format!("{}/info/{resource}/bandwidth_gran", rdt.mount))
            .ok()
            .and_then(|text| text.trim().parse().ok())
    };
    schemata::difference(&rdt.schemata, &found, step).map_or(Ok(()), |difference| {
        Err(refused(
            "closID",
            format!("the resctrl group {path} is there with other schemata: {difference}"),
        ))
    })
}

fn fill(rdt: &IntelRdt, group: &mut Group, pid: i32) -> Result<(), Error> {
    let path = &group.applied.path;
    if group.made || !rdt.named {
        // Line by line: one write refuses a resource that comes twice, and the last of them counts.
        for line in &rdt.schemata {
            write_schemata(rdt, path, line)?;
        }
    }
    join(rdt, path, pid)?;
    if let Some(name) = &rdt.monitor {
        let monitor = format!("{path}/mon_groups/{name}");
        make_directory(rdt, "make the resctrl monitoring group", &monitor)?;
        group.applied.monitor = Some(monitor.clone());
        // Only a task of the group can join its monitoring group.
        join(rdt, &monitor, pid)?;
    }
    Ok(())
}

fn write_schemata(rdt: &IntelRdt, path: &str, line: &str) -> Result<(), Error> {
    let file = format!("{path}/schemata");
    match write(&file, &format!("{line}\n")) {
        Ok(()) => Ok(()),
        Err(errno @ (Errno::INVAL | Errno::NODEV | Errno::OPNOTSUPP)) => Err(refused(
            "",
            format!(
                "the kernel refuses {line:?} for the resctrl group: {}{}",
                tare_sys::Errno::new(errno.raw_os_error()),
                last_status(rdt)
            ),
        )),
        Err(errno) => Err(Error::path(
            &format!("write {line:?} to{}", last_status(rdt)),
            Path::new(&file),
            errno,
        )),
    }
}

fn join(rdt: &IntelRdt, path: &str, pid: i32) -> Result<(), Error> {
    let file = format!("{path}/tasks");
    write(&file, &format!("{pid}\n")).map_err(|errno| {
        Error::path(
            &format!("write the container's process to{}", last_status(rdt)),
            Path::new(&file),
            errno,
        )
    })
}

/// One write(2) to a file that is there: a group's files are the kernel's.
fn write(file: &str, text: &str) -> Result<(), Errno> {
    let fd = rustix::fs::open(file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let written = retry_on_intr(|| rustix::io::write(&fd, text.as_bytes()))?;
    (written == text.len()).then_some(()).ok_or(Errno::IO)
}

/// False if it is there already.
fn make_directory(rdt: &IntelRdt, what: &str, path: &str) -> Result<bool, Error> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(0o755)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(Error::path(
            &format!("{what}{}", last_status(rdt)),
            Path::new(path),
            errno,
        )),
    }
}

fn remove_directory(path: &str) -> Result<(), Error> {
    match rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(Error::path(
            "remove the resctrl group",
            Path::new(path),
            errno,
        )),
    }
}

/// The kernel's own words on the last refusal, in parentheses; empty when it has none.
fn last_status(rdt: &IntelRdt) -> String {
    std::fs::read_to_string(format!("{}/info/last_cmd_status", rdt.mount))
        .ok()
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty() && text != "ok")
        .map(|text| format!(" ({text})"))
        .unwrap_or_default()
}

fn refused(field: &str, why: String) -> Error {
    let dot = if field.is_empty() { "" } else { "." };
    Error::Config {
        path: format!("linux.intelRdt{dot}{field}"),
        why,
    }
}
