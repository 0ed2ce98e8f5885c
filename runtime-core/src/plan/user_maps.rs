//! Who writes the id maps of a new user namespace, and whether its processes may call setgroups(2).
use super::capabilities::{SETGID, SETUID};
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
    let privileged = facts.has_capability(SETUID) && facts.has_capability(SETGID);
    let own = own(uids, facts.uid) && own(gids, facts.gid);
    let writer = match (&facts.newuidmap, &facts.newgidmap) {
        _ if privileged || own => MapWriter::Direct,
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
    let groups_denied = !privileged && own;
    let write = HostOp::WriteMaps {
        uids: uids.to_vec(),
        gids: gids.to_vec(),
        deny_setgroups: groups_denied,
        writer,
    };
    Ok(Decided {
        write,
        groups_denied,
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
                assert_eq!(deny_setgroups, groups_denied);
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
        check(&[extent(7, 1000, 1)], &user, "direct denied");
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
