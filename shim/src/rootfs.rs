//! The container's root file system, which containerd gives as a list of mounts: made before the container, unmade after it.
use crate::failure::{Code, Failure};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount,
};
use std::ffi::CString;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use tare_shim_wire::messages::task::Mount;

/// mount(2) takes a page of data with its NUL.
const MOST_DATA: usize = 4095;
/// As many mounts on one place are taken off; more has no container.
const DEEPEST: usize = 64;

/// Mounts them one upon the other.
///
/// # Errors
/// The mount that failed; those before it are taken off again.
pub fn make(mounts: &[Mount], rootfs: &Path) -> Result<(), Failure> {
    if mounts.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(rootfs)
        .map_err(|error| Failure::io(format!("make {}", rootfs.display()), &error))?;
    for given in mounts {
        if let Err(failure) = one(given, rootfs) {
            unmake(rootfs);
            return Err(failure);
        }
    }
    Ok(())
}

/// Takes off whatever is mounted there.
pub fn unmake(rootfs: &Path) {
    for _ in 0..DEEPEST {
        if unmount(rootfs, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_err() {
            return;
        }
    }
}

fn one(given: &Mount, rootfs: &Path) -> Result<(), Failure> {
    let options = parse(&given.options)?;
    let target = below(rootfs, &given.target)?;
    let what = || {
        let kind = if given.r#type.is_empty() {
            "bind"
        } else {
            &given.r#type
        };
        format!("mount {kind} {:?} on {}", given.source, target.display())
    };
    let fail = |errno: rustix::io::Errno| Failure::io(what(), &errno.into());
    if options.data.len() > MOST_DATA {
        shortened(given, &options, &target)?;
    } else {
        let data = CString::new(options.data.as_str())
            .map_err(|_| Failure::new(Code::InvalidArgument, "a mount option has a NUL byte"))?;
        let kind = match given.r#type.as_str() {
            "bind" | "rbind" => "",
            kind => kind,
        };
        mount(
            given.source.as_str(),
            &target,
            kind,
            options.flags,
            Some(data.as_c_str()),
        )
        .map_err(fail)?;
    }
    let changes = MountFlags::RDONLY
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC
        | MountFlags::NOATIME
        | MountFlags::RELATIME;
    if options.flags.contains(MountFlags::BIND) && options.flags.intersects(changes) {
        // The kernel takes a new bind mount's other flags from its source.
        let flags = (options.flags & changes) | MountFlags::BIND;
        mount_remount(&target, flags, "").map_err(fail)?;
    }
    if !options.propagation.is_empty() {
        mount_change(&target, options.propagation).map_err(fail)?;
    }
    Ok(())
}

/// A place below the root, of which a link in the image must not lead out: no part of it but the root may be a link.
fn below(rootfs: &Path, target: &str) -> Result<PathBuf, Failure> {
    let mut place = rootfs.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => place.push(name),
            Component::RootDir | Component::CurDir => continue,
            _ => {
                return Err(Failure::new(
                    Code::InvalidArgument,
                    format!("mount target {target:?} leads out of the root"),
                ));
            }
        }
        if place.is_symlink() {
            return Err(Failure::new(
                Code::InvalidArgument,
                format!("mount target {target:?} has a symbolic link in it"),
            ));
        }
    }
    Ok(place)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Options {
    flags: MountFlags,
    propagation: MountPropagationFlags,
    data: String,
}

/// The words of mount(8) that are flags of mount(2); all others go to the file system.
fn parse(words: &[String]) -> Result<Options, Failure> {
    let mut options = Options {
        flags: MountFlags::empty(),
        propagation: MountPropagationFlags::empty(),
        data: String::new(),
    };
    for word in words {
        let (flag, on) = match word.as_str() {
            "bind" => (MountFlags::BIND, true),
            "rbind" => (MountFlags::BIND | MountFlags::REC, true),
            "ro" => (MountFlags::RDONLY, true),
            "rw" => (MountFlags::RDONLY, false),
            "nosuid" => (MountFlags::NOSUID, true),
            "suid" => (MountFlags::NOSUID, false),
            "nodev" => (MountFlags::NODEV, true),
            "dev" => (MountFlags::NODEV, false),
            "noexec" => (MountFlags::NOEXEC, true),
            "exec" => (MountFlags::NOEXEC, false),
            "sync" => (MountFlags::SYNCHRONOUS, true),
            "async" => (MountFlags::SYNCHRONOUS, false),
            "dirsync" => (MountFlags::DIRSYNC, true),
            "mand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
            "nomand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
            "noatime" => (MountFlags::NOATIME, true),
            "atime" => (MountFlags::NOATIME, false),
            "nodiratime" => (MountFlags::NODIRATIME, true),
            "diratime" => (MountFlags::NODIRATIME, false),
            "relatime" => (MountFlags::RELATIME, true),
            "norelatime" => (MountFlags::RELATIME, false),
            "strictatime" => (MountFlags::STRICTATIME, true),
            "nostrictatime" => (MountFlags::STRICTATIME, false),
            "defaults" => (MountFlags::empty(), true),
            "loop" => {
                return Err(Failure::new(
                    Code::Unimplemented,
                    "mount option \"loop\": loop devices are not made here; use a snapshotter that mounts directories",
                ));
            }
            other => {
                if let Some(change) = propagation(other) {
                    options.propagation |= change;
                } else if !other.starts_with("X-containerd.") && !other.starts_with("x-") {
                    if !options.data.is_empty() {
                        options.data.push(',');
                    }
                    options.data.push_str(other);
                }
                continue;
            }
        };
        options.flags.set(flag, on);
    }
    Ok(options)
}

fn propagation(word: &str) -> Option<MountPropagationFlags> {
    let (recursive, word) = match word.strip_prefix('r') {
        Some(rest) => (MountPropagationFlags::REC, rest),
        None => (MountPropagationFlags::empty(), word),
    };
    let kind = match word {
        "shared" => MountPropagationFlags::SHARED,
        "slave" => MountPropagationFlags::DOWNSTREAM,
        "private" => MountPropagationFlags::PRIVATE,
        "unbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some(kind | recursive)
}

/// An overlay of more layers than a page of options holds: mounted from the directory that its layers have in common, by a process
/// of its own, for the working directory is the whole process's.
fn shortened(given: &Mount, options: &Options, target: &Path) -> Result<(), Failure> {
    let too_long = || {
        Failure::new(
            Code::InvalidArgument,
            format!(
                "mount options of {} bytes, of which the kernel takes {MOST_DATA}",
                options.data.len()
            ),
        )
    };
    let (directory, data) = compact(&options.data)
        .filter(|(_, data)| data.len() <= MOST_DATA)
        .ok_or_else(too_long)?;
    let program =
        std::env::current_exe().map_err(|error| Failure::io("find this program", &error))?;
    let target = std::path::absolute(target)
        .map_err(|error| Failure::io("find the root's absolute path", &error))?;
    let output = Command::new(program)
        .args(["mount", &given.r#type, &given.source])
        .arg(target)
        .args([options.flags.bits().to_string(), data])
        .current_dir(directory)
        .output()
        .map_err(|error| Failure::io("start the mount's process", &error))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::new(
        Code::Unknown,
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// The hidden action `mount`: TYPE SOURCE TARGET FLAGS DATA, in the working directory that the data's paths are relative to.
///
/// # Errors
/// mount(2)'s.
pub fn mount_here(words: &[String]) -> Result<(), Failure> {
    let [kind, source, target, flags, data] = words else {
        return Err(Failure::new(
            Code::InvalidArgument,
            "mount TYPE SOURCE TARGET FLAGS DATA",
        ));
    };
    let flags = MountFlags::from_bits_retain(flags.parse().unwrap_or(0));
    let data = CString::new(data.as_str()).unwrap_or_default();
    mount(
        source.as_str(),
        target.as_str(),
        kind.as_str(),
        flags,
        Some(data.as_c_str()),
    )
    .map_err(|errno| Failure::io(format!("mount {kind} on {target}"), &errno.into()))
}

/// The directory that all lower layers are in, and the options with their names in it.
fn compact(data: &str) -> Option<(PathBuf, String)> {
    let lower = data
        .split(',')
        .find_map(|option| option.strip_prefix("lowerdir="))?;
    let layers: Vec<&str> = lower.split(':').collect();
    let mut common = Path::new(layers.first()?).parent()?;
    while !layers
        .iter()
        .all(|layer| Path::new(layer).starts_with(common))
    {
        common = common.parent()?;
    }
    let names: Option<Vec<&str>> = layers
        .iter()
        .map(|layer| Path::new(layer).strip_prefix(common).ok()?.to_str())
        .collect();
    let short = format!("lowerdir={}", names?.join(":"));
    let options: Vec<&str> = data
        .split(',')
        .map(|option| {
            if option.starts_with("lowerdir=") {
                short.as_str()
            } else {
                option
            }
        })
        .collect();
    Some((common.to_owned(), options.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn words_are_flags_or_the_file_systems() {
        let options = parse(&words(
            "rbind ro nosuid rslave uid=5 rw x-what.ever index=off",
        ))
        .unwrap();
        assert_eq!(
            options.flags,
            MountFlags::BIND | MountFlags::REC | MountFlags::NOSUID
        );
        assert_eq!(
            options.propagation,
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC
        );
        assert_eq!(options.data, "uid=5,index=off");
        assert_eq!(parse(&words("loop")).unwrap_err().code, Code::Unimplemented);
    }

    #[test]
    fn many_layers_become_short_names() {
        let layers: Vec<String> = (0..127)
            .map(|n| {
                format!(
                    "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/{n}/fs"
                )
            })
            .collect();
        let data = format!("workdir=/w,lowerdir={},upperdir=/u", layers.join(":"));
        assert!(data.len() > MOST_DATA);
        let (directory, short) = compact(&data).unwrap();
        assert!(
            directory.ends_with("snapshots") && short.len() < 1100,
            "{short}"
        );
        assert!(
            short.starts_with("workdir=/w,lowerdir=0/fs:1/fs:"),
            "{short}"
        );
        assert_eq!(
            compact("lowerdir=/a/x:/b/y"),
            Some(("/".into(), "lowerdir=a/x:b/y".to_owned()))
        );
        assert_eq!(compact("upperdir=/u"), None);
    }

    #[test]
    fn a_target_stays_below_the_root() {
        let root = Path::new("/proc/self");
        assert_eq!(below(root, "/").unwrap(), root);
        assert_eq!(below(root, "fd/x").unwrap(), root.join("fd/x"));
        assert!(below(root, "../x").is_err());
        assert!(below(root, "cwd/x").unwrap_err().message.contains("link"));
    }
}
