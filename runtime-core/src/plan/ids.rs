//! User and group ids, and the maps of a user namespace.
use super::ir::Extent;
use crate::config::{At, ConfigError, invalid};
use tare_oci::{IdMapping, User};

/// Extents that the kernel takes in one map (UID_GID_MAP_MAX_EXTENTS, Linux 4.15).
pub const MAX_EXTENTS: usize = 340;

/// The ids that the container's program runs with, as seen inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// uid.
    pub uid: u32,
    /// gid.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// `process.user`.
///
/// # Errors
/// An id outside `0..=4294967294`: the highest 32-bit value means "no id" to the kernel, and one that wrapped would be somebody
/// else's, perhaps root's (CVE-2024-40635).
pub fn user(user: &User) -> Result<Ids, ConfigError> {
    let groups = user
        .additional_gids
        .iter()
        .enumerate()
        .map(|(index, gid)| id(*gid).index(index));
    Ok(Ids {
        uid: id(user.uid).field("uid")?,
        gid: id(user.gid).field("gid")?,
        groups: groups.collect::<Result<_, _>>().field("additionalGids")?,
    })
}

fn id(value: i64) -> Result<u32, ConfigError> {
    match u32::try_from(value) {
        Ok(u32::MAX) | Err(_) => invalid(format!("{value} is not an id; ids are 0 to 4294967294")),
        Ok(id) => Ok(id),
    }
}

/// A uid or gid map as the kernel will take it.
///
/// # Errors
/// No extent, too many, an empty one, one that ends above the last id, or two that overlap on either side.
pub fn extents(mappings: &[IdMapping]) -> Result<Vec<Extent>, ConfigError> {
    if mappings.is_empty() {
        return invalid("is empty, so no id would exist inside");
    }
    if mappings.len() > MAX_EXTENTS {
        return invalid(format!(
            "has {} extents and the kernel takes at most {MAX_EXTENTS}",
            mappings.len()
        ));
    }
    let extents = mappings
        .iter()
        .enumerate()
        .map(|(index, mapping)| extent(mapping).index(index));
    let extents: Vec<Extent> = extents.collect::<Result<_, _>>()?;
    no_overlap(&extents, "inside", |extent| extent.inside)?;
    no_overlap(&extents, "outside", |extent| extent.outside)?;
    Ok(extents)
}

fn extent(mapping: &IdMapping) -> Result<Extent, ConfigError> {
    if mapping.size == 0 {
        return invalid("must not be 0").field("size");
    }
    for (name, first) in [
        ("containerID", mapping.container_id),
        ("hostID", mapping.host_id),
    ] {
        if first.checked_add(mapping.size).is_none() {
            return invalid(format!(
                "{first} plus size {} ends above the last id, 4294967294",
                mapping.size
            ))
            .field(name);
        }
    }
    Ok(Extent {
        inside: mapping.container_id,
        outside: mapping.host_id,
        size: mapping.size,
    })
}

fn no_overlap(
    extents: &[Extent],
    side: &str,
    first: impl Fn(&Extent) -> u32,
) -> Result<(), ConfigError> {
    let mut order: Vec<usize> = (0..extents.len()).collect();
    order.sort_by_key(|&index| first(&extents[index]));
    for pair in order.windows(2) {
        let (low, high) = (&extents[pair[0]], &extents[pair[1]]);
        if first(high) - first(low) < low.size {
            return invalid(format!("overlaps extent {} on the {side}", pair[0])).index(pair[1]);
        }
    }
    Ok(())
}

/// The id outside of one inside.
#[must_use]
pub fn outside(map: &[Extent], inside: u32) -> Option<u32> {
    map.iter().find_map(|extent| {
        let offset = inside.checked_sub(extent.inside)?;
        (offset < extent.size).then(|| extent.outside + offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> Vec<IdMapping> {
        text.split_whitespace()
            .map(|word| {
                let numbers: Vec<u32> = word
                    .split(':')
                    .map(|number| number.parse().unwrap())
                    .collect();
                IdMapping {
                    container_id: numbers[0],
                    host_id: numbers[1],
                    size: numbers[2],
                }
            })
            .collect()
    }

    fn check(text: &str, expect: &str) {
        let result = match extents(&map(text)) {
            Ok(extents) => extents
                .iter()
                .map(|extent| format!("{}:{}:{}", extent.inside, extent.outside, extent.size))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => error.to_string(),
        };
        assert_eq!(result, expect, "{text}");
    }

    #[test]
    fn maps() {
        check("0:100000:65536", "0:100000:65536");
        check("0:1000:1 1:100000:65535", "0:1000:1 1:100000:65535");
        check("5:5:1 0:0:5", "5:5:1 0:0:5");
        check("0:0:4294967295", "0:0:4294967295");
        check("", "config: is empty, so no id would exist inside");
        check("0:0:0", "[0].size: must not be 0");
        check(
            "1:0:4294967295",
            "[0].containerID: 1 plus size 4294967295 ends above the last id, 4294967294",
        );
        check(
            "0:4294967295:1",
            "[0].hostID: 4294967295 plus size 1 ends above the last id, 4294967294",
        );
        check("0:0:10 9:100:1", "[1]: overlaps extent 0 on the inside");
        check(
            "0:100:10 20:0:1 30:109:5",
            "[2]: overlaps extent 0 on the outside",
        );
        check("20:0:1 10:50:30", "[0]: overlaps extent 1 on the inside");
    }

    #[test]
    fn many_extents() {
        let many = |count: u32| {
            (0..count)
                .map(|n| IdMapping {
                    container_id: n,
                    host_id: n,
                    size: 1,
                })
                .collect::<Vec<_>>()
        };
        assert!(extents(&many(340)).is_ok());
        assert!(
            extents(&many(341))
                .unwrap_err()
                .reason
                .contains("at most 340")
        );
    }

    #[test]
    fn outside_ids() {
        let extents = extents(&map("0:1000:1 1:100000:10")).unwrap();
        for (inside, expect) in [
            (0, Some(1000)),
            (1, Some(100_000)),
            (10, Some(100_009)),
            (11, None),
            (u32::MAX, None),
        ] {
            assert_eq!(outside(&extents, inside), expect);
        }
    }

    #[test]
    fn users() {
        let of = |uid: i64, gid: i64, groups: &[i64]| {
            user(&User {
                uid,
                gid,
                umask: None,
                additional_gids: groups.to_vec(),
            })
        };
        assert_eq!(
            of(1, 2, &[3, 4]).unwrap(),
            Ids {
                uid: 1,
                gid: 2,
                groups: vec![3, 4]
            }
        );
        assert_eq!(of(4_294_967_294, 0, &[]).unwrap().uid, 4_294_967_294);
        assert!(
            of(2_147_483_648, 0, &[]).is_ok(),
            "a valid 32-bit id that is above i32 is itself, not root"
        );
        for (uid, gid, groups, place) in [
            (4_294_967_295, 0, vec![], "uid"),
            (4_294_967_296, 0, vec![], "uid"),
            (-1, 0, vec![], "uid"),
            (0, -1, vec![], "gid"),
            (0, i64::MAX, vec![], "gid"),
            (0, 0, vec![1, 1 << 32], "additionalGids[1]"),
        ] {
            assert_eq!(of(uid, gid, &groups).unwrap_err().path, place);
        }
    }
}
