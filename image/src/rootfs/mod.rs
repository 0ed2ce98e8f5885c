//! A container's root: layers stacked by overlay, with a layer of its own on top (kernel documentation, filesystems/overlayfs).
//!
//! Layers are handed over as descriptors where the kernel takes them (Linux 6.13), one at a time where it takes names (6.5), and else
//! in one string, in which `/proc/self/fd` keeps them short. So no path's length limits their number.

mod compare;
mod copy;
mod view;

pub use compare::changes_of_copy;
pub use copy::{CopyError, copy_to};

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags,
    fsconfig_create, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
    mount, move_mount, open_tree,
};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What a root is made of.
#[derive(Debug, Clone)]
pub struct Layers<'a> {
    /// From the uppermost to the lowest; at least one.
    pub lower: &'a [PathBuf],
    /// Takes what is written. None: nothing can be.
    pub upper: Option<Upper<'a>>,
    /// Whether overlay's marks are `user.` attributes: what one without rights has written.
    pub user_xattrs: bool,
    /// A user namespace by whose maps the lower layers' owners are read (mount_setattr(2), idmapped mounts; Linux 5.19): what they have
    /// as 0 is that namespace's root. Changes are written with the host's numbers: overlay makes its own files as the host's root,
    /// which has none in that namespace.
    pub userns: Option<BorrowedFd<'a>>,
    /// So many of the uppermost lower layers are not mapped: what was such changes.
    pub unmapped: usize,
}

/// Where changes go.
#[derive(Debug, Clone, Copy)]
pub struct Upper<'a> {
    /// The changes.
    pub directory: &'a Path,
    /// An empty directory of the same file system, for the kernel.
    pub work: &'a Path,
    /// Nothing is synced: for a container whose changes go with it.
    pub volatile: bool,
}

/// Why a root could not be mounted.
#[derive(Debug, Error)]
#[error("mount the container's root by overlay: {what}{hint}")]
pub struct RootfsError {
    /// The step.
    pub what: String,
    /// The kernel's answer.
    pub source: Errno,
    /// What to do, or empty.
    pub hint: &'static str,
}

impl RootfsError {
    /// Whether overlay itself can't be used here, and a copy ([`copy_to`]) would do.
    pub fn wants_copy(&self) -> bool {
        matches!(
            self.source,
            Errno::NODEV | Errno::PERM | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS
        )
    }

    fn new(what: impl Into<String>, source: Errno) -> Self {
        let hint = match source {
            Errno::NODEV => ": this kernel has no overlay (modprobe overlay)",
            Errno::OVERFLOW => ": a layer has owners that the user namespace has no number for",
            Errno::PERM => ": it takes CAP_SYS_ADMIN",
            Errno::INVAL => {
                ": the file system below may not serve as an upper layer; `dmesg` has the kernel's reason"
            }
            _ => "",
        };
        Self {
            what: what.into(),
            source,
            hint,
        }
    }
}

/// Mounts a root at a directory. Whoever wants it to go with the process calls it in a mount namespace of its own.
pub fn mount_at(layers: &Layers, target: &Path) -> Result<(), RootfsError> {
    let open = |(number, path): (usize, &PathBuf)| match layers.userns {
        Some(userns) if number >= layers.unmapped => mapped(path, userns),
        _ => directory(path),
    };
    let opened: Result<Vec<OwnedFd>, RootfsError> =
        layers.lower.iter().enumerate().map(open).collect();
    let lower = opened?;
    let upper = layers.upper.as_ref().map(open_upper).transpose()?;
    match by_descriptors(layers, &lower, upper.as_ref(), target) {
        // Before Linux 6.5 there is no `lowerdir+`, which is told before anything is mounted.
        Err(Refused::Unknown) => by_string(layers, &lower, upper.as_ref(), target),
        Err(Refused::Because(error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

enum Refused {
    Unknown,
    Because(RootfsError),
}

impl From<RootfsError> for Refused {
    fn from(error: RootfsError) -> Self {
        Self::Because(error)
    }
}

fn directory(path: &Path) -> Result<OwnedFd, RootfsError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty())
        .map_err(|errno| RootfsError::new(format!("open {}", path.display()), errno))
}

/// A mount of its own of a directory, with its owners mapped.
fn mapped(path: &Path, userns: BorrowedFd) -> Result<OwnedFd, RootfsError> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let fail = |what: &str, errno| RootfsError::new(format!("{what} {}", path.display()), errno);
    let tree = open_tree(CWD, path, flags).map_err(|errno| fail("clone the mount of", errno))?;
    let change = tare_sys::mount::Change {
        userns: Some(tare_sys::Fd::new(userns.as_raw_fd())),
        ..tare_sys::mount::Change::default()
    };
    tare_sys::mount::set_attributes(tare_sys::Fd::new(tree.as_raw_fd()), change, false).map_err(
        |errno| RootfsError {
            hint: ": its file system must support idmapped mounts, as ext4, XFS and btrfs do",
            ..fail("map the owners of", Errno::from_raw_os_error(errno.get()))
        },
    )?;
    Ok(tree)
}

/// The upper and the work directory.
struct OpenUpper {
    directory: OwnedFd,
    work: OwnedFd,
    volatile: bool,
}

fn open_upper(upper: &Upper) -> Result<OpenUpper, RootfsError> {
    Ok(OpenUpper {
        directory: directory(upper.directory)?,
        work: directory(upper.work)?,
        volatile: upper.volatile,
    })
}

/// Beyond plain stacking nothing is used: a layer's differences must be readable without overlay.
const PLAIN: [(&str, &str); 3] = [
    ("index", "off"),
    ("redirect_dir", "off"),
    ("metacopy", "off"),
];

/// With `user.` attributes the other two are off, and may not be named.
fn plain(layers: &Layers) -> &'static [(&'static str, &'static str)] {
    if layers.user_xattrs {
        &PLAIN[..1]
    } else {
        &PLAIN
    }
}

fn by_descriptors(
    layers: &Layers,
    lower: &[OwnedFd],
    upper: Option<&OpenUpper>,
    target: &Path,
) -> Result<(), Refused> {
    let step = |what: &'static str| move |errno| RootfsError::new(what, errno);
    let fs = match fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NOSYS) => return Err(Refused::Unknown),
        other => other.map_err(step("fsopen"))?,
    };
    for (layer, path) in lower.iter().zip(layers.lower) {
        let named = || {
            let text = format!("/proc/self/fd/{}", layer.as_raw_fd());
            fsconfig_set_string(&fs, "lowerdir+", text.as_str())
        };
        match fsconfig_set_fd(&fs, "lowerdir+", layer).or_else(|_| named()) {
            Ok(()) => {}
            Err(Errno::INVAL) => return Err(Refused::Unknown),
            Err(errno) => {
                return Err(
                    RootfsError::new(format!("the layer {}", path.display()), errno).into(),
                );
            }
        }
    }
    if let Some(upper) = upper {
        for (key, fd) in [("upperdir", &upper.directory), ("workdir", &upper.work)] {
            let named = || {
                let text = format!("/proc/self/fd/{}", fd.as_raw_fd());
                fsconfig_set_string(&fs, key, text.as_str())
            };
            fsconfig_set_fd(&fs, key, fd)
                .or_else(|_| named())
                .map_err(step(key))?;
        }
        if upper.volatile {
            // Before Linux 5.10 it syncs, which is only slower.
            let _ = fsconfig_set_flag(&fs, "volatile");
        }
    }
    if layers.user_xattrs {
        fsconfig_set_flag(&fs, "userxattr").map_err(step("userxattr"))?;
    }
    for (key, value) in plain(layers) {
        // A kernel without a feature has nothing to turn off.
        let _ = fsconfig_set_string(&fs, *key, *value);
    }
    fsconfig_create(&fs).map_err(step("create"))?;
    let mount = fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(step("fsmount"))?;
    move_mount(
        &mount,
        "",
        rustix::fs::CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|errno| RootfsError::new(format!("attach at {}", target.display()), errno))?;
    Ok(())
}

/// mount(2) takes one page of options.
fn by_string(
    layers: &Layers,
    lower: &[OwnedFd],
    upper: Option<&OpenUpper>,
    target: &Path,
) -> Result<(), RootfsError> {
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower: Vec<String> = lower.iter().map(name).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    if let Some(upper) = upper {
        for (key, fd) in [("upperdir", &upper.directory), ("workdir", &upper.work)] {
            options += &format!(",{key}={}", name(fd));
        }
        if upper.volatile {
            options += ",volatile";
        }
    }
    if layers.user_xattrs {
        options += ",userxattr";
    }
    for (key, value) in plain(layers) {
        options += &format!(",{key}={value}");
    }
    if options.len() >= 4096 {
        return Err(RootfsError {
            what: format!("{} layers", layers.lower.len()),
            source: Errno::TOOBIG,
            hint: ": before Linux 6.5 the options of a mount have room for about 200",
        });
    }
    let options = std::ffi::CString::new(options).expect("digits and words");
    mount(
        "overlay",
        target,
        "overlay",
        MountFlags::empty(),
        Some(options.as_c_str()),
    )
    .map_err(|errno| RootfsError::new("mount", errno))
}
