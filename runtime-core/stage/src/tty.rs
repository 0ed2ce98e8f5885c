//! The container's terminal and the ownership of stdio.
use crate::fs;
use crate::mount;
use crate::open_beneath;
use tare_sys::path::{Resolve, flags};
use tare_sys::{Errno, Fd, Result, fd, tty};

const DEVPTS_MAGIC: u64 = 0x1cd1;

/// A pty of the container's own devpts, verified by number and filesystem; the slave by fd, never by path.
pub(crate) fn open(root: Fd, rows: u32, columns: u32, uid: u32) -> Result<(Fd, Fd)> {
    let master = open_beneath(
        root,
        c"dev/ptmx",
        flags::READ_WRITE | flags::NOCTTY,
        0,
        Resolve::InRoot,
    )?;
    if !fd::stat(master)?.is_char(5, 2) || fd::filesystem_magic(master)? != DEVPTS_MAGIC {
        return Err(Errno::ENOTTY);
    }
    tty::unlock(master)?;
    let slave = tty::peer(master)?;
    if rows != 0 || columns != 0 {
        tty::set_size(master, rows as u16, columns as u16)?;
    }
    const KEEP: u32 = u32::MAX;
    if fd::stat(slave)?.uid != uid {
        fd::chown(slave, uid, KEEP)?;
    }
    Ok((master, slave))
}

/// The slave's own inode on /dev/console.
pub(crate) fn bind_console(root: Fd, slave: Fd) -> Result<()> {
    let target = fs::make_file(root, c"dev/console")?;
    #[cfg(feature = "proof")]
    if crate::weaken::lacks(crate::weaken::CONSOLE) {
        return tare_sys::mount::move_mount(crate::weaken::terminal_by_path(root)?, target);
    }
    let tree = tare_sys::mount::clone_tree(slave, c"", false)?;
    tare_sys::mount::move_mount(tree, target)?;
    fd::close(target);
    mount::close(tree);
    Ok(())
}

/// Controlling terminal, and fds 0 to 2.
pub(crate) fn use_as_stdio(slave: Fd) -> Result<()> {
    tty::make_controlling(slave)?;
    for number in 0..3 {
        fd::dup_to(slave, number)?;
    }
    Ok(())
}

/// Lets the user reopen /dev/stdout. What can't be owned (another user's pipe without the right, a read-only file) stays.
///
/// The host's null device is replaced by the container's own: through its fd, root in the container could change the mode or the
/// owner of the host's node.
pub(crate) fn own_stdio(uid: u32) -> Result<()> {
    const KEEP: u32 = u32::MAX;
    let mut null = None;
    for number in 0..3 {
        let stdio = Fd::new(number);
        let Ok(stat) = fd::stat(stdio) else { continue };
        if stat.is_char(1, 3) {
            if null.is_none() {
                null = own_null();
            }
            if let Some(null) = null {
                fd::dup_to(null, number)?;
            }
            continue;
        }
        if stat.uid == uid {
            continue;
        }
        match fd::chown(stdio, uid, KEEP) {
            Ok(()) | Err(Errno::EPERM | Errno::EINVAL | Errno::EROFS) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// The container's /dev/null, if it has one that is char 1:3.
fn own_null() -> Option<Fd> {
    let root = fs::open_root().ok()?;
    let null = open_beneath(
        root,
        c"dev/null",
        flags::READ_WRITE | flags::NOCTTY,
        0,
        Resolve::InRoot,
    );
    fd::close(root);
    null.ok()
        .filter(|null| fd::stat(*null).is_ok_and(|stat| stat.is_char(1, 3)))
}
