//! Working directory, the choice of the program, and the program.
use crate::fs;
use crate::program::{List, Table};
use crate::run::Machine;
use core::ffi::CStr;
use tare_sys::path::{chdir, cwd_is_reachable, may_execute, stat_at};
use tare_sys::{Errno, Fd, Result};

/// chdir with the user's rights; a missing directory is made where planned. What getcwd(2) can't reach from `/` is refused.
pub(crate) fn enter_directory(path: &CStr, create: bool) -> Result<()> {
    match chdir(path) {
        Err(Errno::ENOENT) if create => {
            let root = fs::open_root()?;
            fs::make_directory(root, path, 0o755).map(tare_sys::fd::close)?;
            tare_sys::fd::close(root);
            chdir(path)?;
        }
        result => result?,
    }
    #[cfg(feature = "proof")]
    if crate::weaken::lacks(crate::weaken::CWD) {
        return Ok(());
    }
    if cwd_is_reachable()? {
        Ok(())
    } else {
        Err(Errno::EXDEV)
    }
}

/// The first candidate that is a file which this user may execute. Else the error that says most: EACCES, EISDIR, ENOTDIR, ENOENT.
pub(crate) fn find<'p>(m: &mut Machine<'p>, candidates: List<'p>) -> Result<()> {
    let weight = |errno: Errno| match errno {
        Errno::EACCES | Errno::EPERM => 4,
        Errno::EISDIR => 3,
        Errno::ENOENT => 0,
        Errno::ENOTDIR => 1,
        _ => 2,
    };
    let mut worst = Errno::ENOENT;
    for (index, candidate) in candidates.iter().enumerate() {
        let result = stat_at(Fd::CWD, candidate, 0).and_then(|stat| {
            if stat.is_directory() {
                Err(Errno::EISDIR)
            } else {
                may_execute(candidate)
            }
        });
        match result {
            Ok(()) => {
                m.executable = Some(candidate);
                m.progress
                    .executable
                    .store(index as u32 + 1, core::sync::atomic::Ordering::Relaxed);
                return Ok(());
            }
            Err(errno) if weight(errno) > weight(worst) => {
                worst = errno;
                m.detail = index as u32 + 1;
            }
            Err(_) => {}
        }
    }
    Err(worst)
}

/// execve of what [`find`] chose.
pub(crate) fn become_program(m: &mut Machine<'_>, args: Table, env: Table) -> Result<()> {
    let program = m.executable.ok_or(Errno::ENOENT)?;
    let args = m.program.table(args).ok_or(Errno::EFAULT)?;
    let env = match m.env {
        Some(env) => env,
        None => m.program.table(env).ok_or(Errno::EFAULT)?,
    };
    Err(tare_sys::process::execute(program, args, env))
}
