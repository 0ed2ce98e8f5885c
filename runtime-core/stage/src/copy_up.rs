//! `tmpcopyup`: what a directory holds, into the filesystem that will cover it. Bounded depth, no allocation.
use tare_sys::path::{self, entries, flags, list, open, stat_at};
use tare_sys::{Errno, Fd, Result, fd};

const DEPTH: u32 = 48;

/// Contents, modes, owners, links and nodes of `from` into `to`; sockets are left out.
pub(crate) fn directory(from: Fd, to: Fd) -> Result<()> {
    let from = open(from, c".", flags::READ | flags::DIRECTORY, 0)?;
    let to = open(to, c".", flags::READ | flags::DIRECTORY, 0)?;
    let stat = fd::stat(from)?;
    let result = contents(from, to, DEPTH);
    fd::chown(to, stat.uid, stat.gid)?;
    fd::chmod(to, stat.mode & 0o7777)?;
    fd::close(from);
    fd::close(to);
    result
}

fn contents(from: Fd, to: Fd, depth: u32) -> Result<()> {
    let below = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
    let mut buffer = [0u8; 2048];
    loop {
        let n = list(from, &mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        for name in entries(buffer.get(..n).unwrap_or_default()) {
            let stat = stat_at(from, name, flags::SYMLINK_NOFOLLOW)?;
            match stat.mode & flags::S_IFMT {
                flags::S_IFDIR => {
                    path::mkdir(to, name, 0o700)?;
                    let (a, b) = (
                        open(
                            from,
                            name,
                            flags::READ | flags::DIRECTORY | flags::NOFOLLOW,
                            0,
                        )?,
                        open(
                            to,
                            name,
                            flags::READ | flags::DIRECTORY | flags::NOFOLLOW,
                            0,
                        )?,
                    );
                    contents(a, b, below)?;
                    finish(b, &stat)?;
                    fd::close(a);
                    fd::close(b);
                }
                flags::S_IFREG => {
                    // Without waiting: it may have become a fifo.
                    let wary = flags::READ | flags::NOFOLLOW | flags::NONBLOCK | flags::NOCTTY;
                    let a = open(from, name, wary, 0)?;
                    if fd::stat(a)?.mode & flags::S_IFMT != flags::S_IFREG {
                        return Err(Errno::ESTALE);
                    }
                    let b = open(
                        to,
                        name,
                        flags::WRITE | flags::CREATE | flags::EXCLUSIVE | flags::NOFOLLOW,
                        0o600,
                    )?;
                    fd::copy(a, b)?;
                    finish(b, &stat)?;
                    fd::close(a);
                    fd::close(b);
                }
                flags::S_IFLNK => {
                    let mut target = [0u8; 4097];
                    let length =
                        path::readlink(from, name, target.get_mut(..4096).unwrap_or_default())?
                            .len();
                    let text = target
                        .get(..=length)
                        .and_then(|t| core::ffi::CStr::from_bytes_with_nul(t).ok())
                        .ok_or(Errno::ENAMETOOLONG)?;
                    path::symlink(text, to, name)?;
                    owned(to, name, &stat)?;
                }
                flags::S_IFCHR | flags::S_IFBLK | flags::S_IFIFO => {
                    path::mknod(to, name, stat.mode, stat.rdev)?;
                    owned(to, name, &stat)?;
                }
                _ => {}
            }
        }
    }
}

/// What can't be opened gets its owner too. Nobody else sees `to` yet: the name leads to what was just made.
fn owned(to: Fd, name: &core::ffi::CStr, stat: &fd::Stat) -> Result<()> {
    let made = open(to, name, flags::PATH | flags::NOFOLLOW, 0)?;
    let result = fd::chown(made, stat.uid, stat.gid);
    fd::close(made);
    result
}

fn finish(made: Fd, stat: &fd::Stat) -> Result<()> {
    fd::chown(made, stat.uid, stat.gid)?;
    fd::chmod(made, stat.mode & 0o7777)
}
