//! Pushes, and several that use one store.

mod support {
    pub mod pulls;
    pub mod registry;
}

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use support::registry::Registry;
use tare_image::Reference;
use tare_image::policy::{Policy, Requirement};
use tare_image::pull::{PullOptions, pull};
use tare_image::push::push;
use tare_image::registry::Client;
use tare_image::store::{Name, Store};

use support::pulls::*;

#[test]
fn pushes_keep_digests() {
    let origin = Registry::new();
    let one = image(&origin, "a", 3);
    let place = Place::new();
    let store = place.store();
    let client = Client::new(settings());
    let pulled = pull_with(&store, settings(), &format!("{}/a", origin.address)).unwrap();
    let push_to = |name: String| {
        let reference: Reference = name.parse().unwrap();
        push(
            &store,
            &client,
            &pulled.to,
            &reference,
            &Silent(AtomicBool::new(false)),
        )
    };
    // Within a registry nothing is sent.
    let pushed = push_to(format!("{}/b:1", origin.address)).unwrap();
    assert!(pushed.same && pushed.manifest.digest == one.digest);
    assert_eq!(origin.count("PUT", "/blobs/"), 0);
    // To another one the bytes of the first go.
    let other = Registry::new();
    let pushed = push_to(format!("{}/a", other.address)).unwrap();
    assert!(pushed.same);
    assert_eq!(other.state.lock().unwrap().blobs.len(), 4);
    let again = Place::new();
    let copy = pull_with(
        &again.store(),
        settings(),
        &format!("{}/a@{}", other.address, one.digest),
    )
    .unwrap();
    assert_eq!(copy.to, pulled.to);
    // Where the first has lost them they are compressed anew, the same way each time.
    origin
        .state
        .lock()
        .unwrap()
        .blobs
        .retain(|digest, _| !one.blobs.contains(digest));
    for registry in [&other, &origin] {
        registry
            .state
            .lock()
            .unwrap()
            .blobs
            .retain(|digest, _| !one.blobs.contains(digest));
    }
    let third = Registry::new();
    let first = push_to(format!("{}/a", third.address)).unwrap();
    let fourth = Registry::new();
    let second = push_to(format!("{}/a", fourth.address)).unwrap();
    assert!(!first.same);
    assert_eq!(first.manifest, second.manifest);
    let again = Place::new();
    let copy = pull_with(&again.store(), settings(), &format!("{}/a", third.address)).unwrap();
    assert_eq!(copy.to.config, pulled.to.config, "it is the same image");
}

#[test]
fn a_policy_is_asked_before_anything_is_unpacked() {
    let registry = Registry::new();
    image(&registry, "a", 1);
    let place = Place::new();
    let store = place.store();
    let options = PullOptions {
        policy: Policy {
            default: Requirement::Reject,
            rules: Vec::new(),
        },
        ..PullOptions::default()
    };
    let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
    let error = pull(
        &store,
        &Client::new(settings()),
        &reference,
        &options,
        &Silent(AtomicBool::new(false)),
    )
    .unwrap_err();
    assert!(error.to_string().contains("the policy refuses"), "{error}");
    assert_eq!(registry.count("GET", "/blobs/"), 0);
}

/// Several at once do the work of one.
#[test]
fn many_at_once() {
    let registry = Registry::new();
    let one = image(&registry, "a", 4);
    let place = Place::new();
    let name = format!("{}/a", registry.address);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                pull_with(
                    &Store::open(&place.0.join("store")).unwrap(),
                    settings(),
                    &name,
                )
                .unwrap()
            });
        }
    });
    for blob in &one.blobs {
        assert_eq!(registry.count("GET", &blob.to_string()), 1);
    }
    assert_eq!(place.unfinished(), 0);
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn garbage_is_taken_beside_pulls() {
    let registry = Registry::new();
    let names: Vec<String> = (0..4).map(|number| format!("image-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let layers: Vec<_> = (number..number + 3).map(files).collect();
        registry.put_image(name, "latest", &layers);
    }
    let place = Place::new();
    let path = place.0.join("store");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A failure ends the other thread too.
        let _ends = SetAtEnd(&done);
        scope.spawn(|| {
            let store = Store::open(&path).unwrap();
            while !done.load(Ordering::Relaxed) {
                store
                    .collect(|| Ok(std::collections::HashSet::new()))
                    .unwrap();
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        for round in 0..3 {
            let store = Store::open(&path).unwrap();
            for name in &names {
                let name = format!("{}/{name}", registry.address);
                let pulled = pull_with(&store, settings(), &name).unwrap();
                let manifest = store.manifest(pulled.to.manifest).unwrap();
                let config = store.config(&manifest).unwrap();
                for diff_id in &config.rootfs.diff_ids {
                    store
                        .write_archive(*diff_id, &mut std::io::sink())
                        .unwrap_or_else(|error| panic!("round {round}: {error}"));
                }
                store
                    .remove_ref(&Name::Reference(name.parse().unwrap()))
                    .unwrap();
            }
        }
    });
    let store = place.store();
    store
        .collect(|| Ok(std::collections::HashSet::new()))
        .unwrap();
    let left = |folder: &str| fs::read_dir(path.join(folder)).unwrap().count();
    for folder in ["blobs/sha256", "layers/sha256", "ingest", "leases", "locks"] {
        assert_eq!(left(folder), 0, "{folder}");
    }
}

/// A name that moves on leaves the image that it stood for without one; taking garbage away does not take that.
#[test]
fn an_image_that_loses_its_name() {
    let registry = Registry::new();
    let first = image(&registry, "a", 1);
    let place = Place::new();
    let store = place.store();
    let name = format!("{}/a", registry.address);
    pull_with(&store, settings(), &name).unwrap();
    let second = image(&registry, "a", 2);
    pull_with(&store, settings(), &name).unwrap();
    store
        .collect(|| Ok(std::collections::HashSet::new()))
        .unwrap();
    let refs = store.refs().unwrap();
    assert_eq!(refs.len(), 2);
    assert_eq!(refs[1].0, Name::Untagged(first.digest));
    assert_eq!(refs[0].1.manifest, second.digest);
    assert!(store.manifest(first.digest).is_ok());
}

#[test]
fn damaged_content_is_fetched_again() {
    let registry = Registry::new();
    let one = image(&registry, "a", 1);
    let place = Place::new();
    let store = place.store();
    let name = format!("{}/a", registry.address);
    let pulled = pull_with(&store, settings(), &name).unwrap();
    for digest in [pulled.to.config, pulled.to.manifest] {
        let path: &Path = &place.0.join("store/blobs/sha256").join(digest.hex());
        fs::write(path, "rubbish").unwrap();
        assert!(store.blob(digest).is_err());
    }
    pull_with(&store, settings(), &name).unwrap();
    assert!(store.blob(pulled.to.config).is_ok());
    let _ = one;
}
