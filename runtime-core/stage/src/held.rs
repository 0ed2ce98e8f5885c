//! Mounts that a later step changes. It finds them by descriptor: what lies at their destination may have been swapped meanwhile.
use crate::op::Op;
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
            if let Some(Op::Remount { dest, .. }) = program.op(index)
                && held.entry(dest).is_none()
                && let Some(free) = held.entries.iter_mut().find(|entry| entry.is_none())
            {
                *free = Some((dest, None));
            }
        }
        held
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
