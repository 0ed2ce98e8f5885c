//! A header and what its extensions say, as one entry.

use crate::header::{Format, Header};
use crate::pax::Extension;
use crate::{Entry, Kind, TarError};

/// The header's fields, and where extensions say something else, that; size, map and attributes are not in it yet.
pub(crate) fn entry(
    header: &Header,
    pax: &Extension,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    at: u64,
) -> Result<Entry, TarError> {
    let path = pax.sparse.name.clone().or_else(|| pax.path.clone());
    let path = path.or(long_name).unwrap_or_else(|| plain_name(header));
    if path.is_empty() {
        return Err(TarError::NoName { at });
    }
    let kind = match header.flag() {
        b'\0' if path.ends_with(b"/") => Kind::Directory,
        // 7 is a contiguous file, which no file system of today knows.
        b'0' | b'\0' | b'7' => Kind::File,
        b'S' if header.format == Format::Gnu => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' => Kind::CharDevice,
        b'4' => Kind::BlockDevice,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        flag => {
            return Err(TarError::Type {
                at,
                flag: flag as char,
                path: String::from_utf8_lossy(&path).into_owned(),
            });
        }
    };
    let mut entry = Entry::new(kind, &path, header.mode()?);
    if matches!(entry.kind, Kind::Hardlink | Kind::Symlink) {
        let link = pax.link.clone().or(long_link);
        entry.link = link.unwrap_or_else(|| header.link().to_vec());
    }
    if matches!(entry.kind, Kind::CharDevice | Kind::BlockDevice) {
        entry.device = header.device()?;
    }
    entry.uid = pax.uid.map_or_else(|| header.uid(), Ok)?;
    entry.gid = pax.gid.map_or_else(|| header.gid(), Ok)?;
    entry.mtime = pax.mtime.map_or_else(|| header.mtime(), Ok)?;
    Ok(entry)
}

fn plain_name(header: &Header) -> Vec<u8> {
    match header.prefix() {
        b"" => header.name().to_vec(),
        prefix => [prefix, b"/", header.name()].concat(),
    }
}

/// A sparse file whose map is wrong.
pub(crate) fn sparse_error(entry: &Entry, at: u64, why: &'static str) -> TarError {
    TarError::Sparse {
        at,
        path: String::from_utf8_lossy(&entry.path).into_owned(),
        why,
    }
}
