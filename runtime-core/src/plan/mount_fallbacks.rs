//! Filesystems that the kernel does not give to every user namespace, and what the container gets instead. Pure.
//!
//! Every fallback gives less than was asked for, or the caller's own view of the same thing; none gives more. Each is one `or on`
//! of the plan, so that it can be read before it is taken.
use super::ir::{ChildOp, Kind, MountAttr, Slot, Source};
use super::mount_options::{NODEV, NOEXEC, NOSUID, RDONLY};
use super::mounts::{Context, Decided, attributes};

const EPERM: i32 = 1;
const EBUSY: i32 = 16;

/// On which errors of `op`, the mount of a new filesystem, what is done instead.
pub(crate) fn fallback(
    mount: &Decided<'_>,
    op: &ChildOp,
    context: &Context<'_>,
    root: Slot,
) -> Option<(&'static [i32], ChildOp)> {
    if !in_user_namespace(context) {
        return None;
    }
    let mut attr = attributes(&mount.options);
    // What an outer container has locked on its mounts can't be taken off a copy of them.
    (attr.clear, attr.clear_recursive) = (0, 0);
    match mount.wire.kind.as_str() {
        // Without a network namespace of its own. The host's has cgroups beneath it, which the container's root may own: all of
        // it becomes read-only (CVE-2023-25809), even if a writable one was asked for.
        "sysfs" => {
            attr.set |= RDONLY;
            if context.facts.mount_setattr {
                attr.set_recursive |= RDONLY;
            }
            Some((&[EPERM, EBUSY], bind("/sys", mount, attr, root)))
        }
        // Without an IPC namespace of its own.
        "mqueue" => Some((&[EPERM, EBUSY], bind("/dev/mqueue", mount, attr, root))),
        // The pid namespace is the caller's: its /proc, with all that is hidden in it, is the one to see.
        "proc" if !context.pid_namespace => Some((&[EPERM], bind("/proc", mount, attr, root))),
        // The caller's /proc can't become writable here, so a writable new one is refused. Where it is masked a read-only one is
        // refused as well: the caller's /proc would show foreign processes, and nothing was said of wanting those.
        "proc" => readonly(op).map(|op| (&[EPERM] as &[i32], op)),
        _ => None,
    }
}

/// A kernel without mount_setattr(2) can't make all of a bound /sys read-only: then its cgroups are hidden.
pub(crate) fn hide_cgroups(
    mount: &Decided<'_>,
    context: &Context<'_>,
    root: Slot,
) -> Option<ChildOp> {
    if mount.wire.kind != "sysfs" || context.facts.mount_setattr || !in_user_namespace(context) {
        return None;
    }
    Some(ChildOp::Mount {
        root,
        fstype: "tmpfs".to_owned(),
        source: "tmpfs".to_owned(),
        dest: format!("{}/fs/cgroup", mount.dest),
        attr: MountAttr {
            set: RDONLY | NOSUID | NODEV | NOEXEC,
            ..MountAttr::default()
        },
        options: vec![("ro".to_owned(), None)],
        copy_up: false,
        no_symlink: false,
    })
}

fn in_user_namespace(context: &Context<'_>) -> bool {
    context.user_namespace || !context.facts.initial_userns
}

fn bind(source: &str, mount: &Decided<'_>, attr: MountAttr, root: Slot) -> ChildOp {
    ChildOp::Bind {
        root,
        source: Source::Path(source.to_owned()),
        dest: mount.dest.clone(),
        kind: Kind::Directory,
        recursive: true,
        attr,
        idmap: None,
    }
}

fn readonly(op: &ChildOp) -> Option<ChildOp> {
    let mut op = op.clone();
    let ChildOp::Mount { attr, .. } = &mut op else {
        return None;
    };
    if attr.set & RDONLY != 0 {
        return None;
    }
    attr.set |= RDONLY;
    attr.clear &= !RDONLY;
    Some(op)
}
