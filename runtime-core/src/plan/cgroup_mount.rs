//! A mount of type `cgroup`: one filesystem on v2; on v1 and hybrid hosts a tmpfs with a mount for each hierarchy.
//!
//! With a cgroup namespace each mount is a new one, whose root the kernel sets to the container's cgroup. Without, the container
//! gets its own cgroup's directory as a bind mount, and never the host's tree.
use super::builder::Builder;
use super::ir::{ChildOp, Kind, MountAttr, Slot, Source};
use super::mount_options::{NODEV, NOEXEC, NOSUID, RDONLY};
use super::mounts::{Context, Decided, attributes};
use tare_cgroup::{Hierarchy, Mode};

const EPERM: i32 = 1;
const EBUSY: i32 = 16;

/// The steps of one mount of type `cgroup`.
pub(crate) fn emit(mount: &Decided<'_>, context: &Context<'_>, root: Slot, builder: &mut Builder) {
    match context.facts.cgroup.mode {
        Mode::V2 => unified(mount, context, root, builder),
        Mode::V1 | Mode::Hybrid => hierarchies(mount, context, root, builder),
        Mode::None => builder.skip(mount.from(), "no cgroup filesystem is mounted on this host"),
    }
}

fn unified(mount: &Decided<'_>, context: &Context<'_>, root: Slot, builder: &mut Builder) {
    let attr = attributes(&mount.options);
    let op = ChildOp::Mount {
        root,
        fstype: "cgroup2".to_owned(),
        source: if mount.wire.source.is_empty() {
            "cgroup".to_owned()
        } else {
            mount.wire.source.clone()
        },
        dest: mount.dest.clone(),
        attr,
        options: mount.options.data.clone(),
        copy_up: false,
        no_symlink: false,
    };
    // A user namespace without its own cgroup namespace may not mount cgroup2 (EPERM); a second namespace's mount may be EBUSY.
    let host = context
        .facts
        .cgroup
        .unified
        .as_ref()
        .map_or("/sys/fs/cgroup", |unified| unified.mount.as_str());
    let source = match context.cgroup_paths.get("") {
        Some(own) if context.cgroup_namespace && !own.is_empty() => own.clone(),
        _ => host.to_owned(),
    };
    let instead = ChildOp::Bind {
        root,
        source: Source::Path(source),
        dest: mount.dest.clone(),
        kind: Kind::Directory,
        recursive: false,
        attr,
        idmap: None,
    };
    builder.child_or(op, &[EPERM, EBUSY], instead, mount.from());
}

fn hierarchies(mount: &Decided<'_>, context: &Context<'_>, root: Slot, builder: &mut Builder) {
    let strict = NOSUID | NODEV | NOEXEC;
    let attr = attributes(&mount.options);
    let base = MountAttr {
        set: strict,
        propagation: attr.propagation,
        ..MountAttr::default()
    };
    let mut options = vec![("mode".to_owned(), Some("755".to_owned()))];
    if !context.label.is_empty() {
        options.push(("context".to_owned(), Some(context.label.to_owned())));
    }
    let op = ChildOp::Mount {
        root,
        fstype: "tmpfs".to_owned(),
        source: "tmpfs".to_owned(),
        dest: mount.dest.clone(),
        attr: base,
        options,
        copy_up: false,
        no_symlink: false,
    };
    builder.child(op, mount.from());
    for hierarchy in &context.facts.cgroup.v1 {
        let op = if context.cgroup_namespace {
            new_mount(mount, hierarchy, root, strict | attr.set & RDONLY)
        } else {
            own_directory(mount, context, hierarchy, root, attr)
        };
        builder.child(op, mount.from());
    }
    for hierarchy in &context.facts.cgroup.v1 {
        links(mount, hierarchy, root, builder);
    }
}

/// The name under which the host mounts it: `memory`, `cpu,cpuacct`, `systemd`.
fn directory(hierarchy: &Hierarchy) -> &str {
    hierarchy.mount.rsplit('/').next().unwrap_or_default()
}

fn new_mount(mount: &Decided<'_>, hierarchy: &Hierarchy, root: Slot, set: u64) -> ChildOp {
    let options = hierarchy
        .controllers
        .iter()
        .map(|controller| match controller.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (controller.clone(), None),
        });
    ChildOp::Mount {
        root,
        fstype: "cgroup".to_owned(),
        source: "cgroup".to_owned(),
        dest: format!("{}/{}", mount.dest, directory(hierarchy)),
        attr: MountAttr {
            set,
            ..MountAttr::default()
        },
        options: options.collect(),
        copy_up: false,
        no_symlink: false,
    }
}

fn own_directory(
    mount: &Decided<'_>,
    context: &Context<'_>,
    hierarchy: &Hierarchy,
    root: Slot,
    attr: MountAttr,
) -> ChildOp {
    let decided = hierarchy
        .controllers
        .iter()
        .find_map(|controller| context.cgroup_paths.get(controller));
    let source = match decided {
        Some(path) => path.clone(),
        None => format!("{}{}", hierarchy.mount, hierarchy.own_below_mount())
            .trim_end_matches('/')
            .to_owned(),
    };
    ChildOp::Bind {
        root,
        source: Source::Path(source),
        dest: format!("{}/{}", mount.dest, directory(hierarchy)),
        kind: Kind::Directory,
        recursive: true,
        attr,
        idmap: None,
    }
}

/// `cpu` and `cpuacct` beside `cpu,cpuacct`.
fn links(mount: &Decided<'_>, hierarchy: &Hierarchy, root: Slot, builder: &mut Builder) {
    let directory = directory(hierarchy);
    for name in directory.split(',').filter(|name| *name != directory) {
        let dest = format!("{}/{name}", mount.dest);
        builder.child(
            ChildOp::Symlink {
                root,
                dest,
                target: directory.to_owned(),
                replace: false,
            },
            mount.from(),
        );
    }
}
