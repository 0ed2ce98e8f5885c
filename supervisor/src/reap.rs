//! Orphans: what a container without a pid namespace of its own leaves running becomes ours, and is reaped when it ends.
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, wait};
use std::io;
use std::time::Duration;

/// From now on the calling process is the parent of its descendants' orphans (PR_SET_CHILD_SUBREAPER).
///
/// # Errors
/// None that Linux 3.4 and later have.
pub fn adopt_orphans() -> io::Result<()> {
    // The number is a flag: any but none sets it.
    Ok(set_child_subreaper(Some(Pid::INIT))?)
}

/// Waits until somebody has waited for a process that has ended (Linux 6.9 tells), at most so long.
pub fn await_reaped(pidfd: BorrowedFd<'_>, patience: Duration) {
    let mut fds = [PollFd::from_borrowed_fd(pidfd, PollFlags::empty())];
    let _ = poll(&mut fds, Timespec::try_from(patience).ok().as_ref());
}

/// Reaps every child that has ended, and returns them: those that are waited for by name are among them.
///
/// Not while another thread waits for a child of its own: it would find none.
pub fn reap_orphans() -> Vec<(Pid, WaitStatus)> {
    let mut ended = Vec::new();
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(child)) => ended.push(child),
            Err(Errno::INTR) => {}
            Ok(None) | Err(_) => return ended,
        }
    }
}
