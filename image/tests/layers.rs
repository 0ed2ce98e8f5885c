//! Layers from an archive to files and back, and what hostile ones get.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use tare_image::Digest;
use tare_image::pipeline::{self, Expected, Settings, Unpacked};
use tare_image::store::Store;
use tare_image::unpack::{Limits, Privileges, UnpackError};
use tare_tar::{Entry, Kind, Time, Writer};

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tare-layers-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn store(&self) -> Store {
        Store::open(&self.0.join("store")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn root() -> bool {
    Privileges::own() == Privileges::Root
}

fn directory(path: &str, mode: u32) -> (Entry, Vec<u8>) {
    (
        Entry::new(Kind::Directory, path.as_bytes(), mode),
        Vec::new(),
    )
}

fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(Kind::File, path.as_bytes(), 0o644);
    entry.size = content.len() as u64;
    (entry, content.to_vec())
}

fn link(kind: Kind, path: &str, to: &str) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(kind, path.as_bytes(), 0o777);
    entry.link = to.as_bytes().to_vec();
    (entry, Vec::new())
}

fn archive(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (entry, content) in members {
        writer.entry(entry);
        writer.data(content);
    }
    writer.finish();
    std::mem::take(writer.output())
}

fn unpack_into(
    store: &Store,
    bytes: &[u8],
    expected: Expected,
    limits: Limits,
) -> Result<Unpacked, UnpackError> {
    let ingest = store.ingest().unwrap();
    let settings = Settings {
        privileges: Privileges::own(),
        limits,
        received: &AtomicU64::new(0),
        stop: &|| false,
    };
    let record = ingest.record().unwrap();
    let (unpacked, record) = pipeline::unpack(
        bytes,
        expected,
        ingest.directory().unwrap(),
        &settings,
        None,
        record,
    )?;
    store.finish_layer(ingest, record, &unpacked).unwrap();
    Ok(unpacked)
}

fn unpack(store: &Store, members: &[(Entry, Vec<u8>)]) -> Result<PathBuf, UnpackError> {
    let bytes = archive(members);
    let expected = Expected {
        blob: Some((Digest::of(&bytes), bytes.len() as u64)),
        diff_id: Some(Digest::of(&bytes)),
    };
    let unpacked = unpack_into(store, &bytes, expected, Limits::default())?;
    // Whatever was unpacked gives the same archive again.
    let mut again = Vec::new();
    store.write_archive(unpacked.diff_id, &mut again).unwrap();
    assert!(again == bytes, "the archive is not what it was");
    Ok(store.layer_files(unpacked.diff_id))
}

#[track_caller]
fn refused(members: &[(Entry, Vec<u8>)], expect: &str) {
    let place = Place::new();
    let store = place.store();
    let outside = place.0.join("outside");
    fs::write(&outside, "untouched").unwrap();
    let error = unpack(&store, members)
        .expect_err("must be refused")
        .to_string();
    assert!(error.contains(expect), "{error}");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "untouched");
    assert!(
        fs::read_dir(place.0.join("store/ingest"))
            .unwrap()
            .next()
            .is_none(),
        "nothing is left"
    );
    assert!(
        fs::read_dir(place.0.join("store/layers/sha256"))
            .unwrap()
            .next()
            .is_none()
    );
}

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
fn no_way_out() {
    refused(&[file("../outside", b"x")], "leads out of the layer");
    refused(&[file("a/../../outside", b"x")], "leads out of the layer");
    refused(
        &[link(Kind::Hardlink, "a", "../outside")],
        "leads out of the layer",
    );
    refused(
        &[link(Kind::Hardlink, "a", "missing")],
        "does not have before it",
    );
    refused(&[link(Kind::Hardlink, "a", "a")], "to itself");
    refused(
        &[directory("d", 0o755), link(Kind::Hardlink, "a", "d")],
        "to a directory",
    );
    refused(
        &[link(Kind::Symlink, "./", "/etc")],
        "it is the layer itself",
    );
    refused(&[file(".wh...", b"")], "whiteout of no name");
    refused(&[file("f", b""), file("f/x", b"")], "directory");
    refused(
        &[link(Kind::Symlink, "s", "s"), file("s/x", b"")],
        "directory",
    );
    refused(&[file(&"n".repeat(300), b"")], "names this long");
}

/// Links that lead out lead to the same path within: nothing outside is made, changed or read.
#[test]
fn links_lead_within() {
    let place = Place::new();
    let store = place.store();
    let outside = place.0.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::set_permissions(
        &outside,
        std::os::unix::fs::PermissionsExt::from_mode(0o711),
    )
    .unwrap();
    let target = outside.to_str().unwrap();
    let members = [
        directory(&target[1..], 0o755),
        link(Kind::Symlink, "absolute", target),
        link(
            Kind::Symlink,
            "relative",
            &format!("{}{}", "../".repeat(30), &target[1..]),
        ),
        file("absolute/a", b"1"),
        file("relative/b", b"2"),
        link(Kind::Symlink, "evil", target),
        // As CVE-2026-33056: a directory over a link would set the mode of what it points to.
        directory("evil", 0o777),
        link(Kind::Hardlink, "c", "absolute/a"),
    ];
    let files = unpack(&store, &members).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::metadata(&outside).unwrap().mode() & 0o777, 0o711);
    assert_eq!(fs::read_dir(files.join(&target[1..])).unwrap().count(), 2);
    assert!(fs::symlink_metadata(files.join("evil")).unwrap().is_dir());
}

#[test]
fn owners_beyond_linux() {
    for uid in [u64::from(u32::MAX), 1 << 32, u64::MAX >> 1] {
        let mut wrong = file("a", b"");
        wrong.0.uid = uid;
        refused(&[wrong], "owner is more than Linux has");
    }
}

/// A layer may not speak for the layers below it other than by whiteouts, nor give files the host's labels.
#[test]
fn overlays_own_attributes_are_dropped() {
    let place = Place::new();
    let store = place.store();
    let mut wrong = directory("d", 0o755);
    for name in [
        "trusted.overlay.redirect",
        "trusted.overlay.opaque",
        "user.overlay.opaque",
        "security.selinux",
    ] {
        wrong
            .0
            .xattrs
            .push((name.as_bytes().to_vec(), b"y".to_vec()));
    }
    let files = unpack(&store, &[wrong]).unwrap();
    let mut names = [0u8; 256];
    let length = rustix::fs::listxattr(files.join("d"), &mut names[..]).unwrap();
    let names = String::from_utf8_lossy(&names[..length]);
    assert!(
        !names.contains("overlay") && !names.contains("selinux"),
        "{names}"
    );
}

#[test]
fn bombs() {
    let place = Place::new();
    let store = place.store();
    let many: Vec<_> = (0..20)
        .map(|number| file(&number.to_string(), b"1234567890"))
        .collect();
    let bytes = archive(&many);
    let try_with = |limits: Limits, bytes: &[u8]| {
        let error = unpack_into(&store, bytes, Expected::default(), limits).unwrap_err();
        error.to_string()
    };
    let limits = Limits::default();
    assert!(
        try_with(
            Limits {
                entries: 19,
                ..limits
            },
            &bytes
        )
        .contains("more than 19 entries")
    );
    assert!(
        try_with(
            Limits {
                bytes: 150,
                ..limits
            },
            &bytes
        )
        .contains("more than 150 bytes")
    );
    // A hole of an exbibyte costs nothing here, and everything where it is copied.
    let record = "GNU.sparse.map=0,1\n";
    let mut sparse = Writer::new();
    let pax = format!(
        "{} GNU.sparse.size=1152921504606846976\n{} {record}",
        39,
        record.len() + 3
    );
    let mut header = Entry::new(Kind::File, b"x", 0o644);
    header.size = pax.len() as u64;
    sparse.entry(&header);
    sparse.data(pax.as_bytes());
    sparse.entry(&file("s", b"1").0);
    sparse.data(b"1");
    sparse.finish();
    let mut sparse = std::mem::take(sparse.output());
    sparse[156] = b'x';
    sparse[148..156].fill(b' ');
    let sum: u32 = sparse[..512].iter().map(|byte| u32::from(*byte)).sum();
    sparse[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(
        try_with(limits, &sparse).contains("bytes in its files"),
        "{}",
        try_with(limits, &sparse)
    );
    // Two gibibytes of zeros in two megabytes.
    let zeros = zstd_zeros(2 << 30);
    assert!(try_with(limits, &zeros).contains("200 times"));
    assert!(
        fs::read_dir(place.0.join("store/ingest"))
            .unwrap()
            .next()
            .is_none()
    );
}

/// A file of zeros, compressed.
fn zstd_zeros(size: u64) -> Vec<u8> {
    let mut header = Writer::new();
    let mut entry = Entry::new(Kind::File, b"zeros", 0o644);
    entry.size = size;
    header.entry(&entry);
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    std::io::Write::write_all(&mut encoder, header.output()).unwrap();
    std::io::copy(
        &mut std::io::Read::take(std::io::repeat(0), size),
        &mut encoder,
    )
    .unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_was_announced_is_what_must_come() {
    let place = Place::new();
    let store = place.store();
    let bytes = archive(&[file("a", &vec![1; 100_000])]);
    let (digest, size) = (Digest::of(&bytes), bytes.len() as u64);
    let other = Digest::of(b"other");
    let check = |bytes: &[u8], blob: (Digest, u64), diff_id: Digest, expect: &str| {
        let expected = Expected {
            blob: Some(blob),
            diff_id: Some(diff_id),
        };
        let error = unpack_into(&store, bytes, expected, Limits::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(&bytes, (other, size), digest, "the layer's content is");
    check(&bytes, (digest, size), other, "diff_id");
    check(&bytes, (digest, size - 1), digest, "were announced");
    check(&bytes, (digest, size + 1), digest, "were announced");
    check(
        &bytes[..size as usize - 1],
        (digest, size),
        digest,
        "were announced",
    );
    // What is damaged on its way is named so, and not by what the damage looks like.
    let mut damaged = bytes.clone();
    damaged[1] ^= 1;
    check(&damaged, (digest, size), digest, "the layer's content is");
    assert!(store.layer(digest).unwrap().is_none());
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
