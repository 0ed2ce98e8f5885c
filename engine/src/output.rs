//! Where an archive goes: a file that appears when it is whole, a device or pipe as it is, or standard output.

use crate::failure::Failure;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, open};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// Writes an archive there.
pub fn write_out(
    output: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let Some(path) = output else {
        if rustix::termios::isatty(io::stdout()) {
            return Err(Failure::new(
                "refusing to write an archive to a terminal: use --output or a pipe",
            ));
        }
        return through(io::stdout().lock(), "standard output", write).map(drop);
    };
    let name = path.display().to_string();
    let wrong = |error: io::Error| Failure::new(format!("{name}: {error}"));
    let path = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(wrong(error)),
        Ok(meta) if meta.is_file() => fs::canonicalize(path).map_err(wrong)?,
        Ok(meta) if meta.is_dir() => return Err(wrong(io::ErrorKind::IsADirectory.into())),
        // It must stay what it is.
        Ok(_) => {
            let file = File::options().write(true).open(path).map_err(wrong)?;
            return through(file, &name, write).map(drop);
        }
    };
    let new = NewFile::beside(&path).map_err(wrong)?;
    let handle = new.file.try_clone().map_err(wrong)?;
    through(handle, &name, write)?;
    new.appear(&path).map_err(wrong)
}

fn through<W: Write>(
    out: W,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    write(&mut out)?;
    out.flush()
        .map_err(|error| Failure::new(format!("{name}: {error}")))
}

/// A file without a name, where the file system can; so nothing of it is left if we are killed.
struct NewFile {
    file: File,
    /// Its name meanwhile, where it must have one.
    temporary: Option<PathBuf>,
}

impl NewFile {
    fn beside(path: &Path) -> io::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let mode = Mode::from_raw_mode(0o666);
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        match open(folder, flags, mode) {
            Ok(fd) => Ok(Self {
                file: fd.into(),
                temporary: None,
            }),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                let temporary = beside(path);
                Ok(Self {
                    file: File::create_new(&temporary)?,
                    temporary: Some(temporary),
                })
            }
            Err(errno) => Err(errno.into()),
        }
    }

    fn appear(mut self, path: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        if self.temporary.is_none() {
            let temporary = beside(path);
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            linkat(CWD, own, CWD, &temporary, AtFlags::SYMLINK_FOLLOW)?;
            self.temporary = Some(temporary);
        }
        if let Some(temporary) = &self.temporary {
            fs::rename(temporary, path)?;
        }
        self.temporary = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(
        ".{}.{}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        std::process::id()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileTypeExt, symlink};

    #[test]
    fn files_devices_links() {
        let folder = std::env::temp_dir().join(format!("tare-output-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        let put = |name: &str, text: &'static str| {
            write_out(Some(&folder.join(name)), |out| {
                out.write_all(text.as_bytes())?;
                Ok(())
            })
        };
        let has = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        put("new", "one").unwrap();
        put("new", "two").unwrap();
        assert_eq!(has("new"), "two");
        symlink("new", folder.join("link")).unwrap();
        put("link", "three").unwrap();
        assert_eq!(has("new"), "three");
        assert!(
            fs::symlink_metadata(folder.join("link"))
                .unwrap()
                .is_symlink()
        );
        symlink("/dev/null", folder.join("null")).unwrap();
        put("null", "four").unwrap();
        assert!(
            fs::metadata("/dev/null")
                .unwrap()
                .file_type()
                .is_char_device()
        );
        assert!(put("", "five").is_err());
        assert!(put("no/such", "six").is_err());
        let failed = write_out(Some(&folder.join("new")), |_| Err(Failure::new("no")));
        assert_eq!(failed.unwrap_err().message, "no");
        assert_eq!(has("new"), "three");
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["link", "new", "null"]);
        fs::remove_dir_all(&folder).unwrap();
    }
}
