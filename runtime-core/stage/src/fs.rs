//! Files, directories, nodes and links beneath the root fd; the verified procfs.
use crate::open_beneath;
use crate::parent::{self, Parent};
use crate::text::{PathBuffer, split_last};
use core::ffi::CStr;
use tare_sys::mount as sys;
use tare_sys::path::{self, Resolve, flags, open};
use tare_sys::{Errno, Fd, Result, fd};

const PROC_MAGIC: u64 = 0x9fa0;

/// The /proc that it sees, the host's or its own: a procfs, at its root.
pub(crate) fn open_proc() -> Result<Fd> {
    #[cfg(feature = "proof")]
    if crate::weaken::lacks(crate::weaken::PROC) {
        return open(Fd::CWD, c"/", flags::PATH | flags::DIRECTORY, 0);
    }
    let proc = open(
        Fd::CWD,
        c"/proc",
        flags::PATH | flags::DIRECTORY | flags::NOFOLLOW,
        0,
    )?;
    if fd::filesystem_magic(proc)? != PROC_MAGIC || fd::stat(proc)?.inode != 1 {
        return Err(Errno::EXDEV);
    }
    Ok(proc)
}

/// A detached mount of the host's /dev/null, character device 1:3: it outlives the old root.
pub(crate) fn open_null() -> Result<Fd> {
    let null = open(Fd::CWD, c"/dev/null", flags::PATH | flags::NOFOLLOW, 0)?;
    if !fd::stat(null)?.is_char(1, 3) {
        return Err(Errno::ENODEV);
    }
    let mount = tare_sys::mount::clone_tree(null, c"", false)?;
    fd::close(null);
    Ok(mount)
}

/// This process's `/`.
pub(crate) fn open_root() -> Result<Fd> {
    open(Fd::CWD, c"/", flags::PATH | flags::DIRECTORY, 0)
}

/// One write to a file of a procfs, reached without symlinks or other mounts. `self/` is this process in that procfs.
pub(crate) fn write_proc(proc: Fd, path: &CStr, text: &CStr) -> Result<()> {
    #[cfg(feature = "proof")]
    if crate::weaken::lacks(crate::weaken::PROC) {
        return crate::weaken::write_proc(path, text);
    }
    let bytes = path.to_bytes();
    let file = match bytes.strip_prefix(b"self/") {
        Some(rest) => {
            let mut number = [0u8; 32];
            let number = path::readlink(proc, c"self", &mut number)?;
            let mut full = PathBuffer::new();
            full.push(number)?;
            full.push(b"/")?;
            full.push(rest)?;
            open_beneath(proc, full.as_c()?, flags::WRITE, 0, Resolve::Strict)?
        }
        None => open_beneath(proc, path, flags::WRITE, 0, Resolve::Strict)?,
    };
    let result = match fd::filesystem_magic(file) {
        Ok(PROC_MAGIC) => fd::write_whole(file, text.to_bytes()),
        Ok(_) => Err(Errno::EXDEV),
        Err(errno) => Err(errno),
    };
    fd::close(file);
    result
}

/// mkdir -p beneath the root; an O_PATH fd of the directory. Dangling symlinks are followed by making what they name, inside.
pub(crate) fn make_directory(root: Fd, dest: &CStr, mode: u32) -> Result<Fd> {
    match open_beneath(
        root,
        dest,
        flags::PATH | flags::DIRECTORY,
        0,
        Resolve::InRoot,
    ) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    make_directory_at(root, dest.to_bytes(), mode, 8)
}

/// Where a mount is to go.
#[derive(Clone, Copy)]
pub(crate) enum Spot<'p> {
    /// On what was there.
    There(Fd),
    /// On a directory just made for it, of this name in the one that [`Parent`] keeps.
    New(Fd, &'p CStr),
    /// On a directory just made for it, opened.
    Made(Fd),
}

impl Spot<'_> {
    pub(crate) fn put(self, mount: Fd) -> Result<()> {
        match self {
            Spot::There(at) | Spot::Made(at) => sys::move_mount(mount, at),
            Spot::New(directory, name) => sys::move_mount_in(mount, directory, name),
        }
    }

    pub(crate) fn close(self) {
        match self {
            Spot::There(at) | Spot::Made(at) => fd::close(at),
            Spot::New(..) => {}
        }
    }
}

/// The directory that a mount goes on, made if absent. What is made is made in the directory that `parent` keeps from then on; over
/// one that was there before, the mount may cover that directory too, so it is forgotten.
pub(crate) fn mount_point<'p>(
    parent: &mut Parent<'p>,
    root: Fd,
    dest: &'p CStr,
) -> Result<Spot<'p>> {
    let split = parent::split(dest);
    if let Some((before, name)) = split
        && let Some(directory) = parent.kept(root, before)
        && path::mkdir(directory, name, 0o755).is_ok()
    {
        return Ok(Spot::New(directory, name));
    }
    let how = flags::PATH | flags::DIRECTORY;
    match open_beneath(root, dest, how, 0, Resolve::InRoot) {
        Err(Errno::ENOENT) => {}
        found => {
            parent.forget();
            return found.map(Spot::There);
        }
    }
    if let Some((before, name)) = split
        && let Ok(directory) = parent.open(root, before)
    {
        match path::mkdir(directory, name, 0o755) {
            Ok(()) => return Ok(Spot::New(directory, name)),
            // A link that leads nowhere, or somebody else was faster.
            Err(Errno::EEXIST | Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    parent.forget();
    make_directory(root, dest, 0o755).map(Spot::Made)
}

#[cold]
#[inline(never)]
fn make_directory_at(root: Fd, dest: &[u8], mode: u32, links: u32) -> Result<Fd> {
    let mut whole = PathBuffer::new();
    whole.push(if dest.is_empty() { b"." } else { dest })?;
    match open_beneath(
        root,
        whole.as_c()?,
        flags::PATH | flags::DIRECTORY,
        0,
        Resolve::InRoot,
    ) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    let mut made = PathBuffer::new();
    let mut here = open_beneath(
        root,
        c".",
        flags::PATH | flags::DIRECTORY,
        0,
        Resolve::InRoot,
    )?;
    let mut rest = dest;
    loop {
        let start = rest.iter().position(|b| *b != b'/').unwrap_or(rest.len());
        rest = rest.get(start..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(here);
        }
        let end = rest.iter().position(|b| *b == b'/').unwrap_or(rest.len());
        let (name, after) = rest.split_at_checked(end).ok_or(Errno::EINVAL)?;
        let before = made.as_bytes().len();
        made.push(b"/")?;
        made.push(name)?;
        let mut component = PathBuffer::new();
        component.push(name)?;
        // Two rounds: make it, then open it. A racing rename ends in ENOENT, not in a step outside.
        let mut next = open_beneath(
            root,
            made.as_c()?,
            flags::PATH | flags::DIRECTORY,
            0,
            Resolve::InRoot,
        );
        if next == Err(Errno::ENOENT) {
            match path::mkdir(here, component.as_c()?, mode) {
                Ok(()) => {
                    next = open_beneath(
                        root,
                        made.as_c()?,
                        flags::PATH | flags::DIRECTORY,
                        0,
                        Resolve::InRoot,
                    );
                }
                Err(Errno::EEXIST) if links > 0 => {
                    let mut target = [0u8; 4096];
                    let target = path::readlink(here, component.as_c()?, &mut target)
                        .map_err(|_| Errno::ENOTDIR)?;
                    let mut aim = PathBuffer::new();
                    if target.first() != Some(&b'/') {
                        aim.push(made.as_bytes().get(..before).unwrap_or_default())?;
                        aim.push(b"/")?;
                    }
                    aim.push(target)?;
                    aim.push(b"/")?;
                    aim.push(after)?;
                    fd::close(here);
                    return make_directory_at(root, aim.as_bytes(), mode, links - 1);
                }
                Err(errno) => return Err(errno),
            }
        }
        fd::close(here);
        here = next?;
        rest = after;
    }
}

/// An empty file beneath the root, with its directories; an O_PATH fd of it or of what is there already. Dangling symlinks are
/// followed by making what they name, inside.
pub(crate) fn make_file(root: Fd, dest: &CStr) -> Result<Fd> {
    match open_beneath(root, dest, flags::PATH, 0, Resolve::InRoot) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    make_file_at(root, dest, 8)
}

#[cold]
#[inline(never)]
fn make_file_at(root: Fd, dest: &CStr, links: u32) -> Result<Fd> {
    match open_beneath(root, dest, flags::PATH, 0, Resolve::InRoot) {
        Err(Errno::ENOENT) => {}
        other => return other,
    }
    let (directory, name) = parent_of(root, dest)?;
    // Exclusively: were a fifo or a device put there meanwhile, the open would wait for it or wake it.
    let how = flags::WRITE | flags::CREATE | flags::EXCLUSIVE | flags::NOFOLLOW;
    #[cfg(feature = "proof")]
    let how = if crate::weaken::lacks(crate::weaken::EXCLUSIVE) {
        how & !(flags::EXCLUSIVE | flags::NOFOLLOW)
    } else {
        how
    };
    let made = open(directory, name.as_c()?, how, 0o755);
    match made {
        Ok(file) => fd::close(file),
        Err(Errno::EEXIST) if links > 0 => {
            let mut target = [0u8; 4096];
            let target = match path::readlink(directory, name.as_c()?, &mut target) {
                // No link: somebody else's, just made.
                Err(Errno::EINVAL | Errno::ENOENT) => {
                    fd::close(directory);
                    return make_file_at(root, dest, links - 1);
                }
                target => target?,
            };
            let mut aim = PathBuffer::new();
            if target.first() != Some(&b'/') {
                aim.push(split_last(dest.to_bytes()).0)?;
                aim.push(b"/")?;
            }
            aim.push(target)?;
            fd::close(directory);
            return make_file_at(root, aim.as_c()?, links - 1);
        }
        Err(errno) => return Err(errno),
    }
    fd::close(directory);
    open_beneath(root, dest, flags::PATH, 0, Resolve::InRoot)
}

/// A device node or fifo; one of the same kind and number is taken as it is, anything else is replaced.
pub(crate) fn make_node<'p>(
    parent: &mut Parent<'p>,
    root: Fd,
    dest: &'p CStr,
    mode: u32,
    device: u64,
    owner: (u32, u32),
) -> Result<()> {
    let (directory, name) = place(parent, root, dest)?;
    let mut result = path::mknod(directory, name, mode, device);
    if result == Err(Errno::EEXIST) {
        let stat = path::stat_at(directory, name, flags::SYMLINK_NOFOLLOW)?;
        if stat.mode & flags::S_IFMT == mode & flags::S_IFMT && stat.rdev == device {
            return Ok(());
        }
        path::unlink(directory, name)?;
        result = path::mknod(directory, name, mode, device);
    }
    if result.is_ok() && owner != (0, 0) {
        let node = open(directory, name, flags::PATH | flags::NOFOLLOW, 0)?;
        let stat = fd::stat(node)?;
        result = if stat.mode & flags::S_IFMT == mode & flags::S_IFMT && stat.rdev == device {
            fd::chown(node, owner.0, owner.1)
        } else {
            // Swapped for another file, whose owner is not to change.
            Err(Errno::ESTALE)
        };
        fd::close(node);
    }
    result
}

/// A symbolic link.
pub(crate) fn make_symlink<'p>(
    parent: &mut Parent<'p>,
    root: Fd,
    dest: &'p CStr,
    target: &CStr,
    replace: bool,
) -> Result<()> {
    let (directory, name) = place(parent, root, dest)?;
    let result = path::symlink(target, directory, name);
    if result != Err(Errno::EEXIST) {
        result
    } else if replace {
        path::unlink(directory, name).and_then(|()| path::symlink(target, directory, name))
    } else {
        Ok(())
    }
}

/// The directory that holds `dest`, made if absent and kept by `parent`, and the last component.
fn place<'p>(parent: &mut Parent<'p>, root: Fd, dest: &'p CStr) -> Result<(Fd, &'p CStr)> {
    let (before, name) = parent::split(dest).ok_or(Errno::EINVAL)?;
    match parent.open(root, before) {
        Err(Errno::ENOENT) => {
            let made = make_directory_at(root, before, 0o755, 8)?;
            parent.keep(root, before, made);
            Ok((made, name))
        }
        found => found.map(|directory| (directory, name)),
    }
}

/// The same on the way of a file that is missing.
fn parent_of(root: Fd, dest: &CStr) -> Result<(Fd, PathBuffer)> {
    let (before, last) = split_last(dest.to_bytes());
    if last.is_empty() || last == b"." || last == b".." {
        return Err(Errno::EINVAL);
    }
    let mut directory = PathBuffer::new();
    directory.push(if before.is_empty() { b"." } else { before })?;
    let mut name = PathBuffer::new();
    name.push(last)?;
    Ok((make_directory(root, directory.as_c()?, 0o755)?, name))
}
