//! A hook that runs in the container's namespaces: fork, state document on stdin, execve, wait with a limit.
use crate::program::Table;
use crate::run::Machine;
use core::ffi::CStr;
use tare_sys::process::Side;
use tare_sys::{Errno, Result};

const FIRST_NOT_STDIO: u32 = 3;

/// Runs it; a status other than 0 fails with ECANCELED and the wait status in the frame's detail, too long a run with ETIMEDOUT.
pub(crate) fn run(
    m: &mut Machine<'_>,
    path: &CStr,
    args: Table,
    env: Table,
    timeout: u32,
    state: u16,
) -> Result<()> {
    let state = m.slot(state)?;
    let (args, env) = (
        m.program.table(args).ok_or(Errno::EFAULT)?,
        m.program.table(env).ok_or(Errno::EFAULT)?,
    );
    tare_sys::fd::rewind(state)?;
    let pid = match tare_sys::process::helper()? {
        Side::Child => {
            // What is preserved for the program is not for a hook.
            let ready = tare_sys::fd::dup_to(state, 0)
                .and_then(|()| tare_sys::fd::cloexec_from(FIRST_NOT_STDIO));
            let errno = match ready {
                Ok(()) => tare_sys::process::execute(path, args, env),
                Err(errno) => errno,
            };
            // As a shell says it: not found 127, not executable 126.
            tare_sys::process::exit(if errno == Errno::ENOENT { 127 } else { 126 })
        }
        Side::Parent(pid) => pid,
    };
    let mut late = false;
    if timeout != 0 {
        let pidfd = tare_sys::process::open(pid)?;
        if !tare_sys::fd::wait_readable(pidfd, Some(timeout.saturating_mul(1000)))? {
            late = true;
            tare_sys::process::kill(pid, 9)?;
        }
        tare_sys::fd::close(pidfd);
    }
    let status = tare_sys::process::wait(pid)?;
    if late {
        return Err(Errno::ETIMEDOUT);
    }
    if status != 0 {
        m.detail = status as u32 + 1;
        return Err(Errno::ECANCELED);
    }
    Ok(())
}
