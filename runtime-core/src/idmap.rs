//! A user namespace that only carries maps: made by a child that does nothing and is ended.
use crate::config::At;
use crate::error::Error;
use crate::id_maps;
use crate::lower::lower;
use crate::plan::ids::extents;
use crate::plan::ir::{Barrier, ChildOp, ChildStep, Extent, MapWriter, Namespaces, Plan};
use crate::plan::user_maps;
use crate::spawn::{How, spawn};
use rustix::fs::{CWD, Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use tare_oci::{IdMapping, Linux, Namespace, Spec};

/// A new user namespace with these maps, for whoever joins it (setns(2)) or maps a mount's ids by it (mount_setattr(2)). It goes
/// with its last descriptor.
///
/// Root writes the maps itself, and so does a user that maps only its own id, which denies setgroups(2) inside; for more it takes
/// newuidmap(1) and newgidmap(1).
///
/// # Errors
/// [`Error::Config`] for maps that the caller may not have; the kernel's or the helper's refusal.
pub fn user_namespace(uids: &[IdMapping], gids: &[IdMapping]) -> Result<OwnedFd, Error> {
    let map = |mappings: &[IdMapping], field: &str| extents(mappings).field(field);
    let uids = map(uids, "linux.uidMappings")?;
    let gids = map(gids, "linux.gidMappings")?;
    let user = Namespace {
        kind: "user".to_owned(),
        ..Namespace::default()
    };
    let linux = Linux {
        namespaces: vec![user],
        ..Linux::default()
    };
    let facts = crate::probe::facts(&Spec {
        linux: Some(linux),
        ..Spec::default()
    })?;
    let (writer, deny_setgroups) = user_maps::writer(&uids, &gids, &facts)?;
    make(&uids, &gids, deny_setgroups, &writer)
}

/// The same of root's.
pub(crate) fn of_root(uids: &[Extent], gids: &[Extent]) -> Result<OwnedFd, Error> {
    make(uids, gids, false, &MapWriter::Direct)
}

fn make(
    uids: &[Extent],
    gids: &[Extent],
    deny_setgroups: bool,
    writer: &MapWriter,
) -> Result<OwnedFd, Error> {
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
    let result = id_maps::write(child.pid, uids, gids, deny_setgroups, writer).and_then(|()| {
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
