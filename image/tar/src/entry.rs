//! One member of an archive, after every extension that describes it was read.

/// What a member is; its paths are bytes as they stood in the archive, not cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file; `size` bytes of content follow unless it is sparse.
    File,
    /// A further name of a file that the archive has had already.
    Hardlink,
    /// A symbolic link to [`Entry::link`].
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

/// Seconds since the epoch and nanoseconds below a second, which always count forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time {
    /// Whole seconds, negative before 1970.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// A piece of a sparse file that has content; what lies between is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// From the file's beginning, in bytes.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
}

/// One member of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// The name in the archive; has no NUL byte, may be absolute, may hold `..`.
    pub path: Vec<u8>,
    /// What a hard or symbolic link points to; empty for all others.
    pub link: Vec<u8>,
    /// Permission bits with set-uid, set-gid and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Owner; may be more than a kernel has.
    pub uid: u64,
    /// Group; may be more than a kernel has.
    pub gid: u64,
    /// The file's length in bytes, holes included; 0 for all but files.
    pub size: u64,
    /// When the content was last changed.
    pub mtime: Time,
    /// Major and minor number of a device; 0 for all others.
    pub device: (u32, u32),
    /// Extended attributes, by full name, in the order of the archive.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// What of a sparse file has content, in ascending order without overlaps; None: all of it.
    pub sparse: Option<Vec<Segment>>,
}

impl Entry {
    /// An entry of a kind and path that belongs to root, is empty and as old as the epoch.
    pub fn new(kind: Kind, path: &[u8], mode: u32) -> Self {
        Self {
            kind,
            path: path.to_vec(),
            link: Vec::new(),
            mode,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: Time::default(),
            device: (0, 0),
            xattrs: Vec::new(),
            sparse: None,
        }
    }

    /// Bytes of content that the archive has of it.
    pub fn stored(&self) -> u64 {
        match &self.sparse {
            None => self.size,
            Some(segments) => segments.iter().map(|segment| segment.length).sum(),
        }
    }
}
