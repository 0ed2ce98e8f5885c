//! Layers from an archive to files and back.

mod support {
    pub mod layers;
}

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use tare_image::Digest;
use tare_tar::{Entry, Kind, Time};

use support::layers::*;

#[test]
fn everything_that_a_layer_has() {
    let place = Place::new();
    let store = place.store();
    let mut owned = file("usr/bin/tool", b"#!/bin/sh\n");
    owned.0.mode = 0o4755;
    (owned.0.uid, owned.0.gid) = (7, 8);
    owned.0.mtime = Time {
        seconds: 1_700_000_000,
        nanoseconds: 5,
    };
    owned.0.xattrs = vec![(b"user.note".to_vec(), b"yes\0".to_vec())];
    let mut old = directory("usr/lib", 0o2750);
    old.0.mtime = Time {
        seconds: -5,
        nanoseconds: 0,
    };
    let mut members = vec![
        directory("./", 0o755),
        directory("usr/", 0o755),
        old,
        owned,
        file("usr/lib/deep/er/implied", b"x"),
        file("empty", b""),
        file("big", &vec![7; 3 << 20]),
        link(Kind::Hardlink, "usr/bin/again", "usr/bin/tool"),
        link(Kind::Symlink, "usr/bin/soft", "/nowhere/../../x"),
        link(Kind::Hardlink, "softer", "usr/bin/soft"),
        link(Kind::Symlink, "lib", "usr/lib"),
        file("lib/through", b"the link leads within"),
        (Entry::new(Kind::Fifo, b"pipe", 0o600), Vec::new()),
        file(&format!("{}/long", "d".repeat(200)), b"l"),
    ];
    if root() {
        let mut null = Entry::new(Kind::CharDevice, b"dev/null", 0o666);
        null.device = (1, 3);
        members.push((null, Vec::new()));
    }
    let files = unpack(&store, &members).unwrap();
    let at = |path: &str| fs::symlink_metadata(files.join(path)).unwrap();
    let tool = at("usr/bin/tool");
    assert_eq!(tool.mode() & 0o7777, 0o4755);
    assert_eq!((tool.mtime(), tool.mtime_nsec()), (1_700_000_000, 5));
    assert_eq!(tool.ino(), at("usr/bin/again").ino());
    assert_eq!(tool.nlink(), 2);
    assert_eq!(
        (at("usr/lib").mode() & 0o7777, at("usr/lib").mtime()),
        (0o2750, -5)
    );
    assert_eq!(at("usr/lib/deep").mode() & 0o7777, 0o755);
    assert_eq!(
        fs::read_link(files.join("softer")).unwrap(),
        Path::new("/nowhere/../../x")
    );
    assert_eq!(
        fs::read(files.join("usr/lib/through")).unwrap(),
        b"the link leads within"
    );
    assert_eq!(fs::read(files.join("big")).unwrap(), vec![7; 3 << 20]);
    assert!(at("pipe").file_type().is_fifo());
    if root() {
        assert_eq!((tool.uid(), tool.gid()), (7, 8));
        assert_eq!(at("dev/null").rdev(), rustix::fs::makedev(1, 3));
        assert_eq!(
            at("usr/lib/deep").gid(),
            0,
            "a directory's set-group-id bit comes last"
        );
    }
    let mut value = [0u8; 8];
    let length = rustix::fs::lgetxattr(files.join("usr/bin/tool"), "user.note", &mut value[..]);
    if let Ok(length) = length {
        assert_eq!(&value[..length], b"yes\0");
    }
}

#[test]
fn whiteouts() {
    let place = Place::new();
    let store = place.store();
    let members = [
        file(".wh.gone", b""),
        file("d/.wh.gone", b""),
        // Lower layers' `both` is hidden, this layer's stays; in both orders.
        directory("both", 0o755),
        file("both/x", b""),
        file(".wh.both", b""),
        file(".wh.later", b""),
        directory("later", 0o755),
        file(".wh.implied", b""),
        file("implied/x", b""),
        file(".wh.file", b""),
        file("file", b"new"),
        file("opaque/.wh..wh..opq", b""),
        file("opaque/x", b""),
        file(".wh..wh.plnk", b""),
        directory("plain", 0o755),
    ];
    let files = unpack(&store, &members).unwrap();
    for hidden in ["gone", "d/gone"] {
        let meta = fs::symlink_metadata(files.join(hidden)).unwrap();
        assert!(
            meta.file_type().is_char_device() && meta.rdev() == 0,
            "{hidden}"
        );
    }
    let opaque = |path: &str| {
        let name = if root() {
            "trusted.overlay.opaque"
        } else {
            "user.overlay.opaque"
        };
        let mut value = [0u8; 4];
        rustix::fs::lgetxattr(files.join(path), name, &mut value[..]) == Ok(1)
    };
    for path in ["both", "later", "implied", "opaque"] {
        assert!(opaque(path), "{path}");
    }
    assert!(!opaque("plain") && !opaque("d"));
    assert_eq!(fs::read(files.join("file")).unwrap(), b"new");
    let mut names: Vec<_> = fs::read_dir(&files)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.retain(|name| name.as_bytes().starts_with(b".wh"));
    assert!(names.is_empty(), "{names:?}");
}

/// The archive can be put together again although its files were replaced by later ones.
#[test]
fn names_that_come_twice() {
    let place = Place::new();
    let store = place.store();
    let members = [
        file("a", b"first"),
        file("a", b"second, which is longer"),
        directory("d", 0o755),
        file("d/x", b"in the directory"),
        file("d", b"a file now"),
        directory("d", 0o700),
        file("d/x", b"in the second directory"),
        link(Kind::Symlink, "l", "a"),
        file("l", b"no link any more"),
        directory("d", 0o750),
        link(Kind::Hardlink, "a", "l"),
        file("a", b"third"),
    ];
    let files = unpack(&store, &members).unwrap();
    assert_eq!(fs::read(files.join("a")).unwrap(), b"third");
    assert_eq!(fs::read(files.join("l")).unwrap(), b"no link any more");
    assert_eq!(
        fs::read(files.join("d/x")).unwrap(),
        b"in the second directory"
    );
    assert_eq!(fs::metadata(files.join("d")).unwrap().mode() & 0o777, 0o750);
}

#[test]
fn a_layer_of_another_boot_is_verified() {
    let place = Place::new();
    let store = place.store();
    let members = [file("a", b"content"), file("b", b"more")];
    let files = unpack(&store, &members).unwrap();
    let diff_id = Digest::of(&archive(&members));
    let meta = files.parent().unwrap().join("meta.json");
    let rebooted = || {
        let text = fs::read_to_string(&meta).unwrap();
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value["boot"] = "another".into();
        fs::write(&meta, value.to_string()).unwrap();
    };
    rebooted();
    assert_eq!(
        store.layer(diff_id).unwrap().unwrap().boot,
        None,
        "it is whole, and known to be"
    );
    rebooted();
    fs::write(files.join("a"), b"CONTENT").unwrap();
    assert!(
        store.layer(diff_id).unwrap().is_none(),
        "a crash has damaged it"
    );
    assert!(!files.exists());
    // Nor does it help to have lost the description.
    unpack(&store, &members).unwrap();
    fs::write(&meta, "").unwrap();
    assert!(store.layer(diff_id).unwrap().is_none());
    assert!(!files.exists());
}
