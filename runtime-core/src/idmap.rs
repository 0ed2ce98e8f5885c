//! A user namespace that only carries the maps of an idmapped mount: made by a child that does nothing and is ended.
use crate::error::Error;
use crate::id_maps;
use crate::lower::lower;
use crate::plan::ir::{Barrier, ChildOp, ChildStep, Extent, MapWriter, Namespaces, Plan};
use crate::spawn::{How, spawn};
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Its namespace file.
pub(crate) fn user_namespace(uids: &[Extent], gids: &[Extent]) -> Result<OwnedFd, Error> {
    let wait = ChildStep {
        op: ChildOp::Barrier(Barrier::Mapped),
        alternative: None,
        from: String::new(),
    };
    let plan = Plan {
        title: "idmap".to_owned(),
        host: Vec::new(),
        child: vec![wait],
        slots: Vec::new(),
        handed: Vec::new(),
        cgroup_paths: Default::default(),
        skips: Vec::new(),
    };
    let lowered = lower(&plan, 3, false).map_err(|error| Error::Unsupported {
        what: "map the ids of a mount".to_owned(),
        why: error.to_string(),
    })?;
    let how = How {
        namespaces: Namespaces::USER,
        cgroup: None,
        stdio: [None; 3],
        first_fd: 3,
        handed: Vec::new(),
        timed: false,
    };
    let child = spawn(&lowered, &how)?;
    let path = format!("/proc/{}/ns/user", child.pid);
    let result = id_maps::write(child.pid, uids, gids, false, &MapWriter::Direct).and_then(|()| {
        rustix::fs::openat(
            CWD,
            path.as_str(),
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|errno| Error::path("open", Path::new(&path), errno))
    });
    let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
    let _ = crate::wait::wait_child(child.pidfd.as_fd());
    result
}
