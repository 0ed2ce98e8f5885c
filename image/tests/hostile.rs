//! What hostile layers get: an error that names them, nothing outside touched, nothing left.

mod support {
    pub mod layers;
}

use std::fs;
use std::os::unix::fs::MetadataExt;
use tare_image::Digest;
use tare_image::pipeline::Expected;
use tare_image::unpack::Limits;
use tare_tar::{Entry, Kind, Writer};

use support::layers::*;

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
