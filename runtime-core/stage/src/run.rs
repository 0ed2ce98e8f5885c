//! The loop: one op after the other, progress noted, the first failure reported.
use crate::held::Held;
use crate::op::Op;
use crate::parent::Parent;
use crate::program::{Flags, Program, SLOTS};
use crate::report::Frame;
use crate::{cred, exec, fs, home, hook, mount, process, secure, tty};
use core::sync::atomic::Ordering;
use tare_sys::mem::Progress;
use tare_sys::{Errno, Fd, Result};

/// What the ops share.
pub(crate) struct Machine<'p> {
    pub program: Program<'p>,
    pub progress: &'p Progress,
    slots: [Fd; SLOTS],
    /// Where barrier frames go.
    pub control: Fd,
    /// Where a failure goes: the control socket, after `AwaitStart` the result fifo.
    pub report: Fd,
    /// The program chosen by `FindExecutable`.
    pub executable: Option<&'p core::ffi::CStr>,
    /// The program's environment with HOME filled in.
    pub env: Option<tare_sys::mem::PointerTable<'p>>,
    /// The tmpfs that hides directories, once it is mounted.
    pub empty: Option<Fd>,
    /// Mounts that a later step changes.
    pub held: Held<'p>,
    /// Where the last step made something.
    pub parent: Parent<'p>,
    /// Whether the null device's detached mount has been moved to its first place.
    pub null_placed: bool,
    /// Whether the tree that `PivotRoot` leaves propagates to the host.
    pub old_is_shared: bool,
    /// Third word of a failure frame.
    pub detail: u32,
}

impl Machine<'_> {
    pub fn slot(&self, slot: u16) -> Result<Fd> {
        self.slots
            .get(usize::from(slot))
            .copied()
            .filter(|fd| fd.number() >= 0)
            .ok_or(Errno::EBADF)
    }
    /// Closes what this process opened itself: the host's /proc is not to wait for `start` with it, where an exec with the right
    /// to trace could take it. What was handed over serves the steps that are left.
    fn close_own(&mut self) {
        let handed = self.program.handed as usize;
        for slot in self
            .slots
            .iter_mut()
            .skip(handed)
            .filter(|slot| slot.number() >= 0)
        {
            tare_sys::fd::close(*slot);
            *slot = Fd::new(-1);
        }
        self.held.close();
        if let Some(empty) = self.empty.take() {
            tare_sys::fd::close(empty);
        }
    }
    pub fn fill(&mut self, slot: u16, fd: Fd) -> Result<()> {
        *self.slots.get_mut(usize::from(slot)).ok_or(Errno::EBADF)? = fd;
        Ok(())
    }
}

/// Runs a program; never returns: the process becomes the container's program, or reports and exits with 1.
pub fn run(program: Program<'_>, progress: &Progress) -> ! {
    let control = Fd::new(program.control);
    let mut machine = Machine {
        program,
        progress,
        slots: [Fd::new(-1); SLOTS],
        control,
        report: control,
        executable: None,
        env: None,
        empty: None,
        held: Held::expect(&program),
        parent: Parent::default(),
        null_placed: false,
        old_is_shared: true,
        detail: 0,
    };
    for (index, slot) in machine
        .slots
        .iter_mut()
        .take(program.handed as usize)
        .enumerate()
    {
        *slot = Fd::new(
            program
                .control
                .saturating_add(1)
                .saturating_add(index as i32),
        );
    }
    #[cfg(feature = "proof")]
    crate::weaken::take_away(progress.timed.load(Ordering::Relaxed) >> 8);
    // Inherited by number, so without the flag; a hook must not see them.
    #[cfg(not(feature = "proof"))]
    let _ = tare_sys::fd::cloexec_from(program.control.unsigned_abs());
    #[cfg(feature = "proof")]
    crate::weaken::close_on_exec(&program);
    process::reset();
    let timed = progress.timed.load(Ordering::Relaxed) & Flags::TIMED != 0;
    let mut index = 0;
    while index < program.count {
        progress
            .step
            .store(index.saturating_add(1), Ordering::Relaxed);
        let (result, next) = step(&mut machine, index);
        if let Err(errno) = result {
            fail(
                &machine,
                progress.step.load(Ordering::Relaxed).saturating_sub(1),
                errno,
            );
        }
        if timed && let Some(slot) = progress.times.get(index as usize) {
            slot.store(tare_sys::process::now_ns(), Ordering::Relaxed);
        }
        index = next;
    }
    tare_sys::process::exit(0)
}

/// Runs the op at `index`, and with `Try` its alternative; says where to go on.
fn step(machine: &mut Machine<'_>, index: u32) -> (Result<()>, u32) {
    let Some(op) = machine.program.op(index) else {
        return (Err(Errno::EPROTO), 0);
    };
    let Op::Try { e1, e2, e3, e4 } = op else {
        return (attempt(machine, index, op), index.saturating_add(1));
    };
    let (first, second, next) = (
        index.saturating_add(1),
        index.saturating_add(2),
        index.saturating_add(3),
    );
    let (Some(op), Some(other)) = (machine.program.op(first), machine.program.op(second)) else {
        return (Err(Errno::EPROTO), next);
    };
    machine
        .progress
        .step
        .store(first.saturating_add(1), Ordering::Relaxed);
    let result = match attempt(machine, first, op) {
        Err(errno) if [e1, e2, e3, e4].contains(&(errno.get() as u32)) => {
            machine
                .progress
                .step
                .store(second.saturating_add(1), Ordering::Relaxed);
            attempt(machine, second, other)
        }
        result => result,
    };
    (result, next)
}

#[cfg(not(feature = "proof"))]
fn attempt<'p>(machine: &mut Machine<'p>, _index: u32, op: Op<'p>) -> Result<()> {
    execute(machine, op)
}

#[cfg(feature = "proof")]
fn attempt<'p>(machine: &mut Machine<'p>, index: u32, op: Op<'p>) -> Result<()> {
    let fault = machine.program.fault;
    fault.strike(machine, index, false)?;
    execute(machine, op)?;
    fault.strike(machine, index, true)
}

fn fail(machine: &Machine<'_>, step: u32, errno: Errno) -> ! {
    machine
        .progress
        .errno
        .store(errno.get() as u32 + 1, Ordering::Release);
    let frame = Frame::Failure {
        step,
        errno: errno.get() as u32,
        detail: machine.detail,
    };
    // write(2) and not sendmsg(2): the container's filter is in force by now, and must allow write to be of any use.
    let _ = tare_sys::fd::write(machine.report, &frame.to_bytes());
    tare_sys::process::exit(1)
}

#[rustfmt::skip]
fn execute<'p>(m: &mut Machine<'p>, op: Op<'p>) -> Result<()> {
    if !matches!(op, Op::Mknod { .. } | Op::Symlink { .. } | Op::Mount { .. } | Op::BindPath { .. } | Op::BindTree { .. }) {
        m.parent.forget();
    }
    match op {
        Op::Nothing {} => Ok(()),
        Op::Try { .. } => Err(Errno::EPROTO),
        Op::NonDumpable {} => tare_sys::cred::set_dumpable(false),
        Op::Join { slot, kinds } => tare_sys::ns::join(m.slot(slot)?, kinds),
        Op::Unshare { kinds } => tare_sys::ns::unshare(kinds),
        Op::BecomeRoot { clear_groups } => cred::become_root(clear_groups),
        Op::Fork {} => process::fork(m),
        Op::TimeOffsets { text } => process::time_offsets(text),
        Op::Barrier { id, signals, waits } => process::barrier(m, id, signals, waits),
        Op::Setsid {} => tare_sys::process::new_session(),
        Op::JoinKeyring { name } => cred::join_keyring(name),
        Op::LoopbackUp {} => tare_sys::socket::loopback_up(),
        Op::Hostname { name } => tare_sys::ns::set_hostname(name),
        Op::Domainname { name } => tare_sys::ns::set_domainname(name),
        Op::OpenProc { slot } => { let fd = fs::open_proc()?; m.fill(slot, fd) }
        Op::OpenNull { slot } => { let fd = fs::open_null()?; m.fill(slot, fd) }
        Op::WriteProc { proc_slot, path, text } => fs::write_proc(m.slot(proc_slot)?, path, text),
        Op::Propagation { flags } => {
            crate::chroot::leave()?;
            const MS_REC: u32 = 1 << 14;
            const MS_SHARED: u32 = 1 << 20;
            // What is not changed in all of the tree may still be shared beneath.
            m.old_is_shared = flags & MS_REC == 0 || flags & MS_SHARED != 0;
            tare_sys::mount::change(c"/", flags)
        }
        Op::BindRoot { root, path, tree } => {
            let tree = tree.map(|slot| m.slot(slot)).transpose()?;
            let fd = mount::bind_root(path, tree, m.old_is_shared)?;
            m.fill(root, fd)
        }
        Op::Mount { root, fstype, source, dest, attr, options, copy_up, no_symlink } => {
            let root = m.slot(root)?;
            let made = mount::filesystem(&mut m.parent, root, fstype, source, dest, attr, options, copy_up, no_symlink)?;
            m.held.take(dest, made);
            Ok(())
        }
        Op::BindPath { root, source, dest, kind, recursive, attr, idmap, idmap_recursive } => {
            let idmap = idmap.map(|slot| m.slot(slot)).transpose()?;
            let tree = tare_sys::mount::clone_tree(Fd::CWD, source, recursive)?;
            let root = m.slot(root)?;
            mount::place(&mut m.parent, root, tree, dest, kind, attr, idmap, idmap_recursive, false)?;
            m.held.take(dest, tree);
            Ok(())
        }
        Op::BindTree { root, source, dest, kind, recursive: _, attr, idmap, idmap_recursive } => {
            let idmap = idmap.map(|slot| m.slot(slot)).transpose()?;
            let tree = m.slot(source)?;
            let root = m.slot(root)?;
            mount::place(&mut m.parent, root, tree, dest, kind, attr, idmap, idmap_recursive, true)?;
            m.held.take(dest, tree);
            Ok(())
        }
        Op::Remount { root, dest, attr, options } => match m.held.find(dest) {
            Some(made) => mount::remount(made, attr, options),
            None => mount::remount_at(m.slot(root)?, dest, attr, options),
        },
        Op::Mkdir { root, dest, mode } => fs::make_directory(m.slot(root)?, dest, mode).map(tare_sys::fd::close),
        Op::Mknod { root, dest, mode, major, minor, uid, gid } => {
            let root = m.slot(root)?;
            fs::make_node(&mut m.parent, root, dest, mode, tare_sys::path::device(major, minor), (uid, gid))
        }
        Op::Symlink { root, dest, target, replace } => {
            let root = m.slot(root)?;
            fs::make_symlink(&mut m.parent, root, dest, target, replace)
        }
        Op::OpenPty { root, master, slave, rows, columns, uid } => {
            let (a, b) = tty::open(m.slot(root)?, rows, columns, uid)?;
            m.fill(master, a)?;
            m.fill(slave, b)
        }
        Op::BindConsole { root, slave } => tty::bind_console(m.slot(root)?, m.slot(slave)?),
        Op::SendFd { slot, id } => tare_sys::socket::send(m.control, &Frame::Barrier { id }.to_bytes(), Some(m.slot(slot)?)),
        Op::UseTty { slave } => tty::use_as_stdio(m.slot(slave)?),
        Op::OwnStdio { uid } => tty::own_stdio(uid),
        Op::RunHook { path, args, env, timeout, state } => hook::run(m, path, args, env, timeout, state),
        Op::PivotRoot { root } => mount::pivot(m.slot(root)?, m.old_is_shared),
        Op::MoveRoot { root } => mount::move_root(m.slot(root)?),
        Op::Chroot { root } => mount::chroot(m.slot(root)?),
        Op::CloneRoot { root, tree } => {
            let copy = tare_sys::mount::clone_tree(m.slot(root)?, c"", true)?;
            m.fill(tree, copy)
        }
        Op::RootPropagation { flags } => tare_sys::mount::change(c"/", flags),
        Op::RootReadonly {} => mount::root_readonly(),
        Op::Mask { path, null } => mount::mask(m, path, null),
        Op::ReadonlyPath { path } => mount::readonly_path(m, path),
        Op::Rlimit { resource, soft, hard } => tare_sys::cred::set_limit(0, resource, soft, hard),
        Op::Affinity { mask } => tare_sys::sched::set_affinity(mask),
        Op::Scheduler { policy, flags, nice, priority, runtime, deadline, period } => {
            let nice = nice as i32;
            tare_sys::sched::set_scheduler(tare_sys::sched::Attributes { size: 0, policy, flags, nice, priority, runtime, deadline, period })
        }
        Op::IoPriority { value } => tare_sys::sched::set_io_priority(value),
        Op::MemoryPolicy { mode, nodes } => tare_sys::sched::set_memory_policy(mode, nodes),
        Op::Personality { persona } => tare_sys::sched::set_personality(persona),
        Op::Umask { mask } => { tare_sys::cred::set_umask(mask); Ok(()) }
        Op::Bounding { keep } => cred::bound(keep),
        Op::Groups { ids } => tare_sys::cred::set_groups(ids),
        Op::Ids { uid, gid } => cred::set_ids(uid, gid),
        Op::Chdir { path, create } => exec::enter_directory(path, create),
        Op::FindHome { uid } => home::find(m, uid),
        Op::FindExecutable { candidates } => exec::find(m, candidates),
        Op::CloseOnExecFrom { first } => { m.close_own(); tare_sys::fd::cloexec_from(first) }
        Op::CapSet { effective, permitted, inheritable } => tare_sys::cred::set_capabilities(tare_sys::cred::Capabilities { effective, permitted, inheritable }),
        Op::Ambient { mask } => cred::raise_ambient(mask),
        Op::NoNewPrivs {} => tare_sys::cred::no_new_privileges(),
        Op::Seccomp { program, flags, listener } => secure::install(m, program, flags, listener),
        Op::AwaitStart { exec, result } => process::await_start(m, exec, result),
        Op::Exec { args, env } => exec::become_program(m, args, env),
    }
}
