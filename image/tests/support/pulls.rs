//! What the tests of pulls share.
#![allow(dead_code, unused_imports, reason = "each test program uses a part")]

use super::registry::{Answer, Registry, usual};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use tare_image::manifest::media;
use tare_image::policy::{Policy, Requirement};
use tare_image::pull::{PullError, PullOptions, Pulled, Watch, pull};
use tare_image::push::push;
use tare_image::registry::{Client, Credentials, Settings};
use tare_image::store::{Name, Store};
use tare_image::{Digest, Reference};

pub struct Place(pub PathBuf);

impl Place {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("tare-registry-{}-{number}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn store(&self) -> Store {
        Store::open(&self.0.join("store")).unwrap()
    }

    /// What unfinished work would leave.
    pub fn unfinished(&self) -> usize {
        fs::read_dir(self.0.join("store/ingest")).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub struct Silent(pub AtomicBool);

impl Watch for Silent {
    fn stop(&self) -> &AtomicBool {
        &self.0
    }
}

pub fn settings() -> Settings {
    Settings {
        retries: 2,
        ..Settings::default()
    }
}

pub fn pull_with(store: &Store, settings: Settings, name: &str) -> Result<Pulled, PullError> {
    let reference: Reference = name.parse().unwrap();
    let client = Client::new(settings);
    pull(
        store,
        &client,
        &reference,
        &PullOptions::default(),
        &Silent(AtomicBool::new(false)),
    )
}

pub fn files(layer: usize) -> Vec<(String, Vec<u8>)> {
    let big = (0..200_000u32)
        .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    vec![
        (format!("layer-{layer}"), layer.to_string().into_bytes()),
        (format!("dir/big-{layer}"), big),
    ]
}

pub fn image(registry: &Registry, name: &str, layers: usize) -> super::registry::Image {
    let layers: Vec<_> = (0..layers).map(files).collect();
    registry.put_image(name, "latest", &layers)
}

/// The whole chain of an error's causes.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[track_caller]
pub fn refused(registry: &Registry, settings: Settings, name: &str, expect: &str) {
    let place = Place::new();
    let store = place.store();
    let name = format!("{}/{name}", registry.address);
    let error = pull_with(&store, settings, &name).expect_err("must fail");
    let text = told(&error);
    assert!(text.contains(expect), "{text}");
    assert_eq!(place.unfinished(), 0, "{text}");
    assert!(store.refs().unwrap().is_empty());
}
