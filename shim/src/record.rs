//! What a server keeps of a container in its bundle: for `delete`, which is told nothing, and for a server that comes after it.
use crate::failure::Failure;
use crate::options::{Options, RuncOptions};
use crate::start;
use crate::stdio::Streams;
use std::path::{Path, PathBuf};

const NAME: &str = "options.json";

/// A container as its server knew it.
#[derive(Debug, Default, PartialEq)]
pub struct Record {
    /// The container.
    pub id: String,
    /// Where its server listened.
    pub socket: PathBuf,
    /// Its streams.
    pub streams: Streams,
    /// What containerd is configured to, as far as it matters after the creation.
    pub options: Options,
}

/// Keeps it.
///
/// # Errors
/// When the bundle can't be written to.
pub fn keep(bundle: &Path, record: &Record) -> Result<(), Failure> {
    let Record {
        id,
        socket,
        streams,
        options,
    } = record;
    let text = serde_json::json!({
        "id": id,
        "socket": socket,
        "stdin": streams.stdin,
        "stdout": streams.stdout,
        "stderr": streams.stderr,
        "terminal": streams.terminal,
        "root": options.runc.root,
        "systemdCgroup": options.runc.systemd_cgroup,
        "ioUid": options.runc.io_uid,
        "ioGid": options.runc.io_gid,
    });
    let path = bundle.join(NAME);
    start::put(&path, text.to_string().as_bytes())
        .map_err(|error| Failure::io(format!("write {}", path.display()), &error))
}

/// What was kept; `None` where nothing was.
pub fn kept(bundle: &Path) -> Option<Record> {
    let text = std::fs::read(bundle.join(NAME)).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let word = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let flag = |key: &str| value[key].as_bool().unwrap_or_default();
    let number = |key: &str| {
        let number = value[key]
            .as_u64()
            .and_then(|number| number.try_into().ok());
        number.unwrap_or_default()
    };
    Some(Record {
        id: word("id"),
        socket: word("socket").into(),
        streams: Streams {
            stdin: word("stdin"),
            stdout: word("stdout"),
            stderr: word("stderr"),
            terminal: flag("terminal"),
        },
        options: Options {
            runc: RuncOptions {
                root: word("root"),
                systemd_cgroup: flag("systemdCgroup"),
                io_uid: number("ioUid"),
                io_gid: number("ioGid"),
                ..RuncOptions::default()
            },
            ..Options::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found() {
        let bundle = std::env::temp_dir().join(format!("tare-record-{}", std::process::id()));
        std::fs::create_dir_all(&bundle).unwrap();
        assert_eq!(kept(&bundle), None);
        let record = Record {
            id: "c1".to_owned(),
            socket: "/run/s".into(),
            streams: Streams {
                stdout: "/run/out".to_owned(),
                terminal: true,
                ..Streams::default()
            },
            options: Options {
                runc: RuncOptions {
                    root: "/run/root".to_owned(),
                    systemd_cgroup: true,
                    io_uid: 7,
                    ..RuncOptions::default()
                },
                ..Options::default()
            },
        };
        keep(&bundle, &record).unwrap();
        assert_eq!(kept(&bundle), Some(record));
        std::fs::write(bundle.join(NAME), "{\"id\":").unwrap();
        assert_eq!(kept(&bundle), None, "half a file is none");
        std::fs::remove_dir_all(&bundle).unwrap();
    }
}
