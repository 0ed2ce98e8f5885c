//! A container's root: layers stacked by overlay, with a layer of its own on top (kernel documentation, filesystems/overlayfs).
//!
//! Layers are handed over as descriptors where the kernel takes them (Linux 6.13), one at a time where it takes names (6.5), and else
//! in one string, in which `/proc/self/fd` keeps them short. So no path's length limits their number.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};
use std::os::fd::{AsRawFd, OwnedFd};
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
#[error("mount the container's root by overlay: {what}: {source}{hint}")]
pub struct RootfsError {
    /// The step.
    pub what: String,
    /// The kernel's answer.
    pub source: Errno,
    /// What to do, or empty.
    pub hint: &'static str,
}

impl RootfsError {
    fn new(what: impl Into<String>, source: Errno) -> Self {
        let hint = match source {
            Errno::NODEV => ": this kernel has no overlay (modprobe overlay)",
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
    let opened: Result<Vec<OwnedFd>, RootfsError> =
        layers.lower.iter().map(|path| directory(path)).collect();
    let lower = opened?;
    match by_descriptors(layers, &lower, target) {
        // Before Linux 6.5 there is no `lowerdir+`, which is told before anything is mounted.
        Err(Refused::Unknown) => by_string(layers, &lower, target),
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

/// Beyond plain stacking nothing is used: a layer's differences must be readable without overlay.
const PLAIN: [(&str, &str); 3] = [
    ("redirect_dir", "off"),
    ("metacopy", "off"),
    ("index", "off"),
];

fn by_descriptors(layers: &Layers, lower: &[OwnedFd], target: &Path) -> Result<(), Refused> {
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
    if let Some(upper) = &layers.upper {
        for (key, path) in [("upperdir", upper.directory), ("workdir", upper.work)] {
            let fd = directory(path)?;
            let named = || {
                let text = format!("/proc/self/fd/{}", fd.as_raw_fd());
                fsconfig_set_string(&fs, key, text.as_str())
            };
            fsconfig_set_fd(&fs, key, &fd)
                .or_else(|_| named())
                .map_err(|errno| RootfsError::new(format!("{key} {}", path.display()), errno))?;
        }
        if upper.volatile {
            // Before Linux 5.10 it syncs, which is only slower.
            let _ = fsconfig_set_flag(&fs, "volatile");
        }
    }
    if layers.user_xattrs {
        fsconfig_set_flag(&fs, "userxattr").map_err(step("userxattr"))?;
    }
    for (key, value) in PLAIN {
        // A kernel without a feature has nothing to turn off.
        let _ = fsconfig_set_string(&fs, key, value);
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
fn by_string(layers: &Layers, lower: &[OwnedFd], target: &Path) -> Result<(), RootfsError> {
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    let lower: Vec<String> = lower.iter().map(name).collect();
    let mut options = format!("lowerdir={}", lower.join(":"));
    let mut kept = Vec::new();
    if let Some(upper) = &layers.upper {
        for (key, path) in [("upperdir", upper.directory), ("workdir", upper.work)] {
            let fd = directory(path)?;
            options += &format!(",{key}={}", name(&fd));
            kept.push(fd);
        }
        if upper.volatile {
            options += ",volatile";
        }
    }
    if layers.user_xattrs {
        options += ",userxattr";
    }
    for (key, value) in PLAIN {
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
