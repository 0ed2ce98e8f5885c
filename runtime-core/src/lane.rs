//! Runs a plan: its host lane step by step, and what the child tells meanwhile.
//!
//! Whatever fails, the child is killed and reaped before the error is returned, so that dropping the lane (its fds, its cgroup
//! executor) leaves nothing of it.
mod child;
mod files;

use crate::error::Error;
use crate::failure;
use crate::lower::{Lowered, lower};
use crate::plan::ir::{Barrier, HostOp, HostStep, Plan, Slot};
use crate::spawn::{Spawned, number};
use crate::{Console, id_maps, net_device, pass, procfs};
use rustix::fs::{CWD, MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What a lane needs besides the plan.
pub(crate) struct Surroundings<'a> {
    /// State directory, for fifos and the notify directory (create only).
    pub(crate) directory: Option<&'a crate::store::StateDir>,
    /// fds 0 to 2.
    pub(crate) stdio: [Option<BorrowedFd<'a>>; 3],
    /// Fds from 3 on that the program keeps.
    pub(crate) preserve_fds: u32,
    /// Where the pty master goes.
    pub(crate) console: &'a Console,
    /// Where the pidfd goes.
    pub(crate) pidfd_socket: Option<&'a Path>,
    /// Where the pid goes.
    pub(crate) pid_file: Option<&'a Path>,
    /// The state document without pid and status.
    pub(crate) state: tare_oci::State,
    /// How an `exec` joins the container's cgroup instead of running cgroup steps.
    pub(crate) join: Option<JoinCgroup<'a>>,
}

/// The running container's cgroup, for `exec`.
pub(crate) struct JoinCgroup<'a> {
    /// The handle.
    pub(crate) cgroup: tare_cgroup::Cgroup,
    /// Sub-cgroups by controller.
    pub(crate) below: &'a BTreeMap<String, String>,
    /// Pid of the container's init.
    pub(crate) init: i32,
    /// When it started: another process of the same pid must not be joined.
    pub(crate) init_start: u64,
}

/// Keeps the record, in two steps: told the pid and what the lane has made so far.
pub(crate) type Record<'a> = dyn FnMut(&mut Lane<'_>, Keep) -> Result<(), Error> + 'a;

/// A step of keeping the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// `DraftState`.
    Draft,
    /// `WriteState`.
    Put,
}

/// A plan being run.
pub(crate) struct Lane<'a> {
    plan: &'a Plan,
    around: &'a Surroundings<'a>,
    lowered: Lowered,
    slots: Vec<Option<OwnedFd>>,
    state_files: Vec<(Slot, String)>,
    child: Option<Spawned>,
    /// The hop, until it is reaped.
    hop: Option<OwnedFd>,
    /// cgroups being made.
    pub(crate) executor: tare_cgroup::Executor,
    cgroup: Option<tare_cgroup::Cgroup>,
    /// v1 `tasks` files that go to the child with the barrier `placed`.
    tasks: Vec<OwnedFd>,
    /// The pty master for the caller.
    pub(crate) console: Option<OwnedFd>,
    /// fd received at a barrier.
    received: Option<OwnedFd>,
    /// What was left out on the way.
    pub(crate) warnings: Vec<String>,
    /// resctrl group and whether it was made here.
    pub(crate) rdt: Option<crate::intel_rdt::Applied>,
    pid_file: Option<PathBuf>,
    kept: bool,
    /// At the barrier `hooks` the host's second step releases.
    hooks_met: bool,
    /// Start time of the child, which tells it from a later process of the same pid.
    start: u64,
}

/// What a finished lane leaves.
pub(crate) struct Outcome {
    /// The child.
    pub(crate) pid: i32,
    /// Its handle.
    pub(crate) pidfd: OwnedFd,
    /// The pty master for the caller.
    pub(crate) console: Option<OwnedFd>,
    /// What was left out.
    pub(crate) warnings: Vec<String>,
}

/// Runs both lanes to the end of the host's; with a plan that doesn't stop for `start`, to the child's execve.
pub(crate) fn run<'a>(
    plan: &'a Plan,
    around: &'a Surroundings<'a>,
    record: &mut Record<'_>,
) -> Result<Outcome, Error> {
    let lowered =
        lower(plan, 3 + around.preserve_fds, false).map_err(|error| Error::Unsupported {
            what: "lower the plan".to_owned(),
            why: error.to_string(),
        })?;
    #[cfg(feature = "proof")]
    let lowered = {
        crate::fault::show(plan)?;
        let mut lowered = lowered;
        crate::fault::child(&mut lowered);
        lowered
    };
    let mut slots = Vec::new();
    slots.resize_with(plan.slots.len(), || None);
    let mut lane = Lane {
        plan,
        around,
        lowered,
        slots,
        state_files: Vec::new(),
        child: None,
        hop: None,
        executor: tare_cgroup::Executor::new(),
        cgroup: None,
        tasks: Vec::new(),
        console: None,
        received: None,
        warnings: Vec::new(),
        rdt: None,
        pid_file: None,
        kept: false,
        hooks_met: false,
        start: 0,
    };
    #[cfg(feature = "proof")]
    let mut clock = crate::times::Clock::new();
    for (index, step) in plan.host.iter().enumerate() {
        #[cfg(not(feature = "proof"))]
        let done = lane.step(step, record);
        #[cfg(feature = "proof")]
        let done = crate::fault::host(index, false).and_then(|()| lane.step(step, record));
        #[cfg(feature = "proof")]
        let done = done.and_then(|()| crate::fault::host(index, true));
        #[cfg(feature = "proof")]
        clock.lap();
        if let Err(error) = done {
            let own = match &step.op {
                // What is met there is the child's reason already.
                HostOp::Barrier(_) | HostOp::PassListener { .. } => None,
                _ => lane.reason(&error),
            };
            return Err(own.unwrap_or_else(|| failure::in_host_step(plan, index, error)));
        }
    }
    if matches!(
        plan.host.last().map(|step| &step.op),
        Some(HostOp::Barrier(Barrier::Go))
    ) {
        lane.await_program()?;
    }
    #[cfg(feature = "proof")]
    clock.write(&lane);
    lane.finish()
}

impl Lane<'_> {
    pub(crate) fn plan(&self) -> &Plan {
        self.plan
    }

    /// By op index: the child step that it belongs to.
    pub(crate) fn ops(&self) -> &[usize] {
        &self.lowered.steps
    }

    /// The cgroups are the container's from here on; should the lane fail all the same they are removed again.
    pub(crate) fn keep_cgroup(&mut self, manager: &crate::CgroupManager) -> &tare_cgroup::Saved {
        let steps = self.plan.host.iter().filter_map(|step| match &step.op {
            HostOp::Cgroup(step) => Some(step),
            _ => None,
        });
        let cgroup = std::mem::take(&mut self.executor).commit_steps(
            steps,
            &self.plan.cgroup_paths,
            manager.clone(),
        );
        self.cgroup.insert(cgroup).saved()
    }

    #[cfg(feature = "proof")]
    pub(crate) fn progress(&self) -> Option<&tare_sys::mem::Progress> {
        self.child.as_ref().map(|child| child.area.progress())
    }

    #[cfg(feature = "proof")]
    pub(crate) fn forget_cgroup(&mut self) {
        std::mem::forget(std::mem::take(&mut self.executor));
        self.cgroup = None;
    }

    #[cfg(feature = "proof")]
    pub(crate) fn forget_pid_file(&mut self) {
        self.pid_file = None;
    }

    #[cfg(feature = "proof")]
    pub(crate) fn state_directory(&self) -> Option<&Path> {
        self.around.directory.map(crate::store::StateDir::path)
    }

    /// Notes the child in the state directory, so that `delete --force` finds it whatever becomes of this process.
    fn note(&mut self) -> Result<(), Error> {
        let Some(directory) = self.around.directory else {
            return Ok(());
        };
        self.start = start_time(self.pid())?;
        directory.note_init(self.pid(), self.start)
    }

    /// When the child started.
    pub(crate) fn start_time(&self) -> u64 {
        self.start
    }

    /// Pid of the child, 0 before it exists.
    pub(crate) fn pid(&self) -> i32 {
        self.child.as_ref().map_or(0, |child| child.pid)
    }

    fn step(&mut self, step: &HostStep, record: &mut Record<'_>) -> Result<(), Error> {
        let pid = self.pid();
        match &step.op {
            HostOp::Cgroup(cgroup) => self.cgroup(cgroup, pid),
            HostOp::OpenNamespace { slot, kind, path } => {
                let fd = open(path, OFlags::RDONLY, "open the namespace")?;
                match tare_sys::ns::kind(number(fd.as_fd())) {
                    Ok(found) if found == kind.0 => self.fill(*slot, fd),
                    _ => Err(Error::Config {
                        path: format!("{}.path", step.from),
                        why: format!("{path} is not a {kind} namespace"),
                    }),
                }
            }
            HostOp::OpenProcess { slot, pid } => {
                let missing = || Error::NotRunning {
                    status: crate::Status::Stopped,
                };
                let process = rustix::process::Pid::from_raw(*pid).ok_or_else(missing)?;
                match rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()) {
                    Ok(fd) => {
                        self.check_init(*pid)?;
                        self.fill(*slot, fd)
                    }
                    Err(Errno::SRCH) => Err(missing()),
                    Err(errno) => Err(Error::system(format!("open process {pid}"), errno)),
                }
            }
            HostOp::OpenRootOf { slot, pid } => {
                let fd = open(
                    &format!("/proc/{pid}/root"),
                    OFlags::PATH | OFlags::DIRECTORY,
                    "open the container's root",
                )?;
                self.check_init(*pid)?;
                self.fill(*slot, fd)
            }
            HostOp::OpenTree {
                slot,
                source,
                recursive,
            } => self.open_tree(*slot, source, *recursive),
            HostOp::MakeIdmap { slot, uids, gids } => {
                let fd = crate::idmap::of_root(uids, gids)?;
                self.fill(*slot, fd)
            }
            HostOp::MapTree {
                tree,
                userns,
                recursive,
            } => self.map_tree(*tree, *userns, *recursive),
            HostOp::MakeStateFile { slot, status } => {
                let fd = rustix::fs::memfd_create("state", MemfdFlags::CLOEXEC)
                    .map_err(|errno| Error::system("make the hooks' state file", errno))?;
                self.state_files.push((*slot, status.clone()));
                self.fill(*slot, fd)
            }
            HostOp::MakeFifos { exec, result } => {
                let (a, b) = (
                    self.fifo(crate::store::EXEC_FIFO)?,
                    self.fifo(crate::store::RESULT_FIFO)?,
                );
                self.fill(*exec, a)?;
                self.fill(*result, b)
            }
            HostOp::MakeNotifySocket { .. } => self.notify_directory(),
            HostOp::Spawn {
                namespaces,
                into_cgroup,
            } => self.spawn(*namespaces, *into_cgroup),
            HostOp::WriteStateFiles => self.write_state_files(pid),
            HostOp::WriteMaps {
                uids,
                gids,
                deny_setgroups,
                writer,
            } => id_maps::write(pid, uids, gids, *deny_setgroups, writer),
            HostOp::Rlimit(limit) => {
                tare_sys::cred::set_limit(pid, limit.resource, limit.soft, limit.hard)
                    .map_err(|errno| Error::system(format!("prlimit {}", limit.name), errno))
            }
            HostOp::OomScoreAdj(score) => {
                let path = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
                std::fs::write(&path, score.to_string())
                    .map_err(|error| Error::path("write", &path, &error))
            }
            HostOp::MoveNetDevice { name, rename } => {
                let netns = open(
                    &format!("/proc/{pid}/ns/net"),
                    OFlags::RDONLY,
                    "open the child's network namespace",
                )?;
                net_device::move_into(name, rename, netns.as_fd())
            }
            HostOp::IntelRdt(rdt) => {
                self.rdt = Some(crate::intel_rdt::apply(rdt, pid)?);
                Ok(())
            }
            HostOp::Barrier(barrier) => self.barrier(*barrier),
            HostOp::PassConsole => self.pass_console(),
            HostOp::PassPidfd => match (self.around.pidfd_socket, &self.child) {
                (Some(socket), Some(child)) => {
                    pass::send_fd("send the pidfd to", socket, b"pidfd", child.pidfd.as_fd())
                }
                _ => Ok(()),
            },
            HostOp::PassListener { path, metadata } => self.pass_listener(path, metadata),
            HostOp::RunHooks { kind, hooks } => self.run_hooks(kind, hooks),
            HostOp::DraftState => record(self, Keep::Draft),
            HostOp::WriteState => record(self, Keep::Put),
            HostOp::WritePidFile => self.write_pid_file(pid),
        }
    }

    /// Asked after something of init was opened by its pid, which may have become another process's.
    fn check_init(&self, pid: i32) -> Result<(), Error> {
        match &self.around.join {
            Some(join) if join.init == pid && !procfs::is_alive(pid, join.init_start)? => {
                Err(Error::NotRunning {
                    status: crate::Status::Stopped,
                })
            }
            _ => Ok(()),
        }
    }

    fn cgroup(&mut self, step: &tare_cgroup::Step, pid: i32) -> Result<(), Error> {
        if let Some(join) = &self.around.join {
            self.tasks = join.cgroup.tasks(join.below)?;
            return Ok(join.cgroup.join_unified(pid, join.below, Some(join.init))?);
        }
        let mut step = std::borrow::Cow::Borrowed(step);
        if let tare_cgroup::Step::Join { labels, .. } = step.as_ref() {
            // v1: the child joins by itself, with the files that it gets at the barrier `placed`.
            self.tasks.extend(self.executor.tasks(labels)?);
            if let tare_cgroup::Step::Join { labels, .. } = step.to_mut() {
                labels.retain(String::is_empty);
            }
        }
        if let Some(skip) = self.executor.run(&step, (pid > 0).then_some(pid))? {
            self.warnings.push(skip.to_string());
        }
        Ok(())
    }

    fn fill(&mut self, slot: Slot, fd: OwnedFd) -> Result<(), Error> {
        match self.slots.get_mut(usize::from(slot.0)) {
            Some(place) => *place = Some(fd),
            None => {
                return Err(Error::system(
                    "fill a slot that the plan lacks",
                    tare_sys::Errno::EBADF,
                ));
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Outcome, Error> {
        let Some(child) = self.child.take() else {
            return Err(Error::system(
                "finish a plan that spawns nothing",
                tare_sys::Errno::ECHILD,
            ));
        };
        self.kept = true;
        Ok(Outcome {
            pid: child.pid,
            pidfd: child.pidfd,
            console: self.console.take(),
            warnings: std::mem::take(&mut self.warnings),
        })
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        #[cfg(feature = "proof")]
        if crate::fault::leaves(self) {
            return;
        }
        self.end_child();
        if let Some(cgroup) = &self.cgroup {
            let _ = cgroup.destroy();
        }
        if let Some(path) = &self.pid_file {
            let _ = std::fs::remove_file(path);
        }
        if let Some(rdt) = self.rdt.take() {
            crate::intel_rdt::remove(&rdt);
        }
    }
}

fn open(path: &str, flags: OFlags, what: &str) -> Result<OwnedFd, Error> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| Error::path(what, Path::new(path), errno))
}

fn start_time(pid: i32) -> Result<u64, Error> {
    Ok(procfs::stat(pid)?.map_or(0, |stat| stat.start))
}
