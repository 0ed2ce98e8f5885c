//! Runs a plan: its host lane step by step, and what the child tells meanwhile.
//!
//! Whatever fails, the child is killed and reaped before the error is returned, so that dropping the lane (its fds, its cgroup
//! executor) leaves nothing of it.
use crate::control::{Received, receive, release};
use crate::error::Error;
use crate::failure;
use crate::lower::{Lowered, lower};
use crate::plan::ir::{Barrier, HostOp, HostStep, Plan, Slot};
use crate::spawn::{How, Spawned, number, spawn};
use crate::{Console, hook, id_maps, net_device, pass, procfs};
use rustix::fs::{CWD, FileType, MemfdFlags, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use tare_stage::report::Frame;

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
}

/// Writes the record at `WriteState`: told the pid and what the lane has made so far.
pub(crate) type Record<'a> = dyn FnMut(&mut Lane<'_>) -> Result<(), Error> + 'a;

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
        console: None,
        received: None,
        warnings: Vec::new(),
        rdt: None,
        pid_file: None,
        kept: false,
        hooks_met: false,
    };
    for (index, step) in plan.host.iter().enumerate() {
        if let Err(error) = lane.step(step, record) {
            return Err(failure::in_host_step(plan, index, error));
        }
    }
    if matches!(
        plan.host.last().map(|step| &step.op),
        Some(HostOp::Barrier(Barrier::Go))
    ) {
        lane.await_program()?;
    }
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
        let decision = self.decision();
        let cgroup = std::mem::take(&mut self.executor).commit(&decision, manager.clone());
        self.cgroup.insert(cgroup).saved()
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
                    Ok(fd) => self.fill(*slot, fd),
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
                self.fill(*slot, fd)
            }
            HostOp::OpenTree {
                slot,
                source,
                recursive,
            } => self.open_tree(*slot, source, *recursive),
            HostOp::MakeIdmap { slot, uids, gids } => {
                let fd = crate::idmap::user_namespace(uids, gids)?;
                self.fill(*slot, fd)
            }
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
            HostOp::WriteState => record(self),
            HostOp::WritePidFile => self.write_pid_file(pid),
        }
    }

    fn cgroup(&mut self, step: &tare_cgroup::Step, pid: i32) -> Result<(), Error> {
        if let Some(join) = &self.around.join {
            return Ok(join.cgroup.join(pid, join.below, Some(join.init))?);
        }
        if let Some(skip) = self.executor.run(step, (pid > 0).then_some(pid))? {
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

    fn open_tree(&mut self, slot: Slot, source: &str, recursive: bool) -> Result<(), Error> {
        let path = std::ffi::CString::new(source)
            .map_err(|_| Error::system("open the tree", tare_sys::Errno::EINVAL))?;
        let fd = tare_sys::mount::clone_tree(tare_sys::Fd::CWD, &path, recursive)
            .map_err(|errno| Error::path("open the mount source", Path::new(source), errno))?;
        let fd = crate::spawn::adopt(fd);
        self.fill(slot, fd)
    }

    /// A fifo of the state directory, open both ways so that neither side ever waits in open(2).
    fn fifo(&self, name: &str) -> Result<OwnedFd, Error> {
        let directory = self.directory()?;
        let path = directory.path().join(name);
        rustix::fs::mknodat(
            directory.fd(),
            name,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .map_err(|errno| Error::path("make", &path, errno))?;
        rustix::fs::openat(
            directory.fd(),
            name,
            OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )
        .map_err(|errno| Error::path("open", &path, errno))
    }

    fn notify_directory(&self) -> Result<(), Error> {
        let directory = self.directory()?;
        rustix::fs::mkdirat(directory.fd(), "notify", Mode::from_raw_mode(0o755))
            .map_err(|errno| Error::path("make", &directory.path().join("notify"), errno))
    }

    fn directory(&self) -> Result<&crate::store::StateDir, Error> {
        self.around.directory.ok_or_else(|| Error::Unsupported {
            what: "use the state directory".to_owned(),
            why: "this plan has none".to_owned(),
        })
    }

    fn spawn(
        &mut self,
        namespaces: crate::plan::ir::Namespaces,
        into_cgroup: bool,
    ) -> Result<(), Error> {
        let joined = match (&self.around.join, into_cgroup) {
            (Some(join), true) => join.cgroup.directory(join.below)?,
            _ => None,
        };
        let cgroup = match &joined {
            Some(fd) => Some(fd.as_fd()),
            None if into_cgroup => self.executor.directory(),
            None => None,
        };
        let mut handed = Vec::with_capacity(self.plan.handed.len());
        for slot in &self.plan.handed {
            match self.slots.get(usize::from(slot.0)).and_then(Option::as_ref) {
                Some(fd) => handed.push(fd.as_fd()),
                None => {
                    return Err(Error::system(
                        "hand over a slot that is empty",
                        tare_sys::Errno::EBADF,
                    ));
                }
            }
        }
        let how = How {
            namespaces,
            cgroup,
            stdio: self.around.stdio,
            first_fd: 3 + self.around.preserve_fds,
            handed,
            timed: false,
        };
        let spawned = spawn(&self.lowered, &how)?;
        self.child = Some(spawned);
        // The child has its copies: a joined namespace or a detached tree must not outlive it in the host.
        for slot in &self.plan.handed {
            let keep = self.state_files.iter().any(|(file, _)| file == slot);
            if let Some(place) = self.slots.get_mut(usize::from(slot.0)).filter(|_| !keep) {
                *place = None;
            }
        }
        Ok(())
    }

    fn write_state_files(&mut self, pid: i32) -> Result<(), Error> {
        for (slot, status) in &self.state_files {
            let state = tare_oci::State {
                status: status.clone(),
                pid,
                ..self.around.state.clone()
            };
            let text = serde_json::to_vec(&state).map_err(|error| Error::Unsupported {
                what: "write the hooks' state".to_owned(),
                why: error.to_string(),
            })?;
            if let Some(Some(fd)) = self.slots.get(usize::from(slot.0)) {
                let mut done = 0;
                while let Some(rest) = text.get(done..).filter(|rest| !rest.is_empty()) {
                    done += rustix::io::write(fd, rest)
                        .map_err(|errno| Error::system("write the hooks' state", errno))?;
                }
            }
        }
        Ok(())
    }

    /// Meets the child: waits for it, lets it go on, or both (at `hooks`, in two steps).
    fn barrier(&mut self, barrier: Barrier) -> Result<(), Error> {
        let releases_later = barrier == Barrier::Hooks && !self.hooks_met;
        if barrier.child_signals() && !(barrier == Barrier::Hooks && self.hooks_met) {
            self.await_barrier(barrier)?;
            self.hooks_met |= barrier == Barrier::Hooks;
        }
        if barrier.child_waits() && !releases_later {
            release(self.control()?, barrier.number())?;
        }
        Ok(())
    }

    fn await_barrier(&mut self, barrier: Barrier) -> Result<(), Error> {
        let mut at_barrier = false;
        let forks = self
            .plan
            .child
            .iter()
            .any(|step| matches!(step.op, crate::plan::ir::ChildOp::Fork));
        let mut forked = self.hop.is_some() || !forks || barrier != Barrier::Namespaces;
        while !(at_barrier && forked) {
            match receive(self.control()?)? {
                Received::Frame(Frame::Barrier { id }, fd) if id == barrier.number() => {
                    at_barrier = true;
                    self.received = fd;
                }
                Received::Frame(Frame::Forked { pid }, _) => {
                    self.follow(pid as i32)?;
                    forked = true;
                }
                Received::Frame(
                    Frame::Failure {
                        step,
                        errno,
                        detail,
                    },
                    _,
                ) => {
                    return Err(self.told(step, errno, detail));
                }
                Received::Frame(Frame::Barrier { .. }, _) => {
                    return Err(Error::system(
                        "meet the child: it is at another barrier",
                        tare_sys::Errno::EPROTO,
                    ));
                }
                Received::End => return Err(self.died()),
            }
        }
        Ok(())
    }

    /// The final process is another one than was spawned: the hop's child, which is ours by CLONE_PARENT.
    fn follow(&mut self, pid: i32) -> Result<(), Error> {
        let process = rustix::process::Pid::from_raw(pid)
            .ok_or_else(|| Error::system("follow the hop", tare_sys::Errno::ESRCH))?;
        // Not reaped by anyone but us, so the pid is still its own.
        let pidfd = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty())
            .map_err(|errno| Error::system("open the process that the hop made", errno))?;
        if let Some(child) = &mut self.child {
            let hop = std::mem::replace(&mut child.pidfd, pidfd);
            child.pid = pid;
            let _ = crate::wait::wait_child(hop.as_fd());
            self.hop = Some(hop);
        }
        Ok(())
    }

    fn control(&self) -> Result<BorrowedFd<'_>, Error> {
        self.child
            .as_ref()
            .map(|child| child.control.as_fd())
            .ok_or_else(|| {
                Error::system("meet a child that was not spawned", tare_sys::Errno::ECHILD)
            })
    }

    fn told(&self, op: u32, errno: u32, detail: u32) -> Error {
        let step = self.lowered.steps.get(op as usize).copied().unwrap_or(0);
        failure::in_child_step(self.plan, step, tare_sys::Errno::new(errno as i32), detail)
    }

    /// The socket ended without a word.
    fn died(&mut self) -> Error {
        let Some(child) = &self.child else {
            return Error::system("wait for the child", tare_sys::Errno::ECHILD);
        };
        let op = child
            .area
            .progress()
            .step
            .load(Ordering::Acquire)
            .saturating_sub(1);
        let step = self.lowered.steps.get(op as usize).copied().unwrap_or(0);
        let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
        let how = crate::wait::wait_child(child.pidfd.as_fd());
        failure::child_died(self.plan, step, how.ok())
    }

    /// After the last barrier: the child fails, dies, or becomes its program, which closes the socket.
    fn await_program(&mut self) -> Result<(), Error> {
        match receive(self.control()?)? {
            Received::Frame(
                Frame::Failure {
                    step,
                    errno,
                    detail,
                },
                _,
            ) => Err(self.told(step, errno, detail)),
            Received::Frame(..) => Err(Error::system(
                "wait for the program: an unknown frame",
                tare_sys::Errno::EPROTO,
            )),
            Received::End => {
                let at = self.child.as_ref().map_or(0, |child| {
                    child.area.progress().step.load(Ordering::Acquire)
                });
                // Killed in its last step or just after it looks the same as a program that was killed at once.
                if at as usize == self.lowered.steps.len() {
                    Ok(())
                } else {
                    Err(self.died())
                }
            }
        }
    }

    fn pass_console(&mut self) -> Result<(), Error> {
        let Some(master) = self.received.take() else {
            return Err(Error::system(
                "receive the terminal",
                tare_sys::Errno::EPROTO,
            ));
        };
        match self.around.console {
            Console::Socket(path) => {
                let name = tare_sys::tty::number(number(master.as_fd()))
                    .map_or_else(|_| "/dev/ptmx".to_owned(), |n| format!("/dev/pts/{n}"));
                pass::send_fd(
                    "send the terminal to",
                    path,
                    name.as_bytes(),
                    master.as_fd(),
                )
            }
            Console::Keep => {
                self.console = Some(master);
                Ok(())
            }
            Console::None => Ok(()),
        }
    }

    /// Takes the listener by its number in the child, which spins without a system call until then, and passes it to the agent.
    fn pass_listener(&mut self, path: &str, metadata: &str) -> Result<(), Error> {
        let Some(child) = &self.child else {
            return Err(Error::system("take the listener", tare_sys::Errno::ECHILD));
        };
        let progress = child.area.progress();
        let listener = loop {
            match progress.listener.load(Ordering::Acquire) {
                0 => {}
                number => break number - 1,
            }
            if progress.errno.load(Ordering::Acquire) != 0
                || crate::wait::wait_end(child.pidfd.as_fd(), std::time::Duration::ZERO)?
            {
                return match receive(child.control.as_fd())? {
                    Received::Frame(
                        Frame::Failure {
                            step,
                            errno,
                            detail,
                        },
                        _,
                    ) => Err(self.told(step, errno, detail)),
                    _ => Err(self.died()),
                };
            }
            std::thread::yield_now();
        };
        let fd = tare_sys::process::take_fd(number(child.pidfd.as_fd()), listener)
            .map_err(|errno| Error::system("take the seccomp listener (pidfd_getfd)", errno))?;
        let fd = crate::spawn::adopt(fd);
        let state = tare_oci::ContainerProcessState {
            oci_version: self.around.state.oci_version.clone(),
            fds: vec!["seccompFd".to_owned()],
            pid: child.pid,
            metadata: metadata.to_owned(),
            state: tare_oci::State {
                status: "creating".to_owned(),
                pid: child.pid,
                ..self.around.state.clone()
            },
        };
        let text = serde_json::to_vec(&state).map_err(|error| Error::Unsupported {
            what: "write the listener's state".to_owned(),
            why: error.to_string(),
        })?;
        pass::send_fd(
            "send the seccomp listener to",
            Path::new(path),
            &text,
            fd.as_fd(),
        )?;
        progress.listener_taken.store(1, Ordering::Release);
        Ok(())
    }

    fn run_hooks(&self, kind: &str, hooks: &[tare_oci::Hook]) -> Result<(), Error> {
        let kind = if kind == "prestart" {
            "prestart"
        } else {
            "createRuntime"
        };
        let state = tare_oci::State {
            status: "creating".to_owned(),
            pid: self.pid(),
            ..self.around.state.clone()
        };
        for (index, hook) in hooks.iter().enumerate() {
            hook::run(kind, index, hook, &state)?;
        }
        Ok(())
    }

    fn write_pid_file(&mut self, pid: i32) -> Result<(), Error> {
        let Some(path) = self.around.pid_file else {
            return Ok(());
        };
        let fail = |error: &std::io::Error| Error::path("write the pid file", path, error);
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(format!(".{pid}"));
        let temporary = path.with_file_name(name);
        let written = std::fs::write(&temporary, pid.to_string())
            .and_then(|()| std::fs::rename(&temporary, path));
        if let Err(error) = written {
            let _ = std::fs::remove_file(&temporary);
            return Err(fail(&error));
        }
        self.pid_file = Some(path.to_owned());
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
        if let Some(child) = &self.child {
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            let _ = crate::wait::wait_child(child.pidfd.as_fd());
            // A hop that was killed before it told of its child: the child gets an end of file at its next barrier.
        }
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

/// Start time of the child, for the record.
pub(crate) fn start_time(pid: i32) -> Result<u64, Error> {
    Ok(procfs::stat(pid)?.map_or(0, |stat| stat.start))
}
