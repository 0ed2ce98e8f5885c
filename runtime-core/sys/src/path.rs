//! Paths beneath a directory fd: open, make, stat, list.
use crate::arch::call;
use crate::{Fd, Result};
use core::ffi::CStr;
use linux_raw_sys::general as raw;

/// How [`open_beneath`] resolves: openat2(2)'s RESOLVE_*.
#[derive(Clone, Copy)]
pub enum Resolve {
    /// Symlinks and `..` stay inside the root; magic links are refused.
    InRoot,
    /// No symlink, no mount crossed, nothing outside: for procfs.
    Strict,
    /// No symlink, nothing outside; mounts may be crossed.
    NoSymlinks,
}

/// openat2(2) with O_CLOEXEC.
pub fn open_beneath(root: Fd, path: &CStr, flags: u32, mode: u32, how: Resolve) -> Result<Fd> {
    let resolve = match how {
        Resolve::InRoot => raw::RESOLVE_IN_ROOT | raw::RESOLVE_NO_MAGICLINKS,
        Resolve::Strict => {
            raw::RESOLVE_BENEATH
                | raw::RESOLVE_NO_SYMLINKS
                | raw::RESOLVE_NO_XDEV
                | raw::RESOLVE_NO_MAGICLINKS
        }
        Resolve::NoSymlinks => {
            raw::RESOLVE_BENEATH | raw::RESOLVE_NO_SYMLINKS | raw::RESOLVE_NO_MAGICLINKS
        }
    };
    let how = raw::open_how {
        flags: u64::from(flags | raw::O_CLOEXEC),
        mode: u64::from(mode),
        resolve: u64::from(resolve),
    };
    // EAGAIN: a rename or mount raced with the walk over a `..`; the kernel asks to try again (openat2(2)). Not for ever: whoever
    // shares a directory with the container could rename in a loop, and give a link many `..`.
    for _ in 0..TRIES {
        match call!(
            __NR_openat2,
            root.reg(),
            path.as_ptr(),
            &how as *const raw::open_how,
            size_of::<raw::open_how>()
        ) {
            Err(crate::Errno::EAGAIN) => {}
            other => return other.map(Fd::of),
        }
    }
    Err(crate::Errno::EAGAIN)
}

const TRIES: u32 = 1024;

/// openat(2) with O_CLOEXEC.
pub fn open(dir: Fd, path: &CStr, flags: u32, mode: u32) -> Result<Fd> {
    call!(
        __NR_openat,
        dir.reg(),
        path.as_ptr(),
        flags | raw::O_CLOEXEC,
        mode
    )
    .map(Fd::of)
}

/// mkdirat(2).
pub fn mkdir(dir: Fd, name: &CStr, mode: u32) -> Result<()> {
    call!(__NR_mkdirat, dir.reg(), name.as_ptr(), mode).map(drop)
}

/// mknodat(2).
pub fn mknod(dir: Fd, name: &CStr, mode: u32, device: u64) -> Result<()> {
    call!(__NR_mknodat, dir.reg(), name.as_ptr(), mode, device).map(drop)
}

/// symlinkat(2).
pub fn symlink(target: &CStr, dir: Fd, name: &CStr) -> Result<()> {
    call!(__NR_symlinkat, target.as_ptr(), dir.reg(), name.as_ptr()).map(drop)
}

/// unlinkat(2) of what is not a directory.
pub fn unlink(dir: Fd, name: &CStr) -> Result<()> {
    call!(__NR_unlinkat, dir.reg(), name.as_ptr(), 0).map(drop)
}

/// readlinkat(2): the bytes read.
pub fn readlink<'b>(dir: Fd, name: &CStr, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
    let n = call!(
        __NR_readlinkat,
        dir.reg(),
        name.as_ptr(),
        buffer.as_mut_ptr(),
        buffer.len()
    )?;
    buffer.get(..n).ok_or(crate::Errno::EIO)
}

/// chdir(2).
pub fn chdir(path: &CStr) -> Result<()> {
    call!(__NR_chdir, path.as_ptr()).map(drop)
}

/// fchdir(2).
pub fn fchdir(fd: Fd) -> Result<()> {
    call!(__NR_fchdir, fd.reg()).map(drop)
}

/// chroot(2).
pub fn chroot(path: &CStr) -> Result<()> {
    call!(__NR_chroot, path.as_ptr()).map(drop)
}

/// getcwd(2): whether the current directory is inside the root (a path that begins with `/`).
pub fn cwd_is_reachable() -> Result<bool> {
    let mut buffer = [0u8; 4096];
    call!(__NR_getcwd, buffer.as_mut_ptr(), buffer.len())?;
    Ok(buffer[0] == b'/')
}

/// faccessat2(2) by effective ids, X_OK.
pub fn may_execute(path: &CStr) -> Result<()> {
    call!(
        __NR_faccessat2,
        Fd::CWD.reg(),
        path.as_ptr(),
        raw::X_OK,
        raw::AT_EACCESS
    )
    .map(drop)
}

/// newfstatat(2).
pub fn stat_at(dir: Fd, path: &CStr, flags: u32) -> Result<crate::fd::Stat> {
    // SAFETY: struct stat is plain numbers, for which all zeroes is a value.
    let mut stat: raw::stat = unsafe { core::mem::zeroed() };
    #[cfg(target_arch = "x86_64")]
    call!(
        __NR_newfstatat,
        dir.reg(),
        path.as_ptr(),
        &mut stat as *mut raw::stat,
        flags
    )?;
    #[cfg(not(target_arch = "x86_64"))]
    call!(
        __NR_newfstatat,
        dir.reg(),
        path.as_ptr(),
        &mut stat as *mut raw::stat,
        flags
    )?;
    #[allow(clippy::unnecessary_cast)] // widths differ by architecture
    Ok(crate::fd::Stat {
        mode: stat.st_mode as u32,
        uid: stat.st_uid as u32,
        gid: stat.st_gid as u32,
        rdev: stat.st_rdev as u64,
        inode: stat.st_ino as u64,
        dev: stat.st_dev as u64,
        size: stat.st_size as u64,
    })
}

/// The kernel's encoding of a device number (what mknod(2) takes and st_rdev shows).
pub const fn device(major: u32, minor: u32) -> u64 {
    (minor & 0xff) as u64 | ((major & 0xfff) as u64) << 8 | ((minor & !0xff) as u64) << 12
}

/// getdents64(2): fills the buffer with whole records; 0 at the end.
pub fn list(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    call!(__NR_getdents64, fd.reg(), buffer.as_mut_ptr(), buffer.len())
}

/// The records of a buffer filled by [`list`]: names without `.` and `..`.
pub fn entries(buffer: &[u8]) -> impl Iterator<Item = &CStr> {
    let mut rest = buffer;
    core::iter::from_fn(move || {
        loop {
            let length = usize::from(u16::from_ne_bytes([*rest.get(16)?, *rest.get(17)?]));
            let record = rest.get(..length)?;
            rest = rest.get(length..)?;
            let name = CStr::from_bytes_until_nul(record.get(19..)?).ok()?;
            if name != c"." && name != c".." {
                return Some(name);
            }
        }
    })
}

#[allow(missing_docs)] // open(2)'s names
pub mod flags {
    use linux_raw_sys::general as raw;
    pub const PATH: u32 = raw::O_PATH;
    pub const NOFOLLOW: u32 = raw::O_NOFOLLOW;
    pub const DIRECTORY: u32 = raw::O_DIRECTORY;
    pub const READ: u32 = raw::O_RDONLY;
    pub const WRITE: u32 = raw::O_WRONLY;
    pub const READ_WRITE: u32 = raw::O_RDWR;
    pub const CREATE: u32 = raw::O_CREAT;
    pub const EXCLUSIVE: u32 = raw::O_EXCL;
    pub const TRUNCATE: u32 = raw::O_TRUNC;
    pub const NOCTTY: u32 = raw::O_NOCTTY;
    pub const NONBLOCK: u32 = raw::O_NONBLOCK;
    pub const SYMLINK_NOFOLLOW: u32 = raw::AT_SYMLINK_NOFOLLOW;
    pub const S_IFMT: u32 = raw::S_IFMT;
    pub const S_IFDIR: u32 = raw::S_IFDIR;
    pub const S_IFREG: u32 = raw::S_IFREG;
    pub const S_IFLNK: u32 = raw::S_IFLNK;
    pub const S_IFCHR: u32 = raw::S_IFCHR;
    pub const S_IFBLK: u32 = raw::S_IFBLK;
    pub const S_IFIFO: u32 = raw::S_IFIFO;
}
