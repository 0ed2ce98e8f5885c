//! File descriptors: numbers, small reads and writes, close-on-exec.
use crate::arch::call;
use crate::{Errno, Result};
use linux_raw_sys::general as raw;

/// A file descriptor number, without ownership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fd(i32);

impl Fd {
    /// The current directory, for the `*at` calls.
    pub const CWD: Fd = Fd(raw::AT_FDCWD);
    /// Lends a number for a call; the kernel checks it.
    pub const fn new(number: i32) -> Fd {
        Fd(number)
    }
    /// The number.
    pub const fn number(self) -> i32 {
        self.0
    }
    pub(crate) const fn reg(self) -> usize {
        self.0 as isize as usize
    }
    pub(crate) const fn of(value: usize) -> Fd {
        Fd(value as i32)
    }
}

/// close(2).
pub fn close(fd: Fd) {
    let _ = call!(__NR_close, fd.reg());
}

/// fcntl(F_DUPFD_CLOEXEC): the lowest free number from `least` on.
pub fn dup_from(fd: Fd, least: i32) -> Result<Fd> {
    call!(__NR_fcntl, fd.reg(), raw::F_DUPFD_CLOEXEC, least).map(Fd::of)
}

/// dup3(2) without close-on-exec; `fd` equal to `to` only clears the flag.
pub fn dup_to(fd: Fd, to: i32) -> Result<()> {
    if fd.number() == to {
        return call!(__NR_fcntl, fd.reg(), raw::F_SETFD, 0).map(drop);
    }
    call!(__NR_dup3, fd.reg(), to, 0).map(drop)
}

/// fcntl(F_SETFD, FD_CLOEXEC).
pub fn set_cloexec(fd: Fd) -> Result<()> {
    call!(__NR_fcntl, fd.reg(), raw::F_SETFD, raw::FD_CLOEXEC).map(drop)
}

/// close_range(2) with CLOSE_RANGE_CLOEXEC from `first` to the end; before Linux 5.11 one fcntl(2) for each number.
pub fn cloexec_from(first: u32) -> Result<()> {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    match call!(__NR_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) {
        Err(Errno::EINVAL | Errno::ENOSYS) => cloexec_each(first),
        other => other.map(drop),
    }
}

/// Marks each number up to the hard limit. A list in /proc would be shorter, but what is mounted there may be the container's.
fn cloexec_each(first: u32) -> Result<()> {
    // A limit that was lowered since does not close what is above it.
    const LEAST: u64 = 4096;
    const MOST: u64 = 1 << 20;
    let mut limit = [0u64; 2];
    call!(__NR_prlimit64, 0, raw::RLIMIT_NOFILE, 0, limit.as_mut_ptr())?;
    for number in u64::from(first)..limit[1].clamp(LEAST, MOST) {
        let _ = set_cloexec(Fd::new(number as i32));
    }
    Ok(())
}

/// read(2), restarted on EINTR.
pub fn read(fd: Fd, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match call!(__NR_read, fd.reg(), buffer.as_mut_ptr(), buffer.len()) {
            Err(Errno::EINTR) => continue,
            other => return other,
        }
    }
}

/// write(2), once, restarted on EINTR.
pub fn write(fd: Fd, bytes: &[u8]) -> Result<usize> {
    loop {
        match call!(__NR_write, fd.reg(), bytes.as_ptr(), bytes.len()) {
            Err(Errno::EINTR) => continue,
            other => return other,
        }
    }
}

/// One write(2) that must take all.
pub fn write_whole(fd: Fd, bytes: &[u8]) -> Result<()> {
    match write(fd, bytes) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(Errno::EIO),
        Err(e) => Err(e),
    }
}

/// lseek(2) to the start.
pub fn rewind(fd: Fd) -> Result<()> {
    call!(__NR_lseek, fd.reg(), 0, 0).map(drop)
}

/// sendfile(2)-free copy with a bounded buffer: all of `from` into `to`.
pub fn copy(from: Fd, to: Fd) -> Result<()> {
    let mut buffer = [0u8; 8192];
    loop {
        let n = read(from, &mut buffer)?;
        let Some(mut rest) = buffer.get(..n).filter(|rest| !rest.is_empty()) else {
            return Ok(());
        };
        while !rest.is_empty() {
            let done = write(to, rest)?;
            rest = rest.get(done..).ok_or(Errno::EIO)?;
        }
    }
}

/// poll(2) for input on one fd; `None` waits for ever, else milliseconds. False on time-out.
pub fn wait_readable(fd: Fd, timeout_ms: Option<u32>) -> Result<bool> {
    let mut entry = raw::pollfd {
        fd: fd.number(),
        events: raw::POLLIN as i16,
        revents: 0,
    };
    let time = timeout_ms.map(|ms| raw::__kernel_timespec {
        tv_sec: i64::from(ms / 1000),
        tv_nsec: i64::from(ms % 1000) * 1_000_000,
    });
    let time_ptr = time
        .as_ref()
        .map_or(core::ptr::null(), |t| t as *const raw::__kernel_timespec);
    loop {
        match call!(
            __NR_ppoll,
            &mut entry as *mut raw::pollfd,
            1,
            time_ptr,
            0,
            0
        ) {
            Err(Errno::EINTR) => continue,
            other => return other.map(|n| n > 0),
        }
    }
}

/// What fstat(2) says that Tare needs.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// S_IF* and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a node.
    pub rdev: u64,
    /// Inode.
    pub inode: u64,
    /// Device that holds it.
    pub dev: u64,
    /// Bytes.
    pub size: u64,
}

impl Stat {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFDIR
    }
    /// Whether it is the character device of these numbers.
    pub fn is_char(&self, major: u32, minor: u32) -> bool {
        self.mode & raw::S_IFMT == raw::S_IFCHR && self.rdev == crate::path::device(major, minor)
    }
}

/// newfstatat(2) with AT_EMPTY_PATH.
pub fn stat(fd: Fd) -> Result<Stat> {
    crate::path::stat_at(fd, c"", raw::AT_EMPTY_PATH)
}

/// fstatfs(2): the filesystem's magic number.
pub fn filesystem_magic(fd: Fd) -> Result<u64> {
    // struct statfs is at most 120 bytes; f_type is its first word.
    let mut buffer = [0u64; 16];
    call!(__NR_fstatfs, fd.reg(), buffer.as_mut_ptr())?;
    Ok(buffer[0])
}

/// fchown(2).
pub fn chown(fd: Fd, uid: u32, gid: u32) -> Result<()> {
    call!(
        __NR_fchownat,
        fd.reg(),
        c"".as_ptr(),
        uid,
        gid,
        raw::AT_EMPTY_PATH
    )
    .map(drop)
}

/// fchmod(2); the fd must not be O_PATH.
pub fn chmod(fd: Fd, mode: u32) -> Result<()> {
    call!(__NR_fchmod, fd.reg(), mode).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_way_marks_what_is_open() {
        let fd = Fd::of(call!(__NR_fcntl, 0, raw::F_DUPFD, 700).unwrap());
        let flags = || call!(__NR_fcntl, fd.reg(), raw::F_GETFD).unwrap();
        assert_eq!(flags(), 0);
        cloexec_each(fd.number() as u32 + 1).unwrap();
        assert_eq!(flags(), 0, "below the first number");
        cloexec_each(fd.number() as u32).unwrap();
        assert_eq!(flags(), raw::FD_CLOEXEC as usize);
        close(fd);
    }
}
