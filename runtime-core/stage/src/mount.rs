//! Mounts by fd: new filesystems, binds, the root, masks.
use crate::fs::Spot;
use crate::op::Attr;
use crate::open_beneath;
use crate::parent::Parent;
use crate::program::List;
use crate::run::Machine;
use crate::text::PathBuffer;
use crate::{copy_up, fs};
use core::ffi::CStr;
use tare_sys::mount::{self as sys, Change};
use tare_sys::path::{Resolve, flags, open};
use tare_sys::{Errno, Fd, Result, fd};

const RDONLY: u32 = 1;
const NOSUID: u32 = 2;
const NODEV: u32 = 4;
const NOEXEC: u32 = 8;
const MS_BIND: u32 = 4096;
const MS_REC: u32 = 16384;
const MS_REMOUNT: u32 = 32;
const MS_PRIVATE: u32 = 1 << 18;
const MS_SLAVE: u32 = 1 << 19;
/// Kind of a destination that has to be made: see `lower`.
pub const KIND_DIRECTORY: u32 = 0;
/// A file.
pub const KIND_FILE: u32 = 1;

pub(crate) fn close(mount: Fd) {
    fd::close(mount);
}

/// fsopen, options, fsmount, attributes, perhaps the old contents, then on its destination.
#[allow(clippy::too_many_arguments)] // the op's fields
pub(crate) fn filesystem<'p>(
    parent: &mut Parent<'p>,
    root: Fd,
    fstype: &CStr,
    source: &CStr,
    dest: &'p CStr,
    attr: Attr,
    options: List<'_>,
    copy_up: bool,
    no_symlink: bool,
) -> Result<Fd> {
    let spot = if no_symlink {
        parent.forget();
        Spot::There(plain_directory(root, dest)?)
    } else {
        fs::mount_point(parent, root, dest)?
    };
    let context = sys::fs_open(fstype)?;
    if !source.is_empty() {
        sys::fs_string(context, c"source", source)?;
    }
    if let Spot::There(covered) = spot
        && fstype == c"tmpfs"
        && !names(options, c"mode")
    {
        keep_mode(context, covered)?;
    }
    apply(context, options)?;
    sys::fs_create(context)?;
    // A read-only mount can't take the copy; it becomes so afterwards.
    let late = if copy_up { attr.set & RDONLY } else { 0 };
    let mounted = sys::fs_mount(context, u64::from(attr.set & !late))?;
    fd::close(context);
    if copy_up {
        let how = flags::PATH | flags::DIRECTORY | flags::NOFOLLOW;
        let covered = match spot {
            Spot::There(at) | Spot::Made(at) => fd::dup_from(at, 0)?,
            Spot::New(directory, name) => open(directory, name, how, 0)?,
        };
        copy_up::directory(covered, mounted)?;
        fd::close(covered);
    }
    // fsmount(2) has set the rest; clearing its atime bits again would undo it.
    let attr = Attr {
        set: late,
        clear: 0,
        ..attr
    };
    change_and_move(mounted, spot, attr)?;
    propagate(mounted, attr.propagation)?;
    spot.close();
    Ok(mounted)
}

/// A directory of the image keeps its mode under a tmpfs that states none.
#[inline(never)]
fn keep_mode(context: Fd, target: Fd) -> Result<()> {
    let mut mode = PathBuffer::new();
    mode.push_octal(fd::stat(target)?.mode & 0o7777)?;
    sys::fs_string(context, c"mode", mode.as_c()?)
}

/// A detached tree on its destination. One that the host opened is the host's peer, whatever the namespaces, until it is made
/// a slave: what the container mounts in it would appear on the host.
#[allow(clippy::too_many_arguments)] // the op's fields
pub(crate) fn place<'p>(
    parent: &mut Parent<'p>,
    root: Fd,
    tree: Fd,
    dest: &'p CStr,
    kind: u32,
    attr: Attr,
    idmap: Option<Fd>,
    idmap_recursive: bool,
    from_host: bool,
) -> Result<()> {
    let directory = match kind {
        KIND_DIRECTORY => true,
        KIND_FILE => false,
        _ => fd::stat(tree)?.is_directory(),
    };
    let spot = if directory {
        fs::mount_point(parent, root, dest)?
    } else {
        parent.forget();
        Spot::There(fs::make_file(root, dest)?)
    };
    if let Some(userns) = idmap {
        sys::set_attributes(
            tree,
            Change {
                userns: Some(userns),
                ..Change::default()
            },
            idmap_recursive,
        )?;
    }
    change_and_move(tree, spot, attr)?;
    if from_host {
        propagate(tree, MS_SLAVE | MS_REC)?;
    }
    propagate(tree, attr.propagation)?;
    spot.close();
    Ok(())
}

/// New attributes of a detached mount and its place; kernels before 5.12 change only what has its place.
fn change_and_move(mount: Fd, spot: Spot<'_>, attr: Attr) -> Result<()> {
    let early = change(mount, attr);
    if early != Err(Errno::ENOSYS) {
        early?;
    }
    spot.put(mount)?;
    if early == Err(Errno::ENOSYS) {
        change_by_path(mount, attr)?;
    }
    Ok(())
}

/// New attributes of what is mounted at a path, and new options of its superblock.
pub(crate) fn remount_at(root: Fd, dest: &CStr, attr: Attr, options: List<'_>) -> Result<()> {
    let target = open_beneath(root, dest, flags::PATH, 0, Resolve::InRoot)?;
    let result = remount(target, attr, options);
    fd::close(target);
    result
}

/// The same for a mount that this process made.
pub(crate) fn remount(mount: Fd, attr: Attr, options: List<'_>) -> Result<()> {
    if options.count() > 0 {
        let context = sys::fs_pick(mount)?;
        apply(context, options)?;
        sys::fs_reconfigure(context)?;
        fd::close(context);
    }
    match change(mount, attr) {
        Err(Errno::ENOSYS) => change_by_path(mount, attr)?,
        result => result?,
    }
    propagate(mount, attr.propagation)
}

/// Binds the rootfs on itself; with a tree from the host (the path may be out of reach) on top of `/`, for pivot_root only.
///
/// What is mounted in it must not appear on the host: where the caller's mounts are shared with the host's (`shared`), the root's
/// parent becomes private; there, and where the tree was taken from the host's, what came with the root becomes a slave.
pub(crate) fn bind_root(path: &CStr, tree: Option<Fd>, shared: bool) -> Result<Fd> {
    let target = match tree {
        Some(_) => fs::open_root()?,
        None => open(Fd::CWD, path, flags::PATH | flags::DIRECTORY, 0)?,
    };
    if shared {
        make_parent_private(target)?;
    }
    let root = match tree {
        Some(tree) => tree,
        None => sys::clone_tree(target, c"", true)?,
    };
    sys::move_mount(root, target)?;
    fd::close(target);
    if shared || tree.is_some() {
        propagate(root, MS_SLAVE | MS_REC)?;
    }
    propagate(root, MS_PRIVATE)?;
    Ok(root)
}

/// pivot_root refuses a root whose parent mount is shared: the mount that holds the path is made private (in this namespace).
fn make_parent_private(path: Fd) -> Result<()> {
    let mut here = fd::dup_from(path, 0)?;
    for _ in 0..256 {
        if sys::is_mount_root(here)? {
            let result = propagate(here, MS_PRIVATE);
            fd::close(here);
            return result;
        }
        let up = open(here, c"..", flags::PATH | flags::DIRECTORY, 0)?;
        fd::close(here);
        here = up;
    }
    Err(Errno::ELOOP)
}

/// The new root becomes `/`; the old one, which pivot_root stacked on it, goes.
///
/// Where the old tree is shared with the host it is made a slave first, or the host would see the detach. That takes an fd of
/// it (`.` is the new root, whose propagation is not to change), and the close of that fd waits for the kernel's grace period:
/// so only there.
pub(crate) fn pivot(root: Fd, old_is_shared: bool) -> Result<()> {
    let old = if old_is_shared {
        Some(fs::open_root()?)
    } else {
        None
    };
    tare_sys::path::fchdir(root)?;
    sys::pivot_here()?;
    if let Some(old) = old {
        tare_sys::path::fchdir(old)?;
        sys::change(c".", MS_SLAVE | MS_REC)?;
        fd::close(old);
    }
    sys::detach(c".")?;
    tare_sys::path::chdir(c"/")
}

/// MS_MOVE and chroot.
pub(crate) fn move_root(root: Fd) -> Result<()> {
    tare_sys::path::fchdir(root)?;
    sys::move_path(c".", c"/")?;
    tare_sys::path::chroot(c".")?;
    tare_sys::path::chdir(c"/")
}

pub(crate) fn chroot(root: Fd) -> Result<()> {
    tare_sys::path::fchdir(root)?;
    tare_sys::path::chroot(c".")?;
    tare_sys::path::chdir(c"/")
}

pub(crate) fn root_readonly() -> Result<()> {
    let root = fs::open_root()?;
    let attr = Attr {
        set: RDONLY,
        ..Attr::default()
    };
    let result = match change(root, attr) {
        Err(Errno::ENOSYS) => change_by_path(root, attr),
        result => result,
    };
    fd::close(root);
    result
}

/// Null over a file, an empty read-only tmpfs over a directory (one for all of them); what is absent needs no mask.
pub(crate) fn mask(m: &mut Machine<'_>, path: &CStr, null: u16) -> Result<()> {
    let target = match restricted(m, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other?,
    };
    if fd::stat(target)?.is_directory() {
        match m.empty {
            Some(empty) => {
                let tree = sys::clone_tree(empty, c"", false)?;
                sys::move_mount(tree, target)?;
                fd::close(tree);
            }
            None => {
                let context = sys::fs_open(c"tmpfs")?;
                sys::fs_string(context, c"source", c"tmpfs")?;
                sys::fs_string(context, c"nr_inodes", c"2")?;
                sys::fs_flag(context, c"ro")?;
                sys::fs_create(context)?;
                let empty = sys::fs_mount(context, u64::from(RDONLY | NOSUID | NODEV | NOEXEC))?;
                fd::close(context);
                sys::move_mount(empty, target)?;
                m.empty = Some(empty);
            }
        }
    } else {
        #[cfg(feature = "proof")]
        if crate::weaken::lacks(crate::weaken::NULL) {
            let tree = sys::clone_tree(Fd::CWD, c"/dev/null", false)?;
            return sys::move_mount(tree, target);
        }
        let null = m.slot(null)?;
        if m.null_placed {
            let tree = sys::clone_tree(null, c"", false)?;
            sys::move_mount(tree, target)?;
            fd::close(tree);
        } else {
            // A detached mount can't be cloned before Linux 6.15; once it has its first place it can.
            sys::move_mount(null, target)?;
            m.null_placed = true;
        }
    }
    fd::close(target);
    Ok(())
}

/// What is to be hidden or closed. Files of the kernel are looked for in the filesystem that was mounted for them.
fn restricted(m: &mut Machine<'_>, path: &CStr) -> Result<Fd> {
    match m.held.beneath(path) {
        Some((mount, rest)) => open_beneath(mount, rest, flags::PATH, 0, Resolve::InRoot),
        None => open(Fd::CWD, path, flags::PATH, 0),
    }
}

/// The path bound on itself, read-only with all beneath; what is absent needs none.
pub(crate) fn readonly_path(m: &mut Machine<'_>, path: &CStr) -> Result<()> {
    let target = match restricted(m, path) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        other => other?,
    };
    let tree = sys::clone_tree(target, c"", true)?;
    let attr = Attr {
        set_recursive: RDONLY,
        ..Attr::default()
    };
    let early = change(tree, attr);
    if early != Err(Errno::ENOSYS) {
        early?;
    }
    sys::move_mount(tree, target)?;
    if early == Err(Errno::ENOSYS) {
        change_by_path(
            tree,
            Attr {
                set: RDONLY,
                ..Attr::default()
            },
        )?;
    }
    fd::close(tree);
    fd::close(target);
    Ok(())
}

/// A destination none of whose components is a symlink: procfs and sysfs must be where they seem to be.
fn plain_directory(root: Fd, dest: &CStr) -> Result<Fd> {
    let bytes = dest.to_bytes_with_nul();
    let start = bytes.iter().position(|b| *b != b'/').unwrap_or(0);
    let relative = bytes
        .get(start..)
        .and_then(|rest| CStr::from_bytes_with_nul(rest).ok())
        .filter(|rest| !rest.is_empty())
        .unwrap_or(c".");
    let how = flags::PATH | flags::DIRECTORY;
    match open_beneath(root, relative, how, 0, Resolve::NoSymlinks) {
        Err(Errno::ENOENT) => {
            fd::close(fs::make_directory(root, dest, 0o755)?);
            open_beneath(root, relative, how, 0, Resolve::NoSymlinks)
        }
        found => found,
    }
}

/// Whether the pairs of key and value have this key.
fn names(options: List<'_>, key: &CStr) -> bool {
    options.iter().step_by(2).any(|word| word == key)
}

/// Pairs of key and value; an empty value is a flag word.
fn apply(context: Fd, options: List<'_>) -> Result<()> {
    let mut words = options.iter();
    while let (Some(key), Some(value)) = (words.next(), words.next()) {
        if value.is_empty() {
            sys::fs_flag(context, key)?;
        } else {
            sys::fs_string(context, key, value)?;
        }
    }
    Ok(())
}

fn change(mount: Fd, attr: Attr) -> Result<()> {
    if attr.set != 0 || attr.clear != 0 {
        let change = Change {
            set: u64::from(attr.set),
            clear: u64::from(attr.clear),
            ..Change::default()
        };
        sys::set_attributes(mount, change, false)?;
    }
    if attr.set_recursive != 0 || attr.clear_recursive != 0 {
        let change = Change {
            set: u64::from(attr.set_recursive),
            clear: u64::from(attr.clear_recursive),
            ..Change::default()
        };
        sys::set_attributes(mount, change, true)?;
    }
    Ok(())
}

/// Kernels before 5.12 have no mount_setattr: a bind remount with the flags that are there.
fn change_by_path(mount: Fd, attr: Attr) -> Result<()> {
    const TABLE: [(u32, u32); 8] = [
        (RDONLY, 1),
        (NOSUID, 2),
        (NODEV, 4),
        (NOEXEC, 8),
        (0x10, 1024),
        (0x20, 1 << 24),
        (0x80, 2048),
        (0x0020_0000, 256),
    ];
    if attr.set_recursive != 0 || attr.clear_recursive != 0 {
        return Err(Errno::ENOSYS);
    }
    // The bits of access times are a field: clearing it goes with setting one of its values.
    let known = TABLE.iter().fold(0x70, |all, (new, _)| all | new);
    if (attr.set | attr.clear) & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let mut flags = sys::old_flags(mount)?;
    for (new, old) in TABLE {
        if attr.clear & new != 0 {
            flags &= !old;
        }
        if attr.set & new != 0 {
            flags |= old;
        }
    }
    by_path(mount, flags | MS_REMOUNT | MS_BIND)
}

/// mount(2) on what an fd stands on: a directory through `.`, since there may be no /proc; a file through /proc.
#[cold]
#[inline(never)]
fn by_path(mount: Fd, change: u32) -> Result<()> {
    if fd::stat(mount)?.is_directory() {
        let before = open(Fd::CWD, c".", flags::PATH | flags::DIRECTORY, 0)?;
        tare_sys::path::fchdir(mount)?;
        let result = sys::change(c".", change);
        tare_sys::path::fchdir(before)?;
        fd::close(before);
        return result;
    }
    let mut path = PathBuffer::new();
    path.push(b"/proc/self/fd/")?;
    path.push_number(mount.number().unsigned_abs().into())?;
    sys::change(path.as_c()?, change)
}

fn propagate(mount: Fd, flags: u32) -> Result<()> {
    if flags == 0 {
        return Ok(());
    }
    let kind = flags & !MS_REC;
    match sys::set_attributes(
        mount,
        Change {
            propagation: u64::from(kind),
            ..Change::default()
        },
        flags & MS_REC != 0,
    ) {
        Err(Errno::ENOSYS) => by_path(mount, flags),
        result => result,
    }
}
