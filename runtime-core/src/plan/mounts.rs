//! `mounts`: each entry checked and decided; then the sources that the host must open; then the child's steps.
//!
//! What is on a path can change until it is mounted, so nothing here looks: a destination is resolved beneath the root at
//! execution. What can be refused by the text alone is refused here: a mount on the root, anything but a procfs on `/proc`,
//! anything within `/proc` that isn't one of the files that lxcfs emulates.
use super::builder::Builder;
use super::cgroup_mount;
use super::facts::HostFacts;
use super::ids::outside;
use super::ir::{ChildOp, Extent, HostOp, Kind, MountAttr, Slot, Source};
use super::mount_options::{self, MountOptions, RDONLY};
use super::text::{clean, no_nul, no_nuls};
use super::{mount_fallbacks, mount_sources};
use crate::config::{At, ConfigError, invalid};
use std::path::Path;
use tare_oci::Mount;

/// What the decisions about mounts depend on besides the entry itself.
pub(crate) struct Context<'a> {
    pub(crate) facts: &'a HostFacts,
    pub(crate) bundle: &'a Path,
    /// The caller is not the host's root.
    pub(crate) rootless: bool,
    /// The child is in a user namespace that isn't the caller's.
    pub(crate) user_namespace: bool,
    /// Maps of a new user namespace.
    pub(crate) maps: Option<(&'a [Extent], &'a [Extent])>,
    /// Ids that exist inside, uids and gids, where they are limited and known.
    pub(crate) ids: Option<(&'a [Extent], &'a [Extent])>,
    /// The child has a pid namespace of its own.
    pub(crate) pid_namespace: bool,
    /// Slot of the joined user namespace.
    pub(crate) joined_user: Option<Slot>,
    /// The child has a cgroup namespace of its own.
    pub(crate) cgroup_namespace: bool,
    /// The container's cgroup by v1 controller, or by the empty name for v2.
    pub(crate) cgroup_paths: &'a std::collections::BTreeMap<String, String>,
    /// SELinux label of the mounts, or empty.
    pub(crate) label: &'a str,
}

/// How an entry is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    /// An existing tree appears a second time.
    Bind { source: String, recursive: bool },
    /// A new filesystem.
    Filesystem,
    /// `cgroup`: whatever the host's hierarchies ask for.
    Cgroup,
    /// What is mounted there changes.
    Remount,
}

/// One entry of `mounts`, decided.
pub(crate) struct Decided<'a> {
    pub(crate) wire: &'a Mount,
    pub(crate) index: usize,
    pub(crate) dest: String,
    pub(crate) method: Method,
    pub(crate) options: MountOptions,
    /// A tree that the host opened.
    pub(crate) tree: Option<Slot>,
    /// A user namespace that carries maps.
    pub(crate) idmap: Option<(Slot, bool)>,
}

impl Decided<'_> {
    pub(crate) fn from(&self) -> String {
        format!("mounts[{}]", self.index)
    }
}

/// Decides all entries; words without an effect are written to the plan's skips.
pub(crate) fn decide<'a>(
    mounts: &'a [Mount],
    context: &Context<'_>,
    builder: &mut Builder,
) -> Result<Vec<Decided<'a>>, ConfigError> {
    let mut decided = Vec::with_capacity(mounts.len());
    for (index, wire) in mounts.iter().enumerate() {
        decided.push(
            decide_one(wire, index, context, builder)
                .index(index)
                .field("mounts")?,
        );
    }
    Ok(decided)
}

fn decide_one<'a>(
    wire: &'a Mount,
    index: usize,
    context: &Context<'_>,
    builder: &mut Builder,
) -> Result<Decided<'a>, ConfigError> {
    no_nul(&wire.kind).field("type")?;
    no_nul(&wire.source).field("source")?;
    no_nuls(&wire.options).field("options")?;
    if wire.destination.is_empty() {
        return invalid("is needed").field("destination");
    }
    let dest = clean(no_nul(&wire.destination).field("destination")?);
    if !wire.destination.starts_with('/') {
        builder.skip(
            format!("mounts[{index}].destination"),
            format!("{:?} is relative and taken as {dest}", wire.destination),
        );
    }
    let options = mount_options::parse(&wire.options);
    let method = method(wire, &options, context)?;
    place(&dest, wire, &method).field("destination")?;
    check_options(&options, &method, context).field("options")?;
    if method == Method::Filesystem {
        check_owner(&options, context).field("options")?;
    }
    for (word, reason) in &options.ignored {
        builder.skip(
            format!("mounts[{index}].options"),
            format!("{word}: {reason}"),
        );
    }
    if matches!(method, Method::Bind { .. }) {
        for flag in &options.filesystem_flags {
            builder.skip(
                format!("mounts[{index}].options"),
                format!("{flag}: belongs to the filesystem and a bind mount can't change it"),
            );
        }
    }
    Ok(Decided {
        wire,
        index,
        dest,
        method,
        options,
        tree: None,
        idmap: None,
    })
}

fn method(
    wire: &Mount,
    options: &MountOptions,
    context: &Context<'_>,
) -> Result<Method, ConfigError> {
    if options.remount {
        return Ok(Method::Remount);
    }
    if options.bind.is_some() || wire.kind == "bind" || wire.kind == "rbind" {
        if wire.source.is_empty() {
            return invalid("is needed for a bind mount").field("source");
        }
        let recursive = options.bind.unwrap_or(wire.kind == "rbind");
        // Not cleaned: `a/..` is elsewhere when `a` is a link.
        let source = context
            .bundle
            .join(&wire.source)
            .to_string_lossy()
            .into_owned();
        return Ok(Method::Bind { source, recursive });
    }
    match wire.kind.as_str() {
        "" => invalid("is needed, unless an option is bind, rbind or remount").field("type"),
        "cgroup" => Ok(Method::Cgroup),
        _ => Ok(Method::Filesystem),
    }
}

/// Files of /proc that lxcfs and the like may replace.
const PROC_FILES: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// A container must not get a /proc that lies about itself: labels and sysctls are written there (CVE-2019-16884).
fn place(dest: &str, wire: &Mount, method: &Method) -> Result<(), ConfigError> {
    if dest == "/" {
        return invalid("is the container's root; give that by root.path");
    }
    #[cfg(feature = "proof")]
    if crate::weaken::lacks("proc-mounts") {
        return Ok(());
    }
    if *method == Method::Remount
        || PROC_FILES.contains(&dest)
        || !(dest == "/proc" || dest.starts_with("/proc/"))
    {
        return Ok(());
    }
    if dest != "/proc" {
        return invalid(format!(
            "{dest:?} cannot be mounted because it is inside /proc"
        ));
    }
    match method {
        Method::Filesystem if wire.kind == "proc" => Ok(()),
        Method::Bind { source, .. } if clean(source) == "/proc" => Ok(()),
        _ => invalid("\"/proc\" cannot be mounted because it is not of type proc"),
    }
}

fn check_options(
    options: &MountOptions,
    method: &Method,
    context: &Context<'_>,
) -> Result<(), ConfigError> {
    let bind = matches!(method, Method::Bind { .. });
    if bind && !options.data.is_empty() {
        let data = options.data_text();
        return invalid(format!(
            "bind mounts cannot have any filesystem-specific options applied, and {data:?} is none of mount(8)'s own"
        ));
    }
    if !options.recursive_attributes.is_empty() && !context.facts.mount_setattr {
        return invalid("recursive attributes need mount_setattr(2), Linux 5.12");
    }
    if options.copy_up && (bind || !matches!(method, Method::Filesystem)) {
        return invalid("tmpcopyup is for tmpfs");
    }
    if options.copy_symlink || options.source_nofollow || options.destination_nofollow {
        return invalid(
            "copy-symlink, src-nofollow and dest-nofollow are not supported: links are resolved within the root",
        );
    }
    Ok(())
}

/// Filesystems take `uid=` and `gid=` as ids of the user namespace that mounts them, and answer EINVAL for one that isn't there.
fn check_owner(options: &MountOptions, context: &Context<'_>) -> Result<(), ConfigError> {
    let Some((uids, gids)) = context.ids else {
        return Ok(());
    };
    for (key, value) in &options.data {
        let map = match key.as_str() {
            "uid" => uids,
            "gid" => gids,
            _ => continue,
        };
        // What is no number the filesystem may understand better.
        let id = value.as_deref().and_then(|text| text.parse().ok());
        if let Some(id) = id
            && outside(map, id).is_none()
        {
            return invalid(format!(
                "cannot specify {key}={id} mount option for rootless container: {key} {id} is not mapped in its user namespace; map it, or leave the option out"
            ));
        }
    }
    Ok(())
}

/// The host's part, before the child exists: sources that the child won't reach, and the namespaces of idmapped mounts.
pub(crate) fn prepare(
    mounts: &mut [Decided<'_>],
    context: &Context<'_>,
    builder: &mut Builder,
) -> Result<(), ConfigError> {
    for mount in mounts {
        mount_sources::prepare(mount, context, builder)
            .index(mount.index)
            .field("mounts")?;
    }
    Ok(())
}

/// The first mount at which the child must be in its cgroups: it shows them, or takes memory that is the container's to pay.
pub(crate) fn placed_before(mounts: &[Decided<'_>]) -> usize {
    let needs = |mount: &Decided<'_>| mount.method == Method::Cgroup || mount.options.copy_up;
    mounts.iter().position(needs).unwrap_or(mounts.len())
}

/// The child's part, in the order of the config.
pub(crate) fn emit(
    mounts: &[Decided<'_>],
    context: &Context<'_>,
    root: Slot,
    builder: &mut Builder,
) {
    for mount in mounts {
        match &mount.method {
            Method::Bind { source, recursive } => {
                bind(mount, source, *recursive, context, root, builder);
            }
            Method::Filesystem => filesystem(mount, context, root, builder),
            Method::Cgroup => cgroup_mount::emit(mount, context, root, builder),
            Method::Remount => remount(mount, root, builder),
        }
        more_propagation(mount, root, builder);
    }
}

/// In a user namespace the host's /sys, bound read-only with what is beneath it, is so altogether: a cgroup delegated to the
/// container's root would else be writable there (CVE-2023-25809).
fn bind(
    mount: &Decided<'_>,
    source: &str,
    recursive: bool,
    context: &Context<'_>,
    root: Slot,
    builder: &mut Builder,
) {
    let mut attr = attributes(&mount.options);
    if recursive
        && clean(source) == "/sys"
        && attr.set & RDONLY != 0
        && context.facts.mount_setattr
        && (context.user_namespace || !context.facts.initial_userns)
    {
        attr.set_recursive |= RDONLY;
    }
    let op = ChildOp::Bind {
        root,
        source: mount
            .tree
            .map_or_else(|| Source::Path(source.to_owned()), Source::Slot),
        dest: mount.dest.clone(),
        kind: Kind::LikeSource,
        recursive,
        attr,
        idmap: mount.idmap,
    };
    builder.child(op, mount.from());
}

fn filesystem(mount: &Decided<'_>, context: &Context<'_>, root: Slot, builder: &mut Builder) {
    let kind = mount.wire.kind.as_str();
    let mut attr = attributes(&mount.options);
    if readonly_late(mount) {
        attr.set &= !RDONLY;
        attr.set_recursive &= !RDONLY;
    }
    let mut options: Vec<(String, Option<String>)> = Vec::new();
    // A read-only device or image can't be mounted by a superblock that may write. The cgroup hierarchies are the host's own.
    if (attr.set | attr.set_recursive) & RDONLY != 0 && kind != "cgroup2" {
        options.push(("ro".to_owned(), None));
    }
    let flags = mount.options.filesystem_flags.iter();
    options.extend(flags.map(|flag| ((*flag).to_owned(), None)));
    options.extend(mount.options.data.iter().cloned());
    if !context.label.is_empty() && !matches!(kind, "proc" | "sysfs" | "mqueue" | "cgroup2") {
        options.push(("context".to_owned(), Some(context.label.to_owned())));
    }
    let op = ChildOp::Mount {
        root,
        fstype: kind.to_owned(),
        source: if mount.wire.source.is_empty() {
            kind.to_owned()
        } else {
            mount.wire.source.clone()
        },
        dest: mount.dest.clone(),
        attr,
        options,
        copy_up: mount.options.copy_up,
        no_symlink: matches!(kind, "proc" | "sysfs"),
    };
    match mount_fallbacks::fallback(mount, &op, context, root) {
        Some((on, instead)) => builder.child_or(op, on, instead, mount.from()),
        None => builder.child(op, mount.from()),
    }
    if let Some(hide) = mount_fallbacks::hide_cgroups(mount, context, root) {
        builder.child(hide, mount.from());
    }
}

fn remount(mount: &Decided<'_>, root: Slot, builder: &mut Builder) {
    let mut options: Vec<(String, Option<String>)> = Vec::new();
    if mount.options.bind.is_none() {
        options.extend(
            mount
                .options
                .filesystem_flags
                .iter()
                .map(|flag| ((*flag).to_owned(), None)),
        );
        options.extend(mount.options.data.iter().cloned());
    }
    builder.child(
        ChildOp::Remount {
            root,
            dest: mount.dest.clone(),
            attr: attributes(&mount.options),
            options,
        },
        mount.from(),
    );
}

/// mount_setattr(2) takes one propagation; a mount can be told two (`rslave`, then `shared`).
fn more_propagation(mount: &Decided<'_>, root: Slot, builder: &mut Builder) {
    for propagation in mount.options.propagation.iter().skip(1) {
        let attr = MountAttr {
            propagation: propagation.bits(),
            ..MountAttr::default()
        };
        builder.child(
            ChildOp::Remount {
                root,
                dest: mount.dest.clone(),
                attr,
                options: Vec::new(),
            },
            mount.from(),
        );
    }
}

/// A tmpfs, and whatever is on /dev, becomes read-only only when all that goes into it is there.
pub(crate) fn readonly_late(mount: &Decided<'_>) -> bool {
    let readonly =
        (mount.options.attributes.set | mount.options.recursive_attributes.set) & RDONLY != 0;
    readonly
        && mount.method == Method::Filesystem
        && (mount.wire.kind == "tmpfs" || mount.dest == "/dev")
}

/// The steps that [`readonly_late`] put off.
pub(crate) fn finish(mounts: &[Decided<'_>], root: Slot, builder: &mut Builder) {
    for mount in mounts.iter().filter(|mount| readonly_late(mount)) {
        let attr = MountAttr {
            set: RDONLY,
            ..MountAttr::default()
        };
        builder.child(
            ChildOp::Remount {
                root,
                dest: mount.dest.clone(),
                attr,
                options: Vec::new(),
            },
            mount.from(),
        );
    }
}

/// The attributes and the first propagation.
pub(crate) fn attributes(options: &MountOptions) -> MountAttr {
    MountAttr {
        set: options.attributes.set,
        clear: options.attributes.clear,
        set_recursive: options.recursive_attributes.set,
        clear_recursive: options.recursive_attributes.clear,
        propagation: options
            .propagation
            .first()
            .map_or(0, |propagation| propagation.bits()),
    }
}

/// Whether the config mounts something of its own on /dev as it is, so that no nodes and links belong into it.
pub(crate) fn brings_dev(mounts: &[Decided<'_>]) -> bool {
    mounts
        .iter()
        .any(|mount| mount.dest == "/dev" && matches!(mount.method, Method::Bind { .. }))
}

/// /proc is a procfs of the container's own, in which sysctls and what is its process's can be written.
pub(crate) fn brings_proc(mounts: &[Decided<'_>]) -> bool {
    let mut there = mounts.iter().filter(|mount| mount.dest == "/proc");
    let (Some(proc), None) = (there.next(), there.next()) else {
        return false;
    };
    let read_only = attributes(&proc.options).set & RDONLY != 0;
    proc.method == Method::Filesystem && !read_only && proc.options.data.is_empty()
}

/// The host opens a tree.
pub(crate) fn open_tree(
    builder: &mut Builder,
    name: String,
    source: &str,
    recursive: bool,
    from: String,
) -> Slot {
    let slot = builder.handed_slot(name);
    builder.host(
        HostOp::OpenTree {
            slot,
            source: source.to_owned(),
            recursive,
        },
        from,
    );
    slot
}
