//! The root: its propagation, becoming `/`, read-only, and the paths that are hidden or closed within it.
use super::builder::Builder;
use super::facts::PlanOptions;
use super::ir::{ChildOp, MountAttr, Namespaces, Slot};
use super::mount_options::{Propagation, PropagationKind, RDONLY};
use super::text::{absolute, clean, no_nul};
use crate::config::{At, ConfigError, invalid};
use std::collections::HashSet;
use tare_oci::{Linux, Spec};

/// The root, decided.
pub(crate) struct Decided {
    /// Absolute path on the host.
    pub(crate) path: String,
    pub(crate) readonly: bool,
    /// `rootfsPropagation`, if given.
    propagation: Option<Propagation>,
    no_pivot: bool,
    /// The config asks for the caller's mount namespace. The mounts are made in one of the child's own all the same, and the
    /// child takes them along when it leaves that for the caller's: nothing is ever mounted on the host, and nothing stays.
    pub(crate) shares_mounts: bool,
}

/// `root` and `linux.rootfsPropagation`.
pub(crate) fn decide(
    spec: &Spec,
    own: Namespaces,
    options: &PlanOptions,
) -> Result<Decided, ConfigError> {
    let Some(root) = &spec.root else {
        return invalid("root must be specified").field("root");
    };
    if root.path.is_empty() {
        return invalid("is needed").field("root.path");
    }
    no_nul(&root.path).field("root.path")?;
    let path = options
        .bundle
        .join(&root.path)
        .to_string_lossy()
        .into_owned();
    absolute(&path).field("root.path")?;
    let shares_mounts = !own.has(Namespaces::MOUNT);
    if shares_mounts && own.has(Namespaces::USER) {
        return invalid(
            "a user namespace needs a mount namespace: it gives no right to enter the caller's",
        )
        .field("linux.namespaces");
    }
    let text = spec
        .linux
        .as_ref()
        .map_or("", |linux| linux.rootfs_propagation.as_str());
    if shares_mounts && !text.is_empty() {
        return invalid("needs a mount namespace in linux.namespaces")
            .field("linux.rootfsPropagation");
    }
    let propagation = propagation(text, options.no_pivot).field("linux.rootfsPropagation")?;
    Ok(Decided {
        path,
        readonly: root.readonly,
        propagation,
        no_pivot: options.no_pivot,
        shares_mounts,
    })
}

fn propagation(text: &str, no_pivot: bool) -> Result<Option<Propagation>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let Some(propagation) = Propagation::named(text) else {
        return invalid(format!(
            "{text:?} is not one of private, shared, slave, unbindable, or one of these with an r in front"
        ));
    };
    if no_pivot && propagation.kind == PropagationKind::Private {
        return invalid("[r]private is not safe without pivot_root");
    }
    Ok(Some(propagation))
}

/// Before the mounts: what the caller's mounts and the container's tell each other, and the root as a mount of its own.
pub(crate) fn begin(root: &Decided, slot: Slot, tree: Option<Slot>, builder: &mut Builder) {
    let from = "linux.rootfsPropagation";
    builder.child(
        ChildOp::Propagation(before_the_mounts(root.propagation).bits()),
        from,
    );
    builder.child(
        ChildOp::BindRoot {
            root: slot,
            path: root.path.clone(),
            tree,
        },
        "root.path",
    );
}

/// The caller's mounts, as the child's namespace sees them. Unless the container is to share, all of them are cut off, whatever
/// the word says of the root alone: a mount beneath `/` that stays shared would carry the container's mounts, and the detach of
/// the old root, to the host. Unbindable comes when the binds are made.
fn before_the_mounts(asked: Option<Propagation>) -> Propagation {
    let kind = match asked {
        Some(
            shared @ Propagation {
                kind: PropagationKind::Shared,
                ..
            },
        ) => return shared,
        None
        | Some(Propagation {
            kind: PropagationKind::Slave,
            ..
        }) => PropagationKind::Slave,
        Some(_) => PropagationKind::Private,
    };
    Propagation {
        kind,
        recursive: true,
    }
}

/// The root becomes `/`; `callers` is the caller's mount namespace, if the container shares that.
pub(crate) fn enter(root: &Decided, slot: Slot, callers: Option<Slot>, builder: &mut Builder) {
    if let Some(callers) = callers {
        if root.readonly {
            // Before Linux 5.12 only what is attached can be changed.
            let op = ChildOp::Remount {
                root: slot,
                dest: "/".to_owned(),
                attr: MountAttr {
                    set: RDONLY,
                    ..MountAttr::default()
                },
                options: Vec::new(),
            };
            builder.child(op, "root.readonly");
        }
        let tree = builder.slot("root-copy");
        builder.child(ChildOp::CloneRoot { root: slot, tree }, "linux.namespaces");
        builder.child(ChildOp::NonDumpable, "linux.namespaces");
        builder.child(
            ChildOp::Join {
                slot: callers,
                kind: Namespaces::MOUNT,
            },
            "linux.namespaces",
        );
        builder.child(ChildOp::Chroot(tree), "root.path");
        return;
    }
    builder.child(
        if root.no_pivot {
            ChildOp::MoveRoot(slot)
        } else {
            ChildOp::PivotRoot(slot)
        },
        "root.path",
    );
    // Private and slave were in force before; shared and unbindable could not be before the root was its own.
    if let Some(propagation) = root.propagation
        && matches!(
            propagation.kind,
            PropagationKind::Shared | PropagationKind::Unbindable
        )
    {
        builder.child(
            ChildOp::RootPropagation(propagation.bits()),
            "linux.rootfsPropagation",
        );
    }
}

/// Checked `maskedPaths` and `readonlyPaths`.
pub(crate) struct Restricted {
    masked: Vec<(String, String)>,
    readonly: Vec<(String, String)>,
}

/// Reads both lists; a path given twice is done once.
pub(crate) fn restricted(linux: &Linux) -> Result<Restricted, ConfigError> {
    Ok(Restricted {
        masked: paths(&linux.masked_paths, "linux.maskedPaths")?,
        readonly: paths(&linux.readonly_paths, "linux.readonlyPaths")?,
    })
}

fn paths(list: &[String], field: &str) -> Result<Vec<(String, String)>, ConfigError> {
    let mut decided: Vec<(String, String)> = Vec::with_capacity(list.len());
    let mut known = HashSet::new();
    for (index, path) in list.iter().enumerate() {
        let path = clean(no_nul(path).index(index).field(field)?);
        if path == "/" {
            return invalid("is the container's root").index(index).field(field);
        }
        if known.insert(path.clone()) {
            decided.push((path, format!("{field}[{index}]")));
        }
    }
    Ok(decided)
}

/// After the root is `/`: hide, close, and close the root itself.
pub(crate) fn restrict(root: &Decided, restricted: &Restricted, null: Slot, builder: &mut Builder) {
    for (path, from) in &restricted.masked {
        builder.child(
            ChildOp::Mask {
                path: path.clone(),
                null,
            },
            from.clone(),
        );
    }
    for (path, from) in &restricted.readonly {
        builder.child(ChildOp::ReadonlyPath(path.clone()), from.clone());
    }
    if root.readonly && !root.shares_mounts {
        builder.child(ChildOp::RootReadonly, "root.readonly");
    }
}

#[cfg(test)]
mod tests {
    use super::super::mount_options::MS_REC;
    use super::*;

    #[test]
    fn propagations() {
        for (text, no_pivot, expect) in [
            ("", false, Ok(None)),
            ("rshared", false, Ok(Some((1 << 20, true)))),
            ("slave", false, Ok(Some((1 << 19, false)))),
            ("rprivate", false, Ok(Some((1 << 18, true)))),
            ("unbindable", true, Ok(Some((1 << 17, false)))),
            (
                "private",
                true,
                Err("[r]private is not safe without pivot_root"),
            ),
            (
                "rprivate",
                true,
                Err("[r]private is not safe without pivot_root"),
            ),
            ("sharedd", false, Err("\"sharedd\" is not one of private")),
        ] {
            match (propagation(text, no_pivot), expect) {
                (Ok(decided), Ok(expect)) => {
                    let bits = decided
                        .map(|decided| (decided.bits() & !MS_REC, decided.bits() & MS_REC != 0));
                    assert_eq!(bits, expect, "{text}");
                }
                (Err(error), Err(expect)) => {
                    assert!(error.reason.starts_with(expect), "{text}: {error}")
                }
                (decided, _) => panic!("{text}: {decided:?}"),
            }
        }
    }

    #[test]
    fn restricted_paths() {
        let list = |paths: &[&str]| {
            paths
                .iter()
                .map(|path| (*path).to_owned())
                .collect::<Vec<_>>()
        };
        let decided = paths(&list(&["/proc/kcore", "/proc//kcore/", "proc/keys"]), "m").unwrap();
        let decided: Vec<&str> = decided.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(decided, ["/proc/kcore", "/proc/keys"]);
        assert_eq!(
            paths(&list(&["/a", "/"]), "m").unwrap_err().to_string(),
            "m[1]: is the container's root"
        );
        assert_eq!(paths(&list(&["/a\0"]), "m").unwrap_err().path, "m[0]");
    }
}
