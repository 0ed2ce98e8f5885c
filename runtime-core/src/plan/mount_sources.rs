//! Sources of bind mounts that only the host can open, and the id maps of idmapped ones.
use super::builder::Builder;
use super::ids;
use super::ir::{Extent, HostOp};
use super::mounts::{Context, Decided, Method, open_tree};
use crate::config::{At, ConfigError, invalid};
use tare_oci::IdMapping;

/// Fills `tree` and `idmap` of one entry.
pub(crate) fn prepare(
    mount: &mut Decided<'_>,
    context: &Context<'_>,
    builder: &mut Builder,
) -> Result<(), ConfigError> {
    let mapped = mount.options.idmap.is_some()
        || !mount.wire.uid_mappings.is_empty()
        || !mount.wire.gid_mappings.is_empty();
    let Method::Bind { source, recursive } = &mount.method else {
        return if mapped {
            invalid("id-mapped mounts are only supported for bind-mounts")
        } else {
            Ok(())
        };
    };
    // In a user namespace the child isn't root to the host's files any more: a source below /root would be closed to it.
    if mapped || (context.user_namespace && can_open_trees(context)) {
        mount.tree = Some(open_tree(
            builder,
            format!("source-{}", mount.index),
            source,
            *recursive,
            mount.from(),
        ));
    }
    if mapped {
        prepare_idmap(mount, context, builder)?;
    }
    if let (Some(tree), Some((userns, recursive)), true) =
        (mount.tree, mount.idmap, context.user_namespace)
    {
        mount.idmap = None;
        let op = HostOp::MapTree {
            tree,
            userns,
            recursive,
        };
        builder.host(op, mount.from());
    }
    Ok(())
}

/// open_tree(2) with OPEN_TREE_CLONE needs the right to mount where the caller is.
pub(crate) fn can_open_trees(context: &Context<'_>) -> bool {
    !context.rootless && context.facts.has_capability(super::capabilities::SYS_ADMIN)
}

fn prepare_idmap(
    mount: &mut Decided<'_>,
    context: &Context<'_>,
    builder: &mut Builder,
) -> Result<(), ConfigError> {
    if !context.facts.idmapped_mounts {
        return invalid("id-mapped mounts need Linux 5.12");
    }
    if !can_open_trees(context) {
        return invalid("id-mapped mounts are not supported for rootless containers");
    }
    let recursive = mount
        .options
        .idmap
        .as_ref()
        .is_some_and(|idmap| idmap.recursive);
    let inline = mount
        .options
        .idmap
        .as_ref()
        .and_then(|idmap| idmap.inline.as_deref());
    let (uids, gids) = match inline {
        Some(text) => inline_maps(text).field("options")?,
        None if mount.wire.uid_mappings.is_empty() && mount.wire.gid_mappings.is_empty() => {
            match (context.maps, context.joined_user) {
                (_, Some(slot)) => {
                    mount.idmap = Some((slot, recursive));
                    return Ok(());
                }
                (Some((uids, gids)), None) => (uids.to_vec(), gids.to_vec()),
                (None, None) => {
                    return invalid(
                        "id-mapped mounts must have both uid and gid mappings specified, or a user namespace",
                    );
                }
            }
        }
        None => (
            ids::extents(&mount.wire.uid_mappings).field("uidMappings")?,
            ids::extents(&mount.wire.gid_mappings).field("gidMappings")?,
        ),
    };
    let slot = builder.handed_slot(format!("idmap-{}", mount.index));
    builder.host(HostOp::MakeIdmap { slot, uids, gids }, mount.from());
    mount.idmap = Some((slot, recursive));
    Ok(())
}

/// crun's form: `uids=INSIDE-OUTSIDE-SIZE#...;gids=...`.
fn inline_maps(text: &str) -> Result<(Vec<Extent>, Vec<Extent>), ConfigError> {
    let mut maps = [None, None];
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let (place, ranges) = match part.split_once('=') {
            Some(("uids", ranges)) => (0, ranges),
            Some(("gids", ranges)) => (1, ranges),
            _ => return invalid(format!("idmap: {part:?} is neither uids=... nor gids=...")),
        };
        let mappings: Option<Vec<IdMapping>> = ranges.split('#').map(inline_range).collect();
        let Some(mappings) = mappings else {
            return invalid(format!(
                "idmap: {ranges:?} is not of the form INSIDE-OUTSIDE-SIZE#..."
            ));
        };
        maps[place] = Some(ids::extents(&mappings)?);
    }
    match maps {
        [Some(uids), Some(gids)] => Ok((uids, gids)),
        _ => invalid("idmap: both uids= and gids= are needed"),
    }
}

fn inline_range(text: &str) -> Option<IdMapping> {
    let mut numbers = text.splitn(3, '-').map(|number| number.parse::<u32>().ok());
    let (container_id, host_id, size) = (numbers.next()??, numbers.next()??, numbers.next()??);
    Some(IdMapping {
        container_id,
        host_id,
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let show = |extents: &[Extent]| {
            let words = extents
                .iter()
                .map(|extent| format!("{}:{}:{}", extent.inside, extent.outside, extent.size));
            words.collect::<Vec<_>>().join(",")
        };
        let result = match inline_maps(text) {
            Ok((uids, gids)) => format!("{} {}", show(&uids), show(&gids)),
            Err(error) => error.to_string(),
        };
        assert!(result.contains(expect), "{text}: {result}");
    }

    #[test]
    fn inline() {
        check("uids=0-1000-10;gids=0-2000-5", "0:1000:10 0:2000:5");
        check(
            "gids=0-0-1;uids=0-1000-10#10-5000-1;",
            "0:1000:10,10:5000:1 0:0:1",
        );
        check("uids=0-1000-10", "both uids= and gids= are needed");
        check(
            "uids=0-1000;gids=0-0-1",
            "not of the form INSIDE-OUTSIDE-SIZE",
        );
        check("uids=@0-0-1;gids=0-0-1", "not of the form");
        check("x=1", "is neither uids=");
        check("uids=0-0-0;gids=0-0-1", "size: must not be 0");
    }
}
