//! Processes: hop, hook, wait, execve, exit.
use crate::arch::call;
use crate::mem::PointerTable;
use crate::{Errno, Fd, Result};
use core::ffi::CStr;
use linux_raw_sys::general as raw;

/// Which side of a fork one is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The old process; the new one's pid in its own pid namespace.
    Parent(i32),
    /// The new process.
    Child,
}

/// clone(2) with CLONE_PARENT: the new process is a child of the caller's parent. For `stage-init` only.
///
/// Both sides go on with a copy of all memory. In a program with threads the copy has only the calling one, and a lock that
/// another held is held for ever: there it is refused with EBUSY.
pub fn hop() -> Result<Side> {
    // The exit signal must be 0 with CLONE_PARENT: the kernel takes the caller's.
    alone()?;
    fork(raw::CLONE_PARENT, 0)
}

/// clone(2) of a helper whose parent is the caller. As [`hop`].
pub fn helper() -> Result<Side> {
    alone()?;
    fork(0, raw::SIGCHLD)
}

/// unshare(CLONE_THREAD) does nothing for a process with one thread, and fails with EINVAL for any other (unshare(2)).
fn alone() -> Result<()> {
    call!(__NR_unshare, raw::CLONE_THREAD)
        .map(drop)
        .map_err(|_| Errno::EBUSY)
}

fn fork(flags: u32, exit_signal: u32) -> Result<Side> {
    #[cfg(target_arch = "x86_64")]
    let pid = call!(__NR_clone, flags | exit_signal, 0, 0, 0, 0)?;
    #[cfg(not(target_arch = "x86_64"))]
    let pid = call!(__NR_clone, flags | exit_signal, 0, 0, 0, 0)?;
    Ok(if pid == 0 {
        Side::Child
    } else {
        Side::Parent(pid as i32)
    })
}

/// execve(2); returns only on failure.
pub fn execute(path: &CStr, args: PointerTable<'_>, env: PointerTable<'_>) -> Errno {
    match call!(__NR_execve, path.as_ptr(), args.as_ptr(), env.as_ptr()) {
        Ok(_) => Errno::EIO,
        Err(errno) => errno,
    }
}

/// exit_group(2).
pub fn exit(status: i32) -> ! {
    loop {
        let _ = call!(__NR_exit_group, status);
    }
}

/// getpid(2).
pub fn pid() -> i32 {
    call!(__NR_getpid).unwrap_or(0) as i32
}

/// setsid(2).
pub fn new_session() -> Result<()> {
    call!(__NR_setsid).map(drop)
}

/// kill(2).
pub fn kill(pid: i32, signal: u32) -> Result<()> {
    call!(__NR_kill, pid, signal).map(drop)
}

/// pidfd_open(2).
pub fn open(pid: i32) -> Result<Fd> {
    call!(__NR_pidfd_open, pid, 0).map(Fd::of)
}

/// wait4(2) for one child: the raw status word.
pub fn wait(pid: i32) -> Result<i32> {
    let mut status = 0i32;
    loop {
        match call!(__NR_wait4, pid, &mut status as *mut i32, 0, 0) {
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno),
            Ok(_) => return Ok(status),
        }
    }
}

/// Every signal to its default: an ignored one would stay ignored in the container's program.
pub fn reset_signals() {
    // SAFETY: struct kernel_sigaction is pointers and numbers, for which all zeroes (SIG_DFL) is a value.
    let default: raw::kernel_sigaction = unsafe { core::mem::zeroed() };
    for signal in 1..65 {
        // KILL and STOP refuse; that is no error.
        let _ = call!(
            __NR_rt_sigaction,
            signal,
            &default as *const raw::kernel_sigaction,
            0,
            8
        );
    }
}

/// Unblocks every signal.
pub fn unblock_signals() {
    let none = 0u64;
    let _ = call!(
        __NR_rt_sigprocmask,
        raw::SIG_SETMASK,
        &none as *const u64,
        0,
        8
    );
}

/// Blocks every signal; gives the old mask.
pub fn block_signals() -> u64 {
    let all = u64::MAX;
    let mut old = 0u64;
    let _ = call!(
        __NR_rt_sigprocmask,
        raw::SIG_SETMASK,
        &all as *const u64,
        &mut old as *mut u64,
        8
    );
    old
}

/// Restores a mask from [`block_signals`].
pub fn restore_signals(mask: u64) {
    let _ = call!(
        __NR_rt_sigprocmask,
        raw::SIG_SETMASK,
        &mask as *const u64,
        0,
        8
    );
}

/// PR_SET_NAME, what `ps` shows.
pub fn set_name(name: &CStr) {
    let _ = call!(
        __NR_prctl,
        linux_raw_sys::prctl::PR_SET_NAME,
        name.as_ptr(),
        0,
        0,
        0
    );
}

/// sched_yield(2).
pub fn give_way() {
    let _ = call!(__NR_sched_yield);
}

/// clock_gettime(CLOCK_MONOTONIC), ns.
pub fn now_ns() -> u64 {
    let mut time = raw::__kernel_timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let _ = call!(
        __NR_clock_gettime,
        raw::CLOCK_MONOTONIC,
        &mut time as *mut raw::__kernel_timespec
    );
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// pidfd_getfd(2): a copy of another process's fd, close-on-exec.
pub fn take_fd(pidfd: Fd, number: i32) -> Result<Fd> {
    call!(__NR_pidfd_getfd, pidfd.reg(), number, 0).map(Fd::of)
}

/// PIDFD_GET_INFO: how a process ended that somebody else has waited for, as wait(2) tells it; `None` where the kernel (before
/// 6.15) does not keep it, or the process lives.
pub fn ended(pidfd: Fd) -> Option<i32> {
    const PIDFD_GET_INFO: u32 = 0xc040_ff0b;
    const PIDFD_INFO_EXIT: u64 = 1 << 3;
    // struct pidfd_info of 64 bytes: the mask is its first word, the exit code its last.
    let mut info = [0u64; 8];
    info[0] = PIDFD_INFO_EXIT;
    call!(__NR_ioctl, pidfd.reg(), PIDFD_GET_INFO, info.as_mut_ptr()).ok()?;
    (info[0] & PIDFD_INFO_EXIT != 0).then_some((info[7] >> EXIT_CODE_SHIFT) as u32 as i32)
}

/// The exit code is the last of the structure's 32-bit words.
const EXIT_CODE_SHIFT: u32 = if cfg!(target_endian = "little") {
    32
} else {
    0
};
