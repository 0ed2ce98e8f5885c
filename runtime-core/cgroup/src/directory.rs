//! One open cgroup directory: reads and writes of its files by name, one write(2) a value.
use crate::Error;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io::Read;

/// How every cgroup directory is opened.
pub(crate) const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);
/// cgroupfs files are pages of text; nothing that is read here comes near.
const MOST: usize = 4 << 20;

/// An open directory and its path for messages.
#[derive(Debug)]
pub(crate) struct Directory {
    fd: OwnedFd,
    path: String,
}

impl Directory {
    pub fn open(path: &str) -> Result<Directory, Errno> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty())?;
        Ok(Directory {
            fd,
            path: path.to_string(),
        })
    }

    /// Opens below this one; `path` must not start with a slash.
    pub fn open_below(&self, path: &str) -> Result<Directory, Errno> {
        let fd = rustix::fs::openat(&self.fd, path, DIRECTORY, Mode::empty())?;
        Ok(Directory {
            fd,
            path: format!("{}/{path}", self.path.trim_end_matches('/')),
        })
    }

    pub fn make(&self, path: &str) -> Result<(), Errno> {
        rustix::fs::mkdirat(&self.fd, path, Mode::from_raw_mode(0o755))
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.path.trim_end_matches('/'))
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }

    pub fn write(&self, name: &str, value: &str) -> Result<(), Errno> {
        let fd = rustix::fs::openat(
            &self.fd,
            name,
            OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        rustix::io::retry_on_intr(|| rustix::io::write(&fd, value.as_bytes())).map(drop)
    }

    pub fn open_file(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(
            &self.fd,
            name,
            flags | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        )
    }

    pub fn read(&self, name: &str) -> Result<String, Errno> {
        read_all(self.open_file(name, OFlags::RDONLY)?)
    }

    /// Reads, with an error that names the file.
    pub fn text(&self, name: &str) -> Result<String, Error> {
        self.read(name)
            .map_err(|errno| Error::io("read", self.file(name), errno))
    }

    /// Reads a file that may be absent, or go away with its cgroup.
    pub fn optional_text(&self, name: &str) -> Result<Option<String>, Error> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(Errno::NOENT | Errno::NODEV | Errno::NOTSUP) => Ok(None),
            Err(errno) => Err(Error::io("read", self.file(name), errno)),
        }
    }
}

/// Reads a file below a directory.
pub(crate) fn read_at(directory: BorrowedFd<'_>, name: &str) -> Result<String, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    read_all(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

fn read_all(fd: OwnedFd) -> Result<String, Errno> {
    let mut bytes = Vec::with_capacity(512);
    std::fs::File::from(fd)
        .take(MOST as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            error
                .raw_os_error()
                .map_or(Errno::IO, Errno::from_raw_os_error)
        })?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Reads a whole file by path.
pub(crate) fn read_path(path: &str) -> Result<String, Errno> {
    read_all(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}
