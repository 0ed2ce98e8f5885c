//! `USER[:GROUP]` in a container's own `passwd` and `group`, which are read as hostile files: within its root, and not beyond a limit.

use crate::failure::Failure;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

/// Who the program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Groups beside `gid`.
    pub groups: Vec<u32>,
}

/// Bytes of `passwd` or `group` that are read.
const LIMIT: u64 = 1 << 20;

/// Looks up a user in a root; empty means root.
pub fn find(root: &OwnedFd, text: &str) -> Result<User, Failure> {
    let read = |path| read(root, path);
    decide(text, &read("etc/passwd")?, &read("etc/group")?).map_err(Failure::new)
}

fn read(root: &OwnedFd, path: &str) -> Result<String, Failure> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let wrong = |error: std::io::Error| Failure::new(format!("/{path} of the image: {error}"));
    let fd = match openat2(root, path, flags, Mode::empty(), resolve) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        other => other.map_err(|errno| wrong(errno.into()))?,
    };
    let stat = fstat(&fd).map_err(|errno| wrong(errno.into()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Failure::new(format!(
            "/{path} of the image is no regular file"
        )));
    }
    let mut content = Vec::new();
    File::from(fd)
        .take(LIMIT)
        .read_to_end(&mut content)
        .map_err(wrong)?;
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// As docker does: a number need not be listed, a name must be; without a group it is the user's own, with all that list the user.
fn decide(text: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (user, wanted_group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (text, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let entry = lines(passwd, 4).find(|fields| {
        fields[0] == user || (number(user).is_some() && number(fields[2]) == number(user))
    });
    let (uid, own_gid, name) = match &entry {
        Some(fields) => (number(fields[2]), number(fields[3]), Some(fields[0])),
        None => (number(user), Some(0), None),
    };
    let uid = uid
        .ok_or_else(|| format!("unable to find user {user}: no matching entries in passwd file"))?;
    let own_gid =
        own_gid.ok_or_else(|| format!("the user {user} has no valid group in passwd file"))?;
    if let Some(wanted) = wanted_group {
        let found = lines(group, 3).find(|fields| fields[0] == wanted);
        let gid = found
            .and_then(|fields| number(fields[2]))
            .or_else(|| number(wanted));
        let gid = gid.ok_or_else(|| {
            format!("unable to find group {wanted}: no matching entries in group file")
        })?;
        return Ok(User {
            uid,
            gid,
            groups: Vec::new(),
        });
    }
    let listed = lines(group, 4).filter(|fields| {
        name.is_some_and(|name| fields[3].split(',').any(|member| member == name))
    });
    let mut groups: Vec<u32> = listed
        .filter_map(|fields| number(fields[2]))
        .filter(|gid| *gid != own_gid)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(User {
        uid,
        gid: own_gid,
        groups,
    })
}

/// Lines with at least as many fields.
fn lines(text: &str, fields: usize) -> impl Iterator<Item = Vec<&str>> {
    let split = text
        .lines()
        .map(|line| line.trim().split(':').collect::<Vec<_>>());
    split.filter(move |found| {
        found.len() >= fields && !found[0].is_empty() && !found[0].starts_with('#')
    })
}

/// An id that Linux has: the last one means "leave it" to the kernel.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse()
        .ok()
        .filter(|number| digits && *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_groups() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\n# no:x:9:9::\nme:x:1000:100::/home/me:\nbroken:x:y:1::\n7:x:70:71::/:\n";
        let group = "root:x:0:\nusers:x:100:\nwheel:x:10:root,me\naudio:x:29:me\nodd:x:z:me\n";
        let check = |text: &str, expect: Result<(u32, u32, &[u32]), &str>| match (
            decide(text, passwd, group),
            expect,
        ) {
            (Ok(user), Ok(expect)) => {
                assert_eq!((user.uid, user.gid, &user.groups[..]), expect, "{text}")
            }
            (Err(why), Err(expect)) => assert!(why.contains(expect), "{text}: {why}"),
            (found, expect) => panic!("{text}: {found:?}, not {expect:?}"),
        };
        check("", Ok((0, 0, &[10])));
        check("me", Ok((1000, 100, &[10, 29])));
        check("1000", Ok((1000, 100, &[10, 29])));
        check("4711", Ok((4711, 0, &[])));
        check("me:audio", Ok((1000, 29, &[])));
        check("me:4", Ok((1000, 4, &[])));
        check("7", Ok((70, 71, &[])));
        check("nobody", Err("unable to find user nobody"));
        check("broken", Err("unable to find user broken"));
        check("me:nobody", Err("unable to find group nobody"));
        check("4294967295", Err("unable to find user"));
        check("4294967296", Err("unable to find user"));
        check("-1", Err("unable to find user"));
        check("+1", Err("unable to find user"));
    }
}
