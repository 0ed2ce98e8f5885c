//! The system-call filter, with or without a listener.
use crate::run::Machine;
use core::sync::atomic::Ordering;
use tare_sys::{Errno, Result, cred};

/// Installs the filter. Without no_new_privs the kernel asks for an effective CAP_SYS_ADMIN, which a change of ids has
/// cleared; CapSet, the next op, sets the final state.
pub(crate) fn install(m: &Machine<'_>, program: &[u8], flags: u32, listener: bool) -> Result<()> {
    const CAP_SYS_ADMIN: u64 = 1 << 21;
    let mut sets = cred::capabilities()?;
    if sets.permitted & CAP_SYS_ADMIN != 0 && sets.effective & CAP_SYS_ADMIN == 0 {
        sets.effective |= CAP_SYS_ADMIN;
        cred::set_capabilities(sets)?;
    }
    let fd = tare_sys::secure::install_filter(program, flags)?;
    if !listener {
        return Ok(());
    }
    let fd = fd.ok_or(Errno::EPROTO)?;
    m.progress
        .listener
        .store(fd.number() + 1, Ordering::Release);
    // No system call until the host has the fd: the filter may hold any of them for an agent that doesn't have it yet.
    for _ in 0..u32::MAX {
        if m.progress.listener_taken.load(Ordering::Acquire) != 0 {
            tare_sys::fd::close(fd);
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(Errno::ETIMEDOUT)
}
