//! Private readers made callable for the fuzz crate; a build without the feature `doors` has none of it.
use crate::text::{PathBuffer, split_last};
use tare_sys::Fd;

/// HOME of a user by the passwd file behind an fd, given to `seen`; false where the file doesn't tell it.
pub fn home(file: Fd, uid: u32, seen: impl FnOnce(&[u8])) -> bool {
    let mut entry = PathBuffer::new();
    let found = crate::home::scan(file, uid, &mut entry);
    if found {
        seen(entry.as_bytes());
    }
    found
}

/// A path without its last component, and that component.
pub fn parent(path: &[u8]) -> (&[u8], &[u8]) {
    split_last(path)
}
