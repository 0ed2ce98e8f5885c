//! A caller in a chroot.
use crate::{fs, mount};
use tare_sys::{Result, fd, mount as sys};

const MS_REC: u32 = 1 << 14;
const MS_SLAVE: u32 = 1 << 19;

/// A caller in a chroot is not at the root of its mount namespace: a later pivot_root would put the container at the chroot's place
/// and leave all the host's tree around it, for whoever can chroot(2) to walk out into, and for each `exec` to begin in. So the
/// chroot becomes the namespace's root first, and the rest goes.
///
/// Joining the namespace that one is in leads to its root. Whoever may not do that may not chroot either, and is left where he is.
pub(crate) fn leave() -> Result<()> {
    let here = fs::open_root()?;
    let before = sys::mount_id(here);
    if tare_sys::ns::go_to_root().is_err() || root_mount() == before {
        fd::close(here);
        return Ok(());
    }
    sys::change(c"/", MS_SLAVE | MS_REC)?;
    let root = if sys::is_mount_root(here)? {
        here
    } else {
        let tree = sys::clone_tree(here, c"", true)?;
        sys::move_mount(tree, here)?;
        fd::close(here);
        tree
    };
    mount::pivot(root, false)?;
    fd::close(root);
    Ok(())
}

fn root_mount() -> Result<u64> {
    let root = fs::open_root()?;
    let id = sys::mount_id(root);
    fd::close(root);
    id
}
