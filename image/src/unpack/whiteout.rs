//! What stands for "nothing is here, whatever lower layers have": overlay's device 0/0; where that can't be made, its other form.

use rustix::fs::{self, FileType, Mode, OFlags, Stat, XattrFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// The mark of an empty file that is one (kernel documentation, filesystems/overlayfs, "Nesting overlayfs mounts").
const MARK: &str = "user.overlay.whiteout";

/// Makes one at a name where nothing is.
pub(crate) fn make(parent: impl AsFd, name: &[u8]) -> Result<(), Errno> {
    let parent = parent.as_fd();
    // Number 0/0 is no device: everybody may make it.
    match fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
        // But nobody on an overlay: there it would hide what is below the store.
        Err(Errno::PERM) => {}
        other => return other,
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = fs::openat(parent, name, flags, Mode::empty())?;
    fs::fsetxattr(&file, MARK, b"y", XattrFlags::empty())
}

/// Whether what stands at a name is one. No layer can say so of a file of its own: such marks are dropped when it is unpacked.
pub(crate) fn is_one(parent: impl AsFd, name: &[u8], stat: &Stat) -> bool {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => stat.st_rdev == 0,
        FileType::RegularFile if stat.st_size == 0 && stat.st_mode & 0o7777 == 0 => {
            let folder = format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd());
            let mut value = [0u8; 1];
            fs::lgetxattr([folder.as_bytes(), name].concat(), MARK, &mut value[..]).is_ok()
        }
        _ => false,
    }
}
