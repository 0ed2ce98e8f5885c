//! The directory in which the last step made something, kept open for the next: /dev gets a dozen of nodes, links and mounts.
//!
//! It is what its path names only as long as nothing is mounted over it, so it is forgotten at every step that does anything else
//! than make things, and at a mount unless that mount's directory was made in it just before: such a one covers nothing.
use crate::open_beneath;
use crate::text::{PathBuffer, split_last};
use core::ffi::CStr;
use tare_sys::path::{Resolve, flags};
use tare_sys::{Fd, Result, fd};

/// None, or one directory.
#[derive(Default)]
pub(crate) struct Parent<'p> {
    known: Option<(Fd, &'p [u8], Fd)>,
}

impl<'p> Parent<'p> {
    /// The directory with this path beneath the root, if it is the one that is kept.
    pub(crate) fn kept(&self, root: Fd, path: &[u8]) -> Option<Fd> {
        self.known
            .filter(|(its_root, its_path, _)| *its_root == root && *its_path == path)
            .map(|(.., directory)| directory)
    }

    /// The same, opened if need be; it stays this one's to close.
    pub(crate) fn open(&mut self, root: Fd, path: &'p [u8]) -> Result<Fd> {
        if let Some(directory) = self.kept(root, path) {
            return Ok(directory);
        }
        let directory = open_directory(root, path)?;
        self.keep(root, path, directory);
        Ok(directory)
    }

    /// Takes a directory over.
    pub(crate) fn keep(&mut self, root: Fd, path: &'p [u8], directory: Fd) {
        self.forget();
        self.known = Some((root, path, directory));
    }

    pub(crate) fn forget(&mut self) {
        if let Some((.., directory)) = self.known.take() {
            fd::close(directory);
        }
    }
}

/// Splits `/a/b` into `/a` and `b`; None for what has no such name at its end.
pub(crate) fn split(dest: &CStr) -> Option<(&[u8], &CStr)> {
    let (before, name) = split_last(dest.to_bytes());
    if name.is_empty() || name == b"." || name == b".." {
        return None;
    }
    let all = dest.to_bytes_with_nul();
    let start = dest.count_bytes().checked_sub(name.len())?;
    let name_with_nul = CStr::from_bytes_with_nul(all.get(start..)?).ok()?;
    // Not with a slash behind it.
    (name_with_nul.to_bytes() == name).then_some((before, name_with_nul))
}

/// In a frame of its own: the buffer's pages are touched by each caller.
#[inline(never)]
pub(crate) fn open_directory(root: Fd, path: &[u8]) -> Result<Fd> {
    let mut directory = PathBuffer::new();
    directory.push(if path.is_empty() { b"." } else { path })?;
    let how = flags::PATH | flags::DIRECTORY;
    open_beneath(root, directory.as_c()?, how, 0, Resolve::InRoot)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn names_at_the_end() {
        assert_eq!(split(c"/dev/null"), Some((&b"/dev"[..], c"null")));
        assert_eq!(split(c"null"), Some((&b""[..], c"null")));
        assert_eq!(split(c"/null"), Some((&b""[..], c"null")));
        assert_eq!(split(c"/a//b"), Some((&b"/a/"[..], c"b")));
        for other in [c"", c"/", c"/a/", c"/a/.", c"/a/..", c".."] {
            assert_eq!(split(other), None, "{other:?}");
        }
    }
}
