//! HOME from the container's own passwd file, read line by line through a fixed buffer.
use crate::fs;
use crate::open_beneath;
use crate::run::Machine;
use crate::text::PathBuffer;
use tare_sys::path::{Resolve, flags};
use tare_sys::{Fd, Result, fd};

/// Most bytes of passwd that are read: a file without end must not hold the start up.
const LIMIT: usize = 4 << 20;

/// Fills the program's empty `HOME=`. What the container's file can't tell gives `/`, never an error: it is the image's file.
pub(crate) fn find(m: &mut Machine<'_>, uid: u32) -> Result<()> {
    let Some((env, index)) = m.program.find_variable(c"HOME=") else {
        return Ok(());
    };
    let mut entry = PathBuffer::new();
    entry.push(b"HOME=")?;
    if !look_up(uid, &mut entry) {
        entry.push(b"/")?;
    }
    m.env = Some(env.with(index, entry.as_c()?)?);
    Ok(())
}

fn look_up(uid: u32, entry: &mut PathBuffer) -> bool {
    let Ok(root) = fs::open_root() else {
        return false;
    };
    let file = open_beneath(
        root,
        c"etc/passwd",
        flags::READ | flags::NONBLOCK | flags::NOCTTY,
        0,
        Resolve::InRoot,
    );
    fd::close(root);
    let Ok(file) = file else { return false };
    let regular = fd::stat(file).is_ok_and(|stat| stat.mode & flags::S_IFMT == flags::S_IFREG);
    let found = regular && scan(file, uid, entry);
    fd::close(file);
    found
}

/// Lines longer than the buffer are passed over.
pub(crate) fn scan(file: Fd, uid: u32, entry: &mut PathBuffer) -> bool {
    let mut buffer = [0u8; 4096];
    let (mut held, mut total, mut skipping) = (0usize, 0usize, false);
    while total < LIMIT {
        let Some(space) = buffer.get_mut(held..).filter(|space| !space.is_empty()) else {
            held = 0;
            skipping = true;
            continue;
        };
        let Ok(n) = fd::read(file, space) else {
            return false;
        };
        total = total.saturating_add(n);
        let end = held.saturating_add(n);
        let mut start = 0;
        while let Some(rest) = buffer.get(start..end) {
            let line = match rest.iter().position(|byte| *byte == b'\n') {
                Some(length) => rest.get(..length).unwrap_or_default(),
                None if n == 0 && !rest.is_empty() => rest,
                None => break,
            };
            if !skipping && let Some(home) = home_of(line, uid) {
                return entry.push(home).is_ok();
            }
            skipping = false;
            start = start.saturating_add(line.len()).saturating_add(1);
        }
        if n == 0 {
            return false;
        }
        let (mut to, mut from) = (0usize, start);
        while from < end {
            let byte = buffer.get(from).copied().unwrap_or(0);
            if let Some(place) = buffer.get_mut(to) {
                *place = byte;
            }
            to = to.saturating_add(1);
            from = from.saturating_add(1);
        }
        held = to;
    }
    false
}

/// name:password:uid:gid:comment:home:shell (passwd(5)).
fn home_of(line: &[u8], uid: u32) -> Option<&[u8]> {
    let mut fields = line.split(|byte| *byte == b':');
    let number = fields.nth(2)?;
    let mut value = 0u32;
    for byte in number {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value = value.checked_mul(10)?.checked_add(u32::from(digit))?;
    }
    let home = fields.nth(2)?;
    (!number.is_empty() && value == uid && !home.is_empty() && !home.contains(&0)).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::home_of;

    #[test]
    fn fields_of_passwd() {
        assert_eq!(
            home_of(b"root:x:0:0:root:/root:/bin/sh", 0),
            Some(&b"/root"[..])
        );
        assert_eq!(home_of(b"root:x:0:0:root:/root:/bin/sh", 1), None);
        for line in [
            &b"root:x::0:root:/root:"[..],
            b"root:x:0:0:root",
            b"",
            b"a:b:99999999999:0::/x:",
            b"r:x:0:0:c::/bin/sh",
        ] {
            assert_eq!(home_of(line, 0), None);
        }
    }
}
