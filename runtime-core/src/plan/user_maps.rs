//! Who writes the id maps of a new user namespace, and whether its processes may call setgroups(2).
use super::capabilities::{SETFCAP, SETGID, SETUID};
use super::facts::HostFacts;
use super::ids::{Ids, outside};
use super::ir::{Extent, HostOp, MapWriter};
use crate::config::{At, ConfigError, invalid};

/// The step, and whether setgroups(2) is denied inside.
pub(crate) struct Decided {
    pub(crate) write: HostOp,
    pub(crate) groups_denied: bool,
}

/// Decides who writes.
///
/// The kernel lets an unprivileged process write only a map of its own single id, and only with setgroups denied (a group that
/// takes rights away could be left otherwise); every other map needs newuidmap(1) and newgidmap(1), which know /etc/subuid.
pub(crate) fn decide(
    uids: &[Extent],
    gids: &[Extent],
    facts: &HostFacts,
) -> Result<Decided, ConfigError> {
    let (writer, deny) = writer(uids, gids, facts)?;
    let write = HostOp::WriteMaps {
        uids: uids.to_vec(),
        gids: gids.to_vec(),
        deny_setgroups: deny,
        writer,
    };
    Ok(Decided {
        write,
        // What an outer user namespace denies, every inner one denies too.
        groups_denied: deny || facts.setgroups_denied,
    })
}

/// The same without the step: who writes, and whether setgroups(2) must be denied for it.
pub(crate) fn writer(
    uids: &[Extent],
    gids: &[Extent],
    facts: &HostFacts,
) -> Result<(MapWriter, bool), ConfigError> {
    within("linux.uidMappings", uids, &facts.own_uids)?;
    within("linux.gidMappings", gids, &facts.own_gids)?;
    for (field, map) in [("linux.uidMappings", uids), ("linux.gidMappings", gids)] {
        if outside(map, 0).is_none() {
            return invalid("needs an id for 0: the container is set up by its own root")
                .field(field);
        }
    }
    let privileged = facts.has_capability(SETUID) && facts.has_capability(SETGID);
    let own = own(uids, facts.uid) && own(gids, facts.gid);
    let writer = match (&facts.newuidmap, &facts.newgidmap) {
        _ if privileged || own => {
            // user_namespaces(7): since Linux 5.12 this keeps file capabilities of uid 0 from whoever was denied them.
            if facts.kernel_at_least(5, 12) && !facts.has_capability(SETFCAP) && takes(uids, 0) {
                return invalid(
                    "maps the caller's own uid 0, which takes CAP_SETFCAP, and the caller lacks it; let whoever started the caller give it that capability",
                )
                .field("linux.uidMappings");
            }
            MapWriter::Direct
        }
        (Some(uid), Some(_)) if facts.no_new_privileges => {
            return invalid(format!(
                "takes {uid}, which can't gain its rights: no_new_privs is set for the caller; start it without, or map only the caller's own id ({})",
                facts.uid
            ))
            .field("linux.uidMappings");
        }
        (Some(uid), Some(gid)) => MapWriter::Helpers {
            uid: uid.clone(),
            gid: gid.clone(),
        },
        _ => {
            return invalid(format!(
                "this user may map only its own id ({}); for more, install newuidmap and newgidmap (package uidmap)",
                facts.uid
            ))
            .field("linux.uidMappings");
        }
    };
    Ok((writer, !privileged && own))
}

/// The kernel takes an extent only if one extent of the caller's own map holds all of it.
fn within(field: &str, map: &[Extent], own: &[Extent]) -> Result<(), ConfigError> {
    if own.is_empty() {
        return Ok(());
    }
    let last = |first: u32, size: u32| u64::from(first) + u64::from(size) - 1;
    let holds = |extent: &Extent, outer: &Extent| {
        outer.inside <= extent.outside
            && last(extent.outside, extent.size) <= last(outer.inside, outer.size)
    };
    let range = |first: u32, size: u32| match size {
        1 => first.to_string(),
        _ => format!("{first}-{}", last(first, size)),
    };
    for (index, extent) in map.iter().enumerate() {
        if !own.iter().any(|outer| holds(extent, outer)) {
            let known: Vec<String> = own
                .iter()
                .map(|outer| range(outer.inside, outer.size))
                .collect();
            return invalid(format!(
                "{} isn't within one range of the caller's own user namespace, which has the ids {}",
                range(extent.outside, extent.size),
                known.join(", ")
            ))
            .field("hostID")
            .index(index)
            .field(field);
        }
    }
    Ok(())
}

fn takes(map: &[Extent], id: u32) -> bool {
    map.iter().any(|extent| {
        id.checked_sub(extent.outside)
            .is_some_and(|offset| offset < extent.size)
    })
}

fn own(map: &[Extent], id: u32) -> bool {
    matches!(map, [only] if only.size == 1 && only.outside == id)
}

/// Refuses ids that don't exist inside.
pub(crate) fn check_ids(ids: &Ids, uids: &[Extent], gids: &[Extent]) -> Result<(), ConfigError> {
    if outside(uids, ids.uid).is_none() {
        return invalid(format!(
            "cannot setuid to unmapped uid {} in user namespace",
            ids.uid
        ))
        .field("process.user.uid");
    }
    if outside(gids, ids.gid).is_none() {
        return invalid(format!(
            "cannot setgid to unmapped gid {} in user namespace",
            ids.gid
        ))
        .field("process.user.gid");
    }
    for (index, gid) in ids.groups.iter().enumerate() {
        if outside(gids, *gid).is_none() {
            return invalid(format!("gid {gid} is not mapped in the user namespace"))
                .index(index)
                .field("process.user.additionalGids");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::facts;
    use super::*;

    const fn extent(inside: u32, outside: u32, size: u32) -> Extent {
        Extent {
            inside,
            outside,
            size,
        }
    }

    fn check(map: &[Extent], facts: &HostFacts, expect: &str) {
        let result = match decide(map, map, facts) {
            Ok(Decided {
                write:
                    HostOp::WriteMaps {
                        writer: MapWriter::Direct,
                        deny_setgroups,
                        ..
                    },
                groups_denied,
            }) => {
                assert!(groups_denied || !deny_setgroups);
                format!("direct{}", if groups_denied { " denied" } else { "" })
            }
            Ok(decided) => format!(
                "helpers{}",
                if decided.groups_denied { " denied" } else { "" }
            ),
            Err(error) => error.to_string(),
        };
        assert!(result.starts_with(expect), "{result}");
    }

    #[test]
    fn writers() {
        let many = [extent(0, 1000, 1), extent(1, 100_000, 65536)];
        check(&many, &facts(), "direct");
        let user = HostFacts {
            uid: 1000,
            gid: 1000,
            capabilities: 0,
            ..facts()
        };
        check(&[extent(0, 1000, 1)], &user, "direct denied");
        check(
            &[extent(7, 1000, 1)],
            &user,
            "linux.uidMappings: needs an id for 0",
        );
        check(&many, &user, "helpers");
        check(&[extent(0, 1001, 1)], &user, "helpers");
        let bare = HostFacts {
            newgidmap: None,
            ..user
        };
        check(
            &many,
            &bare,
            "linux.uidMappings: this user may map only its own id (1000)",
        );
        check(&[extent(0, 1000, 1)], &bare, "direct denied");
    }

    #[test]
    fn in_a_user_namespace() {
        let nested = HostFacts {
            own_uids: vec![extent(0, 1000, 1), extent(1, 100_000, 1000)],
            own_gids: vec![extent(0, 1000, 1), extent(1, 100_000, 1000)],
            ..facts()
        };
        check(&[extent(0, 0, 1)], &nested, "direct");
        check(&[extent(0, 1, 1000)], &nested, "direct");
        let refusal = "isn't within one range of the caller's own user namespace, which has the ids 0, 1-1000";
        for map in [
            [extent(0, 0, 2)],
            [extent(0, 1, 1001)],
            [extent(0, 5000, 1)],
        ] {
            let error = match decide(&map, &map, &nested) {
                Ok(_) => String::new(),
                Err(error) => error.to_string(),
            };
            assert!(
                error.starts_with("linux.uidMappings[0].hostID: ") && error.ends_with(refusal),
                "{error}"
            );
        }
        let denied = HostFacts {
            setgroups_denied: true,
            ..nested.clone()
        };
        let decided = decide(&[extent(0, 0, 1)], &[extent(0, 0, 1)], &denied).unwrap();
        assert!(decided.groups_denied);
        assert!(matches!(
            decided.write,
            HostOp::WriteMaps {
                deny_setgroups: false,
                ..
            }
        ));
        // Without CAP_SETFCAP the caller's uid 0 can't be handed on; other ids can.
        let bare = HostFacts {
            capabilities: facts().capabilities & !(1 << SETFCAP),
            ..nested
        };
        check(
            &[extent(0, 0, 1)],
            &bare,
            "linux.uidMappings: maps the caller's own uid 0, which takes CAP_SETFCAP",
        );
        check(&[extent(0, 1, 10)], &bare, "direct");
        let old = HostFacts {
            kernel: (5, 10),
            ..bare
        };
        check(&[extent(0, 0, 1)], &old, "direct");
    }

    #[test]
    fn no_new_privileges() {
        let user = HostFacts {
            uid: 1000,
            gid: 1000,
            capabilities: 0,
            no_new_privileges: true,
            ..facts()
        };
        check(&[extent(0, 1000, 1)], &user, "direct denied");
        check(
            &[extent(0, 1000, 1), extent(1, 100_000, 65536)],
            &user,
            "linux.uidMappings: takes /usr/bin/newuidmap, which can't gain its rights: no_new_privs",
        );
    }

    #[test]
    fn ids_must_exist_inside() {
        let map = [extent(0, 1000, 10)];
        let ids = |uid, gid, groups: &[u32]| Ids {
            uid,
            gid,
            groups: groups.to_vec(),
        };
        assert!(check_ids(&ids(9, 0, &[3]), &map, &map).is_ok());
        for (ids, path) in [
            (ids(10, 0, &[]), "process.user.uid"),
            (ids(0, 10, &[]), "process.user.gid"),
            (ids(0, 0, &[1, 10]), "process.user.additionalGids[1]"),
        ] {
            assert_eq!(check_ids(&ids, &map, &map).unwrap_err().path, path);
        }
    }
}
