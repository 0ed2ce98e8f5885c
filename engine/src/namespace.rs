//! Working without root: a user namespace in which the caller is root, with the ids that `/etc/subuid` and `/etc/subgid` give it.
//!
//! So the files of images and containers get owners of their own, and what root does works the same way.
//! Without a range there is one id: all files belong to the caller, and programs run as root of the container only.

use crate::failure::Failure;
use rustix::mount::{MountPropagationFlags, mount_change};
use std::fs;
use std::os::fd::AsRawFd;
use tare_oci::IdMapping;

/// Makes a user that is not root the root of a namespace of its own. Root stays what it is.
///
/// Only while the process has one thread, as the kernel demands it (setns(2)).
pub fn enter() -> Result<(), Failure> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok(());
    }
    let (uid, gid) = (user.as_raw(), rustix::process::getegid().as_raw());
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let name = name_of(uid, &read("/etc/passwd"));
    let range = |file| ranges(&read(file), uid, name.as_deref());
    let (uids, gids) = (range("/etc/subuid"), range("/etc/subgid"));
    let helpers = ["newuidmap", "newgidmap"]
        .iter()
        .all(|name| fs::exists(format!("/usr/bin/{name}")).unwrap_or(false));
    let maps = match helpers && !uids.is_empty() && !gids.is_empty() {
        true => (map(uid, &uids), map(gid, &gids)),
        false => (map(uid, &[]), map(gid, &[])),
    };
    let namespace = tare_runtime::user_namespace(&maps.0, &maps.1).map_err(|error| {
        let hint = error
            .hint()
            .map(|hint| format!(" ({hint})"))
            .unwrap_or_default();
        Failure::new(format!(
            "without root it takes a user namespace: {}{hint}",
            error.report()
        ))
    })?;
    const USER: u32 = 0x1000_0000;
    tare_sys::ns::join(tare_sys::Fd::new(namespace.as_raw_fd()), USER)
        .map_err(|errno| Failure::new(format!("join the user namespace: errno {}", errno.get())))
}

/// A mount namespace of this process, which takes from outside and gives nothing back.
pub fn own_mounts() -> Result<(), Failure> {
    const MOUNTS: u32 = 0x0002_0000;
    tare_sys::ns::unshare(MOUNTS).map_err(|errno| {
        Failure::new(format!(
            "a mount namespace of its own: errno {}",
            errno.get()
        ))
    })?;
    let below = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", below)
        .map_err(|errno| Failure::new(format!("keep mounts to itself below /: {errno}")))
}

/// Whether a group has a number here.
pub fn maps_group(gid: u32) -> bool {
    let text = fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    text.lines().any(|line| {
        let mut numbers = line
            .split_whitespace()
            .map(|word| word.parse::<u64>().unwrap_or(0));
        let (first, _, size) = (numbers.next(), numbers.next(), numbers.next());
        first
            .zip(size)
            .is_some_and(|(first, size)| (first..first + size).contains(&gid.into()))
    })
}

/// The caller is 0, and the ranges follow one another from 1.
fn map(own: u32, ranges: &[(u32, u32)]) -> Vec<IdMapping> {
    let mut map = vec![IdMapping {
        container_id: 0,
        host_id: own,
        size: 1,
    }];
    let mut next: u32 = 1;
    for (first, size) in ranges {
        // Numbers end before the one that means none.
        let size = (*size).min(u32::MAX - next);
        if size > 0 {
            map.push(IdMapping {
                container_id: next,
                host_id: *first,
                size,
            });
            next += size;
        }
    }
    map
}

/// A user's ranges in one of the files: `NAME:FIRST:COUNT`, by name or number (subuid(5)).
fn ranges(text: &str, uid: u32, name: Option<&str>) -> Vec<(u32, u32)> {
    let number = uid.to_string();
    let own = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (owner, first, size) = (fields.next()?, fields.next()?, fields.next()?);
        let owned = owner == number || Some(owner) == name;
        let (first, size): (u32, u32) = (first.parse().ok()?, size.parse().ok()?);
        // A range that leaves the numbers, or that has the caller's own, is no map.
        let end = first.checked_add(size)?;
        (owned && size > 0 && !(first..end).contains(&uid)).then_some((first, size))
    });
    own.collect()
}

fn name_of(uid: u32, passwd: &str) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_a_user() {
        let text = "# nobody:1:1\nroot:100000:65536\nme:200000:10\n1000:300000:5\nme:x:1\nme:7:0\nme:4294967295:9\nme:900:200\nyou:400000:5\n";
        assert_eq!(
            ranges(text, 1000, Some("me")),
            [(200_000, 10), (300_000, 5)]
        );
        assert_eq!(ranges(text, 1001, None), []);
        assert_eq!(
            name_of(7, "root:x:0:0\nme:x:7:8::\n").as_deref(),
            Some("me")
        );
        assert_eq!(name_of(70, "root:x:0:0\nme:x:7:8::\n"), None);
    }

    #[test]
    fn maps_follow_one_another() {
        let shown = |ranges: &[(u32, u32)]| -> Vec<(u32, u32, u32)> {
            let map = map(1000, ranges);
            map.iter()
                .map(|map| (map.container_id, map.host_id, map.size))
                .collect()
        };
        assert_eq!(shown(&[]), [(0, 1000, 1)]);
        assert_eq!(
            shown(&[(200_000, 10), (300_000, 5)]),
            [(0, 1000, 1), (1, 200_000, 10), (11, 300_000, 5)]
        );
        assert_eq!(
            shown(&[(1, u32::MAX - 1), (5, 5)])[1..],
            [(1, 1, u32::MAX - 1)]
        );
    }
}
