//! Mounts that a later step changes, and those whose files it masks. It finds them by descriptor: what lies at their destination may
//! have been swapped meanwhile, even `/proc` for a link, if somebody else can write to the root.
use crate::op::{Op, code};
use crate::program::Program;
use core::ffi::CStr;
use tare_sys::{Fd, fd};

/// Most mounts that are held; further ones are found by their destination.
const MOST: usize = 64;

/// Destinations that a later step names, and the mounts made there.
pub(crate) struct Held<'p> {
    entries: [Option<(&'p CStr, Option<Fd>)>; MOST],
}

impl<'p> Held<'p> {
    /// None yet; what is worth holding is known from the program.
    pub(crate) fn expect(program: &Program<'p>) -> Held<'p> {
        let mut held = Held {
            entries: [None; MOST],
        };
        for index in 0..program.count {
            let kind = program.code(index);
            if !matches!(kind, Some(code::Remount | code::Mask | code::ReadonlyPath)) {
                continue;
            }
            match program.op(index) {
                Some(Op::Remount { dest, .. }) => held.await_at(dest),
                Some(Op::Mask { path, .. } | Op::ReadonlyPath { path }) => {
                    if let Some((dest, _)) = kernel_file(path) {
                        held.await_at(dest);
                    }
                }
                _ => {}
            }
        }
        held
    }

    fn await_at(&mut self, dest: &'p CStr) {
        if self.entry(dest).is_none()
            && let Some(free) = self.entries.iter_mut().find(|entry| entry.is_none())
        {
            *free = Some((dest, None));
        }
    }

    /// Takes a mount over: holds it if a later step names its destination, else closes it.
    pub(crate) fn take(&mut self, dest: &CStr, mount: Fd) {
        let before = match self.entry(dest) {
            Some(place) => place.replace(mount),
            None => Some(mount),
        };
        if let Some(unused) = before {
            fd::close(unused);
        }
    }

    /// The last mount made at this destination.
    pub(crate) fn find(&mut self, dest: &CStr) -> Option<Fd> {
        #[cfg(feature = "proof")]
        if crate::weaken::lacks(crate::weaken::HELD_MOUNTS) {
            return None;
        }
        self.entry(dest).and_then(|mount| *mount)
    }

    /// For a file of `/proc` or `/sys`: the filesystem mounted there, and the path in it.
    pub(crate) fn beneath<'a>(&mut self, path: &'a CStr) -> Option<(Fd, &'a CStr)> {
        let (dest, rest) = kernel_file(path)?;
        Some((self.find(dest)?, rest))
    }

    /// Closes all.
    pub(crate) fn close(&mut self) {
        for entry in &mut self.entries {
            if let Some((_, Some(mount))) = entry.take() {
                fd::close(mount);
            }
        }
    }

    fn entry(&mut self, dest: &CStr) -> Option<&mut Option<Fd>> {
        self.entries
            .iter_mut()
            .flatten()
            .find(|(known, _)| *known == dest)
            .map(|(_, mount)| mount)
    }
}

/// Splits `/proc/keys` into `/proc` and `keys`.
fn kernel_file(path: &CStr) -> Option<(&'static CStr, &CStr)> {
    [c"/proc", c"/sys"].into_iter().find_map(|dest| {
        let rest = path.to_bytes_with_nul().strip_prefix(dest.to_bytes())?;
        let rest = CStr::from_bytes_with_nul(rest.strip_prefix(b"/")?).ok()?;
        Some((dest, rest))
    })
}

#[cfg(test)]
mod tests {
    use super::kernel_file;

    #[test]
    fn files_of_the_kernel() {
        assert_eq!(kernel_file(c"/proc/keys"), Some((c"/proc", c"keys")));
        assert_eq!(
            kernel_file(c"/sys/firmware/a"),
            Some((c"/sys", c"firmware/a"))
        );
        for other in [c"/proc", c"/process/keys", c"/etc/proc/keys", c"proc/keys"] {
            assert_eq!(kernel_file(other), None);
        }
    }
}
