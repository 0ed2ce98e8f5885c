//! What the tests of layers share.
#![allow(dead_code, unused_imports, reason = "each test program uses a part")]

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
pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tare-layers-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn store(&self) -> Store {
        Store::open(&self.0.join("store")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn root() -> bool {
    Privileges::own() == Privileges::Root
}

pub fn directory(path: &str, mode: u32) -> (Entry, Vec<u8>) {
    (
        Entry::new(Kind::Directory, path.as_bytes(), mode),
        Vec::new(),
    )
}

pub fn file(path: &str, content: &[u8]) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(Kind::File, path.as_bytes(), 0o644);
    entry.size = content.len() as u64;
    (entry, content.to_vec())
}

pub fn link(kind: Kind, path: &str, to: &str) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(kind, path.as_bytes(), 0o777);
    entry.link = to.as_bytes().to_vec();
    (entry, Vec::new())
}

pub fn archive(members: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new();
    for (entry, content) in members {
        writer.entry(entry);
        writer.data(content);
    }
    writer.finish();
    std::mem::take(writer.output())
}

pub fn unpack_into(
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

pub fn unpack(store: &Store, members: &[(Entry, Vec<u8>)]) -> Result<PathBuf, UnpackError> {
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
pub fn refused(members: &[(Entry, Vec<u8>)], expect: &str) {
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
