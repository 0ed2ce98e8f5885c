//! The id maps of a child's new user namespace, written from outside: by write(2) or by newuidmap(1) and newgidmap(1).
use crate::error::Error;
use crate::plan::ir::{Extent, MapWriter};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// gid map and setgroups first: `deny` must come before the gid map (user_namespaces(7)).
pub(crate) fn write(
    pid: i32,
    uids: &[Extent],
    gids: &[Extent],
    deny_setgroups: bool,
    writer: &MapWriter,
) -> Result<(), Error> {
    if deny_setgroups {
        put(pid, "setgroups", "deny")?;
    }
    match writer {
        MapWriter::Direct => {
            put(pid, "gid_map", &lines(gids))?;
            put(pid, "uid_map", &lines(uids))
        }
        MapWriter::Helpers { uid, gid } => {
            help(gid, pid, gids)?;
            help(uid, pid, uids)
        }
    }
}

fn lines(extents: &[Extent]) -> String {
    extents
        .iter()
        .map(|e| format!("{} {} {}\n", e.inside, e.outside, e.size))
        .collect()
}

fn put(pid: i32, file: &str, text: &str) -> Result<(), Error> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    // One write(2): the kernel takes a map whole or not at all.
    std::fs::write(&path, text).map_err(|error| Error::path("write the id map", &path, &error))
}

fn help(program: &str, pid: i32, extents: &[Extent]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command
        .arg(pid.to_string())
        .env_clear()
        .stdin(Stdio::null());
    for e in extents {
        command.args([
            e.inside.to_string(),
            e.outside.to_string(),
            e.size.to_string(),
        ]);
    }
    let output = command
        .output()
        .map_err(|error| Error::path("run", program.as_ref(), &error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::Unsupported {
        what: format!("map ids by {program}"),
        why: format!(
            "{} ({}){}",
            said.trim(),
            output.status,
            crate::outside::helper_advice(program, &said)
        ),
    })
}
