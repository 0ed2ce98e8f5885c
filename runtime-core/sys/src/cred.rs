//! Ids, groups, capabilities, limits of the calling thread.
use crate::arch::call;
use crate::{Errno, Result};
use linux_raw_sys::general as raw;
use linux_raw_sys::prctl;

/// setgroups(2); native-endian 32-bit ids (bytes, so that they may lie unaligned in a program).
pub fn set_groups(ids: &[u8]) -> Result<()> {
    call!(__NR_setgroups, ids.len() / 4, ids.as_ptr()).map(drop)
}

/// setresgid(2), all three.
pub fn set_gid(gid: u32) -> Result<()> {
    call!(__NR_setresgid, gid, gid, gid).map(drop)
}

/// setresuid(2), all three.
pub fn set_uid(uid: u32) -> Result<()> {
    call!(__NR_setresuid, uid, uid, uid).map(drop)
}

/// PR_SET_KEEPCAPS: keep the permitted set over set_uid.
pub fn keep_capabilities(keep: bool) -> Result<()> {
    control(prctl::PR_SET_KEEPCAPS, usize::from(keep), 0)
}

/// PR_CAPBSET_DROP; EINVAL for a number that this kernel doesn't have.
pub fn drop_bounding(capability: u32) -> Result<()> {
    control(prctl::PR_CAPBSET_DROP, capability as usize, 0)
}

/// PR_CAPBSET_READ: whether it is still in the bounding set.
pub fn in_bounding(capability: u32) -> Result<bool> {
    call!(__NR_prctl, prctl::PR_CAPBSET_READ, capability, 0, 0, 0).map(|v| v == 1)
}

/// PR_CAP_AMBIENT_RAISE.
pub fn raise_ambient(capability: u32) -> Result<()> {
    control(
        prctl::PR_CAP_AMBIENT,
        prctl::PR_CAP_AMBIENT_RAISE as usize,
        capability as usize,
    )
}

/// PR_CAP_AMBIENT_CLEAR_ALL.
pub fn clear_ambient() -> Result<()> {
    control(
        prctl::PR_CAP_AMBIENT,
        prctl::PR_CAP_AMBIENT_CLEAR_ALL as usize,
        0,
    )
}

/// Effective, permitted and inheritable sets as masks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// In force.
    pub effective: u64,
    /// May be made effective.
    pub permitted: u64,
    /// Kept by an exec of a file with inheritable bits.
    pub inheritable: u64,
}

const VERSION_3: u32 = 0x2008_0522;

/// capget(2) of the calling thread.
pub fn capabilities() -> Result<Capabilities> {
    let mut header = [VERSION_3, 0];
    let mut data = [0u32; 6];
    call!(__NR_capget, header.as_mut_ptr(), data.as_mut_ptr())?;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Capabilities {
        effective: join(data[0], data[3]),
        permitted: join(data[1], data[4]),
        inheritable: join(data[2], data[5]),
    })
}

/// capset(2) of the calling thread.
pub fn set_capabilities(sets: Capabilities) -> Result<()> {
    let header = [VERSION_3, 0];
    let data = [
        sets.effective as u32,
        sets.permitted as u32,
        sets.inheritable as u32,
        (sets.effective >> 32) as u32,
        (sets.permitted >> 32) as u32,
        (sets.inheritable >> 32) as u32,
    ];
    call!(__NR_capset, header.as_ptr(), data.as_ptr()).map(drop)
}

/// PR_SET_NO_NEW_PRIVS.
pub fn no_new_privileges() -> Result<()> {
    control(prctl::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// PR_SET_DUMPABLE.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    control(prctl::PR_SET_DUMPABLE, usize::from(dumpable), 0)
}

/// PR_GET_DUMPABLE: whether it is 1.
pub fn is_dumpable() -> bool {
    call!(__NR_prctl, prctl::PR_GET_DUMPABLE, 0, 0, 0, 0) == Ok(1)
}

/// prlimit64(2); pid 0 is the caller.
pub fn set_limit(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = raw::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    call!(
        __NR_prlimit64,
        pid,
        resource,
        &limit as *const raw::rlimit64,
        0
    )
    .map(drop)
}

/// umask(2).
pub fn set_umask(mask: u32) {
    let _ = call!(__NR_umask, mask);
}

/// keyctl(KEYCTL_JOIN_SESSION_KEYRING): a new session keyring by this name; its id.
pub fn join_keyring(name: &core::ffi::CStr) -> Result<i32> {
    const JOIN_SESSION_KEYRING: u32 = 1;
    call!(__NR_keyctl, JOIN_SESSION_KEYRING, name.as_ptr(), 0, 0, 0).map(|id| id as i32)
}

/// keyctl(KEYCTL_DESCRIBE, KEYCTL_SETPERM): let a keyring's user search it (crun and runc do so for podman's sake).
pub fn let_user_search(keyring: i32) -> Result<()> {
    const SETPERM: u32 = 5;
    const DESCRIBE: u32 = 6;
    let mut text = [0u8; 1024];
    let n = call!(
        __NR_keyctl,
        DESCRIBE,
        keyring,
        text.as_mut_ptr(),
        text.len(),
        0
    )?;
    // keyring;uid;gid;permissions;name
    let field = text
        .get(..n.min(text.len()))
        .and_then(|t| t.split(|b| *b == b';').nth(3))
        .ok_or(Errno::EINVAL)?;
    let mut mask = 0u32;
    for digit in field {
        mask = mask << 4 | char::from(*digit).to_digit(16).ok_or(Errno::EINVAL)?;
    }
    const USER_SEARCH: u32 = 0x0008_0000;
    call!(__NR_keyctl, SETPERM, keyring, mask | USER_SEARCH, 0, 0).map(drop)
}

fn control(option: u32, a: usize, b: usize) -> Result<()> {
    call!(__NR_prctl, option, a, b, 0, 0).map(drop)
}
