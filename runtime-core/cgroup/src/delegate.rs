//! Giving a v2 cgroup to a user (runtime-spec, "cgroup ownership").
use crate::Error;
use crate::directory::{Directory, read_path};
use rustix::fs::{AtFlags, Uid};
use rustix::io::Errno;

/// The files to give: the kernel's own list, or cgroups(7)'s where the kernel (before 4.15) has none.
const LIST: &str = "/sys/kernel/cgroup/delegate";
const DEFAULT: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

pub(crate) fn give(directory: &Directory, uid: u32) -> Result<(), Error> {
    let chown = |name: &str, flags| {
        rustix::fs::chownat(directory.fd(), name, Some(Uid::from_raw(uid)), None, flags)
    };
    chown("", AtFlags::EMPTY_PATH).map_err(|errno| Error::io("chown", directory.path(), errno))?;
    let list = read_path(LIST).unwrap_or_else(|_| DEFAULT.to_string());
    for name in list
        .lines()
        .filter(|name| !name.is_empty() && !name.contains('/'))
    {
        match chown(name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::io("chown", directory.file(name), errno)),
        }
    }
    Ok(())
}
