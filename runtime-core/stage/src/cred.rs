//! Ids, capabilities, keyring.
use core::ffi::CStr;
use tare_sys::{Errno, Result, cred};

/// The ids 0:0 of a new user namespace, now that it has maps; the ambient set served only the exec of this program.
pub(crate) fn become_root(clear_groups: bool) -> Result<()> {
    let dumpable = cred::is_dumpable();
    cred::set_gid(0)?;
    if clear_groups {
        cred::set_groups(&[])?;
    }
    cred::keep_capabilities(true)?;
    cred::set_uid(0)?;
    cred::keep_capabilities(false)?;
    cred::clear_ambient()?;
    let mut sets = cred::capabilities()?;
    sets.inheritable = 0;
    sets.effective = sets.permitted;
    cred::set_capabilities(sets)?;
    // A change of ids makes the process non-dumpable, which gives its /proc files to the outer root. Only what was dumpable
    // becomes so again: a process that has joined a container stays closed to it (CVE-2016-9962).
    if dumpable {
        cred::set_dumpable(true)
    } else {
        Ok(())
    }
}

/// A session keyring of its own; that the user may search it is a courtesy that older kernels or policies refuse.
pub(crate) fn join_keyring(name: &CStr) -> Result<()> {
    let keyring = cred::join_keyring(name)?;
    let _ = cred::let_user_search(keyring);
    Ok(())
}

/// Drops every capability but these from the bounding set.
pub(crate) fn bound(keep: u64) -> Result<()> {
    for capability in 0..64 {
        if keep >> capability & 1 == 1 {
            continue;
        }
        match cred::drop_bounding(capability) {
            Ok(()) => {}
            Err(Errno::EINVAL) => return Ok(()),
            // A set that lacks it already needs no right to drop it.
            // The kernel asks for the right before it looks at the number: past the last capability, too.
            Err(Errno::EPERM) => match cred::in_bounding(capability) {
                Ok(false) => {}
                Err(Errno::EINVAL) => return Ok(()),
                _ => return Err(Errno::EPERM),
            },
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// gid, then uid; the permitted set stays, the effective one ends, so what follows is judged by the user's own rights.
pub(crate) fn set_ids(uid: u32, gid: u32) -> Result<()> {
    cred::keep_capabilities(true)?;
    cred::set_gid(gid)?;
    cred::set_uid(uid)?;
    cred::keep_capabilities(false)
}

pub(crate) fn raise_ambient(mask: u64) -> Result<()> {
    for capability in 0..64 {
        if mask >> capability & 1 == 1 {
            cred::raise_ambient(capability)?;
        }
    }
    Ok(())
}
