//! Host steps as text.
use super::ir::{Extent, HostOp, IntelRdt, MapWriter, Rlimit};
use super::render::{Names, word};
use std::fmt::Write;

/// Appends one step.
pub(super) fn write(op: &HostOp, names: &Names<'_>, out: &mut String) {
    // Writing to a String can't fail.
    let _ = match op {
        HostOp::Cgroup(step) => write!(out, "{step}"),
        HostOp::OpenNamespace { slot, kind, path } => write!(
            out,
            "open {kind} namespace {} -> {}",
            word(path),
            names.of(*slot)
        ),
        HostOp::OpenProcess { slot, pid } => {
            write!(out, "open process {pid} -> {}", names.of(*slot))
        }
        HostOp::OpenRootOf { slot, pid } => {
            write!(out, "open root of process {pid} -> {}", names.of(*slot))
        }
        HostOp::OpenTree {
            slot,
            source,
            recursive,
        } => {
            let how = if *recursive { " recursively" } else { "" };
            write!(
                out,
                "open tree {}{how} -> {}",
                word(source),
                names.of(*slot)
            )
        }
        HostOp::MapTree {
            tree,
            userns,
            recursive,
        } => write!(
            out,
            "map ids of {} by {}{}",
            names.of(*tree),
            names.of(*userns),
            if *recursive { " recursively" } else { "" }
        ),
        HostOp::MakeIdmap { slot, uids, gids } => {
            write!(
                out,
                "make id map uid {} gid {} -> {}",
                extents(uids),
                extents(gids),
                names.of(*slot)
            )
        }
        HostOp::MakeStateFile { slot, status } => {
            write!(out, "make state file {status} -> {}", names.of(*slot))
        }
        HostOp::MakeFifos { exec, result } => write!(
            out,
            "make fifos -> {} {}",
            names.of(*exec),
            names.of(*result)
        ),
        HostOp::MakeNotifySocket { host } => write!(out, "make notify socket for {}", word(host)),
        HostOp::Spawn {
            namespaces,
            into_cgroup,
        } => {
            let _ = write!(out, "spawn");
            if !namespaces.is_empty() {
                let _ = write!(out, " in new {namespaces}");
            }
            write!(out, "{}", if *into_cgroup { " in its cgroup" } else { "" })
        }
        HostOp::WriteStateFiles => write!(out, "write state files"),
        HostOp::WriteMaps {
            uids,
            gids,
            deny_setgroups,
            writer,
        } => {
            let _ = write!(
                out,
                "write maps uid {} gid {}",
                extents(uids),
                extents(gids)
            );
            let _ = write!(
                out,
                "{}",
                if *deny_setgroups {
                    " setgroups denied"
                } else {
                    ""
                }
            );
            match writer {
                MapWriter::Direct => Ok(()),
                MapWriter::Helpers { uid, gid } => write!(out, " by {} {}", word(uid), word(gid)),
            }
        }
        HostOp::Rlimit(limit) => rlimit(*limit, out),
        HostOp::OomScoreAdj(score) => write!(out, "set oom score {score}"),
        HostOp::MoveNetDevice { name, rename } if name == rename => {
            write!(out, "move interface {}", word(name))
        }
        HostOp::MoveNetDevice { name, rename } => {
            write!(out, "move interface {} as {}", word(name), word(rename))
        }
        HostOp::IntelRdt(group) => rdt(group, out),
        HostOp::Barrier(barrier) => write!(out, "barrier {}", barrier.name()),
        HostOp::PassConsole => write!(out, "pass console"),
        HostOp::PassPidfd => write!(out, "pass pidfd"),
        HostOp::PassListener { path, metadata } => {
            let _ = write!(out, "pass listener to {}", word(path));
            if metadata.is_empty() {
                Ok(())
            } else {
                write!(out, " with {}", word(metadata))
            }
        }
        HostOp::RunHooks { kind, hooks } => {
            let paths: Vec<String> = hooks.iter().map(|hook| word(&hook.path)).collect();
            write!(out, "run {kind} hooks {}", paths.join(" "))
        }
        HostOp::DraftState => write!(out, "draft state"),
        HostOp::WriteState => write!(out, "write state"),
        HostOp::WritePidFile => write!(out, "write pid file"),
    };
}

/// `set RLIMIT_NOFILE 1024:4096`.
pub(super) fn rlimit(limit: Rlimit, out: &mut String) -> std::fmt::Result {
    let number = |value: u64| {
        if value == u64::MAX {
            "max".to_owned()
        } else {
            value.to_string()
        }
    };
    write!(
        out,
        "set {} {}:{}",
        limit.name,
        number(limit.soft),
        number(limit.hard)
    )
}

fn extents(list: &[Extent]) -> String {
    let words = list
        .iter()
        .map(|extent| format!("{}:{}:{}", extent.inside, extent.outside, extent.size));
    words.collect::<Vec<_>>().join(",")
}

fn rdt(group: &IntelRdt, out: &mut String) -> std::fmt::Result {
    let _ = write!(
        out,
        "join resctrl group {}/{}",
        group.mount,
        word(&group.clos)
    );
    if group.named {
        let _ = write!(out, " (given)");
    }
    for line in &group.schemata {
        let _ = write!(out, " {}", word(line));
    }
    match &group.monitor {
        Some(name) => write!(out, " monitored as {}", word(name)),
        None => Ok(()),
    }
}
