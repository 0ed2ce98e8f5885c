//! The two ends of a named pipe that another program reads or writes, and may close and open again meanwhile.
//!
//! open(2) of a fifo waits for the other end; these don't, and neither does what is written get lost nor its writer killed by
//! SIGPIPE while nobody reads.
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a reader may take to come. Then the process begins all the same.
const PATIENCE: Duration = Duration::from_secs(2);

/// A fifo that a process writes to.
#[derive(Debug)]
pub struct Writer {
    /// A reader who never reads: others may go and come, and no write fails. It is no writer, so that others see an end when the
    /// process and its children are gone.
    _keep: OwnedFd,
}

impl Writer {
    /// Opens it, and an end for a process of the container, which blocks while the fifo is full.
    ///
    /// # Errors
    /// When it isn't there, is no fifo, or may not be opened.
    pub fn open(path: &Path) -> io::Result<(Writer, OwnedFd)> {
        Writer::with(path, OFlags::WRONLY)
    }

    /// Opens it, and an end for a [`crate::Relay`].
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn open_for_relay(path: &Path) -> io::Result<(Writer, OwnedFd)> {
        Writer::with(path, OFlags::WRONLY | OFlags::NONBLOCK)
    }

    /// For a fifo that a process has its end of already.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn keep(path: &Path) -> io::Result<Writer> {
        Ok(Writer {
            _keep: Reader::open(path)?,
        })
    }

    fn with(path: &Path, flags: OFlags) -> io::Result<(Writer, OwnedFd)> {
        let first = Writer::once_read(path)?;
        is_fifo(&first, path)?;
        let keep = again(&first, OFlags::RDONLY | OFlags::NONBLOCK)?;
        Ok((Writer { _keep: keep }, again(&first, flags)?))
    }

    /// An end, when somebody reads or that has taken too long. Whoever came for the first time when all writers had gone would
    /// wait in open(2) for another one, and never see the end.
    fn once_read(path: &Path) -> io::Result<OwnedFd> {
        let common = OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let begin = Instant::now();
        let mut pause = Duration::from_micros(100);
        loop {
            match open(path, OFlags::WRONLY | common, Mode::empty()) {
                Err(Errno::NXIO) if begin.elapsed() < PATIENCE => std::thread::sleep(pause),
                // In both directions at once, for which nobody is waited.
                Err(Errno::NXIO) => return Ok(open(path, OFlags::RDWR | common, Mode::empty())?),
                opened => return Ok(opened?),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

/// A fifo to read from.
#[derive(Debug)]
pub struct Reader;

impl Reader {
    /// Opens it for a [`crate::Relay`]: it ends when a writer has come and all have gone.
    ///
    /// # Errors
    /// When it isn't there, is no fifo, or may not be opened.
    pub fn open(path: &Path) -> io::Result<OwnedFd> {
        let fd = open(
            path,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY,
            Mode::empty(),
        )?;
        is_fifo(&fd, path)?;
        Ok(fd)
    }
}

/// A second open file of the same fifo: its flags are its own.
fn again(fd: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

fn is_fifo(fd: &OwnedFd, path: &Path) -> io::Result<()> {
    let mode = rustix::fs::fstat(fd)?.st_mode;
    if rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::Fifo {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("{} is no fifo", path.display()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::mkfifoat;
    use std::fs::File;
    use std::io::{Read, Write};

    fn fifo(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("tare-{name}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        mkfifoat(rustix::fs::CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        path
    }

    #[test]
    fn a_reader_that_comes_late_or_again_gets_what_was_written() {
        let path = fifo("late");
        let (writer, end) = Writer::open(&path).unwrap();
        let mut end = File::from(end);
        end.write_all(b"one").unwrap();
        let mut reader = File::open(&path).unwrap();
        let mut bytes = [0; 3];
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"one");
        drop(reader);
        end.write_all(b"two").unwrap();
        let mut reader = File::open(&path).unwrap();
        reader.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"two");
        drop(end);
        assert_eq!(
            reader.read(&mut bytes).unwrap(),
            0,
            "an end while it is kept"
        );
        drop(writer);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_is_no_fifo_is_refused() {
        let error = Writer::open(Path::new("/dev/null")).unwrap_err();
        assert!(error.to_string().contains("no fifo"), "{error}");
        assert!(Reader::open(Path::new("/dev/null")).is_err());
    }
}
