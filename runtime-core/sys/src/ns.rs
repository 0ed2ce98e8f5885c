//! Namespaces: join, leave, name.
use crate::arch::call;
use crate::{Fd, Result};
use core::ffi::CStr;
use linux_raw_sys::general as raw;

/// setns(2): a namespace file with its one CLONE_NEW* bit, or a pidfd with several.
pub fn join(fd: Fd, kinds: u32) -> Result<()> {
    call!(__NR_setns, fd.reg(), kinds).map(drop)
}

/// Joins the mount namespace that the caller is in, which makes its root the caller's root and working directory.
///
/// EINVAL before Linux 5.8, where a pidfd is no namespace; EPERM without CAP_SYS_CHROOT.
pub fn go_to_root() -> Result<()> {
    let own = crate::process::open(crate::process::pid())?;
    let gone = join(own, raw::CLONE_NEWNS);
    crate::fd::close(own);
    gone
}

/// unshare(2).
pub fn unshare(kinds: u32) -> Result<()> {
    call!(__NR_unshare, kinds).map(drop)
}

/// sethostname(2).
pub fn set_hostname(name: &CStr) -> Result<()> {
    call!(__NR_sethostname, name.as_ptr(), name.count_bytes()).map(drop)
}

/// setdomainname(2).
pub fn set_domainname(name: &CStr) -> Result<()> {
    call!(__NR_setdomainname, name.as_ptr(), name.count_bytes()).map(drop)
}

/// NS_GET_NSTYPE: the CLONE_NEW* bit of a namespace file; ENOTTY for any other file.
pub fn kind(fd: Fd) -> Result<u32> {
    const NS_GET_NSTYPE: u32 = 0xb703;
    call!(__NR_ioctl, fd.reg(), NS_GET_NSTYPE, 0).map(|kind| kind as u32)
}

/// Joins the user namespace that owns the namespace of a file (NS_GET_USERNS): single-threaded callers only.
pub fn join_owner(fd: Fd) -> Result<()> {
    const NS_GET_USERNS: u32 = 0xb701;
    let owner = call!(__NR_ioctl, fd.reg(), NS_GET_USERNS, 0).map(Fd::of)?;
    let joined = join(owner, raw::CLONE_NEWUSER);
    crate::fd::close(owner);
    joined
}
