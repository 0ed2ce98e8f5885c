//! What of the calling process's fds its children get.
use crate::error::Error;

/// Marks every open fd from `first` on close-on-exec: for a program (not for a library in someone else's process) that was
/// started with fds it knows nothing of and runs hooks, which would inherit them.
///
/// # Errors
/// Where the limit of open files can't be read, on a kernel without close_range(2) (before 5.11).
pub fn close_on_exec_from(first: u32) -> Result<(), Error> {
    #[cfg(feature = "proof")]
    if crate::weaken::lacks("close-fds") {
        return Ok(());
    }
    tare_sys::fd::cloexec_from(first)
        .map_err(|errno| Error::system("mark inherited fds close-on-exec", errno))
}
