//! The id maps of a child's new user namespace, written from outside: by write(2) or by newuidmap(1) and newgidmap(1).
use crate::error::Error;
use crate::helper::{self, Ended, Helper};
use crate::plan::ir::{Extent, MapWriter};
use crate::wait::ExitStatus;
use std::path::PathBuf;

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
    let numbers = extents
        .iter()
        .flat_map(|extent| [extent.inside, extent.outside, extent.size]);
    let mut args = vec![program.to_owned(), pid.to_string()];
    args.extend(numbers.map(|number| number.to_string()));
    let (ended, output) = helper::run(&Helper {
        path: program,
        args: &args,
        env: &[],
        input: &[],
        timeout: 0,
    })?;
    match ended {
        Ended::As(ExitStatus::Exited(0)) => Ok(()),
        ended => Err(Error::Unsupported {
            what: format!("map ids by {program}"),
            why: format!(
                "{output} ({}){}",
                words(&ended),
                crate::outside::helper_advice(program, &output)
            ),
        }),
    }
}

fn words(ended: &Ended) -> String {
    match ended {
        Ended::As(ExitStatus::Exited(status)) => format!("exit status {status}"),
        Ended::As(ExitStatus::Signaled(signal)) => format!("killed by signal {signal}"),
        Ended::Late => "too late".to_owned(),
    }
}
