//! Pseudo-terminals.
use crate::arch::call;
use crate::{Fd, Result};
use linux_raw_sys::general as raw;
use linux_raw_sys::ioctl;

fn control(fd: Fd, request: u32, argument: usize) -> Result<usize> {
    call!(__NR_ioctl, fd.reg(), request, argument)
}

/// Unlock the slave of a master (TIOCSPTLCK).
pub fn unlock(master: Fd) -> Result<()> {
    let locked = 0i32;
    control(master, ioctl::TIOCSPTLCK, &locked as *const i32 as usize).map(drop)
}

/// The slave of a master by fd (TIOCGPTPEER), so that no path is trusted.
pub fn peer(master: Fd) -> Result<Fd> {
    control(
        master,
        ioctl::TIOCGPTPEER,
        (raw::O_RDWR | raw::O_NOCTTY | raw::O_CLOEXEC) as usize,
    )
    .map(Fd::of)
}

/// The number of the pty (TIOCGPTN): /dev/pts/N.
pub fn number(master: Fd) -> Result<u32> {
    let mut n = 0u32;
    control(master, ioctl::TIOCGPTN, &mut n as *mut u32 as usize)?;
    Ok(n)
}

/// TIOCSWINSZ, in characters.
pub fn set_size(tty: Fd, rows: u16, columns: u16) -> Result<()> {
    let size = raw::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    control(
        tty,
        ioctl::TIOCSWINSZ,
        &size as *const raw::winsize as usize,
    )
    .map(drop)
}

/// TIOCSCTTY: the session's controlling terminal.
pub fn make_controlling(tty: Fd) -> Result<()> {
    control(tty, ioctl::TIOCSCTTY, 0).map(drop)
}

/// TIOCGWINSZ: whether the fd is a terminal.
pub fn is_terminal(fd: Fd) -> bool {
    // SAFETY: struct winsize is plain numbers, for which all zeroes is a value.
    let mut size: raw::winsize = unsafe { core::mem::zeroed() };
    control(
        fd,
        ioctl::TIOCGWINSZ,
        &mut size as *mut raw::winsize as usize,
    )
    .is_ok()
}
