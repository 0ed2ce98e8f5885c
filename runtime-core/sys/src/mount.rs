//! The mount API by file descriptors, and the few old calls that have no replacement.
use crate::arch::call;
use crate::{Errno, Fd, Result};
use core::ffi::CStr;
use linux_raw_sys::general as raw;

/// fsopen(2).
pub fn fs_open(fstype: &CStr) -> Result<Fd> {
    call!(__NR_fsopen, fstype.as_ptr(), raw::FSOPEN_CLOEXEC).map(Fd::of)
}

/// fspick(2) of the mount that the fd stands on.
pub fn fs_pick(fd: Fd) -> Result<Fd> {
    const FSPICK_CLOEXEC: u32 = 1;
    const FSPICK_EMPTY_PATH: u32 = 8;
    call!(
        __NR_fspick,
        fd.reg(),
        c"".as_ptr(),
        FSPICK_CLOEXEC | FSPICK_EMPTY_PATH
    )
    .map(Fd::of)
}

/// fsconfig(2): a flag word.
pub fn fs_flag(fs: Fd, key: &CStr) -> Result<()> {
    call!(
        __NR_fsconfig,
        fs.reg(),
        raw::fsconfig_command::FSCONFIG_SET_FLAG as u32,
        key.as_ptr(),
        0,
        0
    )
    .map(drop)
}

/// fsconfig(2): key and value.
pub fn fs_string(fs: Fd, key: &CStr, value: &CStr) -> Result<()> {
    call!(
        __NR_fsconfig,
        fs.reg(),
        raw::fsconfig_command::FSCONFIG_SET_STRING as u32,
        key.as_ptr(),
        value.as_ptr(),
        0
    )
    .map(drop)
}

/// fsconfig(2): make the superblock.
pub fn fs_create(fs: Fd) -> Result<()> {
    call!(
        __NR_fsconfig,
        fs.reg(),
        raw::fsconfig_command::FSCONFIG_CMD_CREATE as u32,
        0,
        0,
        0
    )
    .map(drop)
}

/// fsconfig(2): change the superblock.
pub fn fs_reconfigure(fs: Fd) -> Result<()> {
    call!(
        __NR_fsconfig,
        fs.reg(),
        raw::fsconfig_command::FSCONFIG_CMD_RECONFIGURE as u32,
        0,
        0,
        0
    )
    .map(drop)
}

/// fsmount(2): a detached mount; of the attributes, those that it knows (all but recursive ones).
pub fn fs_mount(fs: Fd, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: u32 = 1;
    call!(__NR_fsmount, fs.reg(), FSMOUNT_CLOEXEC, attributes).map(Fd::of)
}

/// open_tree(2) with OPEN_TREE_CLONE: a detached copy of what `dir`/`path` names.
pub fn clone_tree(dir: Fd, path: &CStr, recursive: bool) -> Result<Fd> {
    let flags = raw::OPEN_TREE_CLONE
        | raw::O_CLOEXEC
        | raw::AT_EMPTY_PATH
        | if recursive { raw::AT_RECURSIVE } else { 0 };
    call!(__NR_open_tree, dir.reg(), path.as_ptr(), flags).map(Fd::of)
}

/// move_mount(2): put a (detached) mount on what the target fd names.
pub fn move_mount(mount: Fd, target: Fd) -> Result<()> {
    const F_EMPTY_PATH: u32 = 0x4;
    const T_EMPTY_PATH: u32 = 0x40;
    call!(
        __NR_move_mount,
        mount.reg(),
        c"".as_ptr(),
        target.reg(),
        c"".as_ptr(),
        F_EMPTY_PATH | T_EMPTY_PATH
    )
    .map(drop)
}

/// The same on a name in a directory; a link of that name isn't followed.
pub fn move_mount_in(mount: Fd, directory: Fd, name: &CStr) -> Result<()> {
    const F_EMPTY_PATH: u32 = 0x4;
    call!(
        __NR_move_mount,
        mount.reg(),
        c"".as_ptr(),
        directory.reg(),
        name.as_ptr(),
        F_EMPTY_PATH
    )
    .map(drop)
}

/// What [`set_attributes`] changes: MOUNT_ATTR_* and an MS_* propagation.
#[derive(Clone, Copy, Default)]
pub struct Change {
    /// Bits to set.
    pub set: u64,
    /// Bits to clear.
    pub clear: u64,
    /// MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE or 0.
    pub propagation: u64,
    /// With MOUNT_ATTR_IDMAP: the user namespace.
    pub userns: Option<Fd>,
}

/// mount_setattr(2) on the mount that the fd stands on.
pub fn set_attributes(mount: Fd, change: Change, recursive: bool) -> Result<()> {
    let attr = raw::mount_attr {
        attr_set: change.set
            | if change.userns.is_some() {
                u64::from(raw::MOUNT_ATTR_IDMAP)
            } else {
                0
            },
        attr_clr: change.clear,
        propagation: change.propagation,
        userns_fd: change.userns.map_or(0, |fd| fd.number() as u64),
    };
    let flags = raw::AT_EMPTY_PATH | if recursive { raw::AT_RECURSIVE } else { 0 };
    call!(
        __NR_mount_setattr,
        mount.reg(),
        c"".as_ptr(),
        flags,
        &attr as *const raw::mount_attr,
        size_of::<raw::mount_attr>()
    )
    .map(drop)
}

/// mount(2) that only changes flags or propagation of a mounted path (kernels before 5.12; propagation of `/`).
pub fn change(path: &CStr, flags: u32) -> Result<()> {
    call!(__NR_mount, 0, path.as_ptr(), 0, flags, 0).map(drop)
}

/// mount(2) with MS_MOVE.
pub fn move_path(from: &CStr, to: &CStr) -> Result<()> {
    call!(__NR_mount, from.as_ptr(), to.as_ptr(), 0, raw::MS_MOVE, 0).map(drop)
}

/// pivot_root(".", "."), which stacks the old root on the new one.
pub fn pivot_here() -> Result<()> {
    call!(__NR_pivot_root, c".".as_ptr(), c".".as_ptr()).map(drop)
}

/// umount2(2) with MNT_DETACH.
pub fn detach(path: &CStr) -> Result<()> {
    const MNT_DETACH: u32 = 2;
    call!(__NR_umount2, path.as_ptr(), MNT_DETACH).map(drop)
}

/// The mount id of what the fd stands on (statx(2) STATX_MNT_ID, Linux 5.8).
pub fn mount_id(fd: Fd) -> Result<u64> {
    const STATX_MNT_ID: u32 = 0x1000;
    // SAFETY: struct statx is plain numbers, for which all zeroes is a value.
    let mut out: raw::statx = unsafe { core::mem::zeroed() };
    call!(
        __NR_statx,
        fd.reg(),
        c"".as_ptr(),
        raw::AT_EMPTY_PATH,
        STATX_MNT_ID,
        &mut out as *mut raw::statx
    )?;
    if out.stx_mask & STATX_MNT_ID == 0 {
        Err(Errno::ENOSYS)
    } else {
        Ok(out.stx_mnt_id)
    }
}

/// Whether a path within the fd's mount stands on that mount's root (statx(2) STATX_ATTR_MOUNT_ROOT).
pub fn is_mount_root(fd: Fd) -> Result<bool> {
    const STATX_ATTR_MOUNT_ROOT: u64 = 0x2000;
    // SAFETY: struct statx is plain numbers, for which all zeroes is a value.
    let mut out: raw::statx = unsafe { core::mem::zeroed() };
    call!(
        __NR_statx,
        fd.reg(),
        c"".as_ptr(),
        raw::AT_EMPTY_PATH,
        0,
        &mut out as *mut raw::statx
    )?;
    Ok(out.stx_attributes & STATX_ATTR_MOUNT_ROOT != 0)
}

/// The MS_* flags that a mount has now (fstatfs(2) f_flags), for a bind remount on kernels without mount_setattr(2).
pub fn old_flags(mount: Fd) -> Result<u32> {
    // struct statfs: on 64-bit f_flags is the 11th word.
    let mut buffer = [0u64; 16];
    call!(__NR_fstatfs, mount.reg(), buffer.as_mut_ptr())?;
    const KEPT: u64 = 1 | 2 | 4 | 8 | 1024 | 2048;
    const ST_RELATIME: u64 = 4096;
    const ST_NOSYMFOLLOW: u64 = 8192;
    const MS_NOSYMFOLLOW: u32 = 256;
    const MS_RELATIME: u32 = 1 << 21;
    let mut flags = (buffer[10] & KEPT) as u32;
    if buffer[10] & ST_NOSYMFOLLOW != 0 {
        flags |= MS_NOSYMFOLLOW;
    }
    Ok(if buffer[10] & ST_RELATIME != 0 {
        flags | MS_RELATIME
    } else {
        flags
    })
}
