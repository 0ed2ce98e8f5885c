//! Orphans: what a container without a pid namespace of its own leaves running becomes ours, and is reaped when it ends.
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, WaitStatus, set_child_subreaper, wait};
use std::io;

/// From now on the calling process is the parent of its descendants' orphans (PR_SET_CHILD_SUBREAPER).
///
/// # Errors
/// None that Linux 3.4 and later have.
pub fn adopt_orphans() -> io::Result<()> {
    // The number is a flag: any but none sets it.
    Ok(set_child_subreaper(Some(Pid::INIT))?)
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
