//! seccomp(2).
use crate::arch::call;
use crate::{Errno, Fd, Result};

#[repr(C)]
struct Program {
    length: u16,
    filter: *const u8,
}

/// seccomp(SECCOMP_SET_MODE_FILTER): `filter` is an array of `struct sock_filter`. With the listener flag the notify fd.
pub fn install_filter(filter: &[u8], flags: u32) -> Result<Option<Fd>> {
    const SET_MODE_FILTER: u32 = 1;
    const NEW_LISTENER: u32 = 8;
    let length = u16::try_from(filter.len() / 8).map_err(|_| Errno::E2BIG)?;
    let program = Program {
        length,
        filter: filter.as_ptr(),
    };
    let result = call!(
        __NR_seccomp,
        SET_MODE_FILTER,
        flags,
        &program as *const Program
    )?;
    Ok((flags & NEW_LISTENER != 0).then(|| Fd::of(result)))
}

/// seccomp(SECCOMP_GET_ACTION_AVAIL).
pub fn action_available(action: u32) -> bool {
    const GET_ACTION_AVAIL: u32 = 2;
    call!(__NR_seccomp, GET_ACTION_AVAIL, 0, &action as *const u32).is_ok()
}

/// Whether seccomp(2) knows a flag: EFAULT for the absent filter says yes, EINVAL no.
pub fn flag_known(flag: u32) -> bool {
    const SET_MODE_FILTER: u32 = 1;
    call!(__NR_seccomp, SET_MODE_FILTER, flag, 0) == Err(Errno::EFAULT)
}
