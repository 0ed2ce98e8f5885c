//! An upper directory as a layer and back.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use tare_image::Digest;
use tare_image::diff::{Changes, Extent, Owners, write_layer};
use tare_image::pipeline::{Expected, Settings, unpack};
use tare_image::store::Store;
use tare_image::unpack::{Limits, Privileges};

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn layer_of(upper: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_layer(&Changes::of(upper), &mut bytes).unwrap();
    bytes
}

/// Everything below a directory that a layer can hold.
fn picture(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut queue = vec![root.to_owned()];
    while let Some(folder) = queue.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let kind = meta.file_type();
            let content = match () {
                () if kind.is_symlink() => fs::read_link(&path).unwrap().display().to_string(),
                () if kind.is_file() => Digest::of(&fs::read(&path).unwrap()).to_string(),
                () => String::new(),
            };
            if kind.is_dir() {
                queue.push(path.clone());
            }
            let mut names = [0u8; 512];
            let length = rustix::fs::llistxattr(&path, &mut names[..]).unwrap_or(0);
            let links = if kind.is_dir() { 0 } else { meta.nlink() };
            let text = format!(
                "{:o} {}:{} {}.{} {} {links} {:?} {content}",
                meta.mode(),
                meta.uid(),
                meta.gid(),
                meta.mtime(),
                meta.mtime_nsec(),
                meta.rdev(),
                String::from_utf8_lossy(&names[..length])
            );
            found.insert(path.strip_prefix(root).unwrap().to_owned(), text);
        }
    }
    found
}

#[test]
fn an_upper_directory_and_back() {
    let place = Place(std::env::temp_dir().join(format!("tare-diff-{}", std::process::id())));
    let upper = place.0.join("upper");
    fs::create_dir_all(upper.join("d/e")).unwrap();
    fs::create_dir(upper.join("opaque")).unwrap();
    fs::write(upper.join("d/file"), "content").unwrap();
    fs::write(upper.join("z"), vec![1; 300_000]).unwrap();
    fs::write(upper.join("ünïcode"), "").unwrap();
    fs::write(upper.join("n".repeat(200)), "long").unwrap();
    fs::hard_link(upper.join("z"), upper.join("d/e/same")).unwrap();
    symlink("../nowhere", upper.join("d/link")).unwrap();
    let root = Privileges::own() == Privileges::Root;
    let mark = if root {
        "trusted.overlay.opaque"
    } else {
        "user.overlay.opaque"
    };
    let none = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(upper.join("opaque"), mark, b"y", none).is_err() {
        // A file system without attributes can be no upper directory.
        return;
    }
    // Overlay's own bookkeeping, which goes nowhere.
    let _ = rustix::fs::setxattr(upper.join("d"), "trusted.overlay.impure", b"y", none);
    let whiteout = |name: &str| {
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(
            rustix::fs::CWD,
            upper.join(name),
            kind,
            rustix::fs::Mode::empty(),
            0,
        )
        .unwrap();
    };
    whiteout("gone");
    whiteout("d/gone");

    let bytes = layer_of(&upper);
    assert!(
        bytes == layer_of(&upper),
        "the same directory gives the same bytes"
    );
    let store = Store::open(&place.0.join("store")).unwrap();
    let ingest = store.ingest().unwrap();
    let settings = Settings {
        privileges: Privileges::own(),
        limits: Limits::default(),
        received: &AtomicU64::new(0),
        stop: &|| false,
    };
    let record = ingest.record().unwrap();
    let (unpacked, record) = unpack(
        &bytes[..],
        Expected::default(),
        ingest.directory().unwrap(),
        &settings,
        None,
        record,
    )
    .unwrap();
    store.finish_layer(ingest, record, &unpacked).unwrap();
    let files = store.layer_files(unpacked.diff_id);
    assert!(bytes == layer_of(&files), "and what was unpacked of it too");
    let _ = rustix::fs::removexattr(upper.join("d"), "trusted.overlay.impure");
    let (before, after) = (picture(&upper), picture(&files));
    for (path, text) in &before {
        // A whiteout's time says nothing.
        if !path.ends_with("gone") {
            assert_eq!(after.get(path), Some(text), "{}", path.display());
        }
    }
    assert_eq!(before.len(), after.len());
    rustix::fs::setxattr(
        upper.join("d"),
        mark.replace("opaque", "redirect"),
        b"/x",
        none,
    )
    .unwrap();
    let error = write_layer(&Changes::of(&upper), &mut Vec::new())
        .unwrap_err()
        .to_string();
    assert!(error.contains("overlay's mark"), "{error}");
}

#[test]
fn owners_are_the_containers() {
    let place = Place(std::env::temp_dir().join(format!("tare-owners-{}", std::process::id())));
    let upper = place.0.join("upper");
    fs::create_dir_all(&upper).unwrap();
    // A whole second: no header of further records comes first.
    let file = fs::File::create(upper.join("file")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    let meta = fs::metadata(upper.join("file")).unwrap();
    let layer = |uid: u32| {
        let extent = |outside| Extent {
            inside: 7,
            outside,
            size: 2,
        };
        let owners = Owners::Mapped {
            uids: vec![extent(uid)],
            gids: vec![extent(meta.gid())],
        };
        let changes = Changes {
            owners,
            ..Changes::of(&upper)
        };
        let mut bytes = Vec::new();
        write_layer(&changes, &mut bytes).map(|()| bytes)
    };
    let bytes = layer(meta.uid()).unwrap();
    // The fields of the header (POSIX, ustar).
    assert_eq!(&bytes[108..116], b"0000007\0");
    assert_eq!(&bytes[116..124], b"0000007\0");
    let error = layer(meta.uid() + 1).unwrap_err().to_string();
    assert!(error.contains("no number for"), "{error}");
}
