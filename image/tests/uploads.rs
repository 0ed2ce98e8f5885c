//! Uploads to registries that behave, and to those that don't.

mod support {
    pub mod pulls;
    pub mod registry;
}

use std::cell::RefCell;
use std::io::{self, Cursor, Read};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::pulls::{Place, image, pull_with, settings, told};
use support::registry::{Answer, Registry, Request, State, usual};
use tare_image::pull::{LayerProgress, State as Doing, Watch};
use tare_image::push::push;
use tare_image::registry::{Client, Outgoing, RegistryError, Settings};
use tare_image::store::Name;
use tare_image::{Digest, Reference};

const CHUNK: u64 = 100_000;

fn content(length: u32) -> Vec<u8> {
    (0..length)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn chunked() -> Settings {
    Settings {
        chunk: CHUNK,
        ..settings()
    }
}

/// Sends a blob that is read from places on; which they were.
fn send(
    registry: &Registry,
    settings: Settings,
    content: &[u8],
) -> (Result<(), RegistryError>, Vec<u64>) {
    let begins = RefCell::new(Vec::new());
    let open = |from: u64| -> io::Result<Box<dyn Read>> {
        begins.borrow_mut().push(from);
        let rest = content[from as usize..].to_vec();
        Ok(Box::new(Cursor::new(rest)))
    };
    let sent = AtomicU64::new(0);
    let blob = Outgoing {
        digest: Digest::of(content),
        size: content.len() as u64,
        open: &open,
        sent: &sent,
        stop: &|| false,
    };
    let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
    let outcome = Client::new(settings).upload(&reference, &blob);
    if outcome.is_ok() {
        assert_eq!(sent.load(Relaxed), blob.size, "all of it is counted");
        assert_eq!(registry.state.lock().unwrap().blobs[&blob.digest], content);
    }
    assert!(
        registry.state.lock().unwrap().uploads.is_empty(),
        "no upload is left there"
    );
    (outcome, begins.into_inner())
}

/// The ranges of the chunks that a registry was sent.
fn ranges(registry: &Registry) -> Vec<String> {
    let state = registry.state.lock().unwrap();
    let patches = state
        .requests
        .iter()
        .filter(|request| request.method == "PATCH");
    patches
        .map(|request| request.headers["content-range"].clone())
        .collect()
}

#[test]
fn large_blobs_go_in_chunks() {
    let registry = Registry::new();
    let (outcome, begins) = send(&registry, chunked(), &content(250_001));
    outcome.unwrap();
    assert_eq!(
        ranges(&registry),
        ["0-99999", "100000-199999", "200000-250000"]
    );
    assert_eq!(begins, [0], "it is read in one go");
    assert_eq!(registry.count("PUT", "/blobs/"), 1);
    assert_eq!(registry.count("GET", "/blobs/"), 0);
}

#[test]
fn others_go_whole() {
    let registry = Registry::new();
    for length in [0, 1, CHUNK as u32] {
        send(&registry, chunked(), &content(length)).0.unwrap();
    }
    assert!(ranges(&registry).is_empty());
    assert_eq!(registry.count("PUT", "/blobs/"), 3);
}

#[test]
fn a_registry_may_want_longer_chunks() {
    let registry = Registry::with(|request, state| {
        (request.method == "POST")
            .then(|| usual(request, state).header("oci-chunk-min-length", "200000"))
    });
    send(&registry, chunked(), &content(250_001)).0.unwrap();
    assert_eq!(ranges(&registry), ["0-199999", "200000-250000"]);
}

#[test]
fn an_upload_goes_on_where_a_connection_broke() {
    let registry = Registry::new();
    registry.state.lock().unwrap().appetite = [None, Some(33_000), Some(20_000), None].into();
    let (outcome, begins) = send(&registry, chunked(), &content(250_001));
    outcome.unwrap();
    assert_eq!(
        ranges(&registry),
        ["0-99999", "100000-199999", "133000-232999", "153000-250000"]
    );
    assert_eq!(begins, [0, 133_000, 153_000]);
    assert_eq!(registry.count("POST", "/blobs/"), 1, "one upload");
    assert_eq!(registry.count("GET", "/blobs/uploads/"), 2);
}

/// The answer to the last chunk, or to the end of the upload, is all that gets lost.
#[test]
fn answers_that_get_lost() {
    for method in ["PATCH", "PUT"] {
        let lost = AtomicUsize::new(0);
        let registry = Registry::with(move |request, state| {
            let last =
                request.method == "PUT" || request.headers.get("content-range")? == "200000-250000";
            (request.method == method && last && lost.fetch_add(1, Relaxed) == 0).then(|| {
                let mut answer = usual(request, state);
                answer.body = vec![b' '; 10];
                answer.status = 502;
                answer
            })
        });
        let (outcome, begins) = send(&registry, chunked(), &content(250_001));
        outcome.unwrap();
        assert_eq!(begins, [0], "nothing is sent twice: {method}");
        assert_eq!(registry.count("PATCH", "/"), 3, "{method}");
    }
}

/// A registry that has less than it said, and says so by 416.
#[test]
fn a_registry_that_forgets_a_chunk() {
    let forgot = AtomicUsize::new(0);
    let registry = Registry::with(move |request, state| {
        let range = request.headers.get("content-range")?;
        if range == "200000-250000" && forgot.fetch_add(1, Relaxed) == 0 {
            state
                .uploads
                .values_mut()
                .for_each(|content| content.truncate(150_000));
        }
        None
    });
    let (outcome, begins) = send(&registry, chunked(), &content(250_001));
    outcome.unwrap();
    assert_eq!(ranges(&registry)[3], "150000-249999");
    assert_eq!(begins, [0, 150_000]);
}

/// Some can't say how much they have: another upload, from the first byte, and not for ever.
#[test]
fn uploads_that_get_lost() {
    let lose = |times: usize| {
        let lost = AtomicUsize::new(0);
        let registry = Registry::with(move |request, state| {
            let begins = request.headers.get("content-range")?.starts_with("100000-");
            (begins && lost.fetch_add(1, Relaxed) < times).then(|| {
                state.uploads.clear();
                usual(request, state)
            })
        });
        let (outcome, begins) = send(&registry, chunked(), &content(250_001));
        (outcome, begins, registry)
    };
    let (outcome, begins, registry) = lose(2);
    outcome.unwrap();
    assert_eq!(begins, [0, 0, 0]);
    assert_eq!(registry.count("POST", "/"), 3);
    let (outcome, begins, _) = lose(usize::MAX);
    let text = told(&outcome.unwrap_err());
    assert!(text.contains("BLOB_UPLOAD_UNKNOWN gone"), "{text}");
    assert_eq!(begins.len(), 3, "as often as it may be repeated, and once");
}

fn refusing(answer: fn(&Request, &mut State) -> Answer) -> Registry {
    Registry::with(move |request, state| {
        (request.method == "PATCH").then(|| answer(request, state))
    })
}

#[test]
fn registries_that_take_no_chunks() {
    let answers: [fn(&Request, &mut State) -> Answer; 6] = [
        |_, _| Answer::new(400, ""),
        |_, _| Answer::new(404, ""),
        |_, _| Answer::new(405, ""),
        |_, _| Answer::new(501, ""),
        |_, _| Answer::new(202, ""),
        |_, _| Answer::new(307, "").header("location", "/v2/elsewhere"),
    ];
    for answer in answers {
        let registry = refusing(answer);
        let client = Client::new(chunked());
        let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
        for length in [250_001, 250_002] {
            let content = content(length);
            let open = |from: u64| -> io::Result<Box<dyn Read>> {
                Ok(Box::new(Cursor::new(content[from as usize..].to_vec())))
            };
            let blob = Outgoing {
                digest: Digest::of(&content),
                size: content.len() as u64,
                open: &open,
                sent: &AtomicU64::new(0),
                stop: &|| false,
            };
            client.upload(&reference, &blob).unwrap();
        }
        let status = answer(
            &registry.state.lock().unwrap().requests[0],
            &mut State::default(),
        )
        .status;
        assert_eq!(
            registry.count("PATCH", "/"),
            1,
            "it is asked once: {status}"
        );
        assert_eq!(registry.count("PUT", "/blobs/"), 2, "{status}");
        let state = registry.state.lock().unwrap();
        assert!(
            state.blobs.len() == 2 && state.uploads.is_empty(),
            "{status}"
        );
    }
}

/// One that is not allowed to is told so: nothing is tried in another way.
#[test]
fn what_is_denied_is_not_tried_whole() {
    let registry = refusing(|_, _| Answer::new(403, ""));
    let (outcome, _) = send(&registry, chunked(), &content(250_001));
    let text = told(&outcome.unwrap_err());
    assert!(text.contains("denies the upload of sha256:"), "{text}");
    assert_eq!(registry.count("PUT", "/"), 0);
}

#[test]
fn registries_that_lie_of_what_they_have() {
    let registry = refusing(|request, state| {
        let mut answer = usual(request, state);
        answer.headers.retain(|(name, _)| name != "range");
        answer.header("range", "0-999999")
    });
    let (outcome, _) = send(&registry, chunked(), &content(250_001));
    let text = told(&outcome.unwrap_err());
    assert!(
        text.contains("it has 1000000 bytes of the 100000 that were sent"),
        "{text}"
    );
    // One that takes a chunk, and then has nothing of it, is not asked for ever.
    let registry = refusing(|request, state| {
        let mut answer = usual(request, state);
        state.uploads.values_mut().for_each(Vec::clear);
        answer.headers.retain(|(name, _)| name != "range");
        answer.header("range", "0-0")
    });
    send(
        &registry,
        Settings {
            retries: 1,
            ..chunked()
        },
        &content(250_001),
    )
    .0
    .unwrap();
    assert!(
        registry.count("PATCH", "/") <= 3,
        "{}",
        registry.count("PATCH", "/")
    );
}

#[test]
fn a_source_that_changes_is_named() {
    for (settings, appetite) in [(chunked(), vec![Some(50_000)]), (settings(), vec![])] {
        let registry = Registry::new();
        registry.state.lock().unwrap().appetite = appetite.into();
        let original = content(250_001);
        let opened = AtomicUsize::new(usize::from(settings.chunk != CHUNK));
        let open = |from: u64| -> io::Result<Box<dyn Read>> {
            let mut bytes = original[from as usize..].to_vec();
            if opened.fetch_add(1, Relaxed) > 0 {
                bytes.fill(7);
            }
            Ok(Box::new(Cursor::new(bytes)))
        };
        let blob = Outgoing {
            digest: Digest::of(&original),
            size: original.len() as u64,
            open: &open,
            sent: &AtomicU64::new(0),
            stop: &|| false,
        };
        let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
        let error = Client::new(settings).upload(&reference, &blob).unwrap_err();
        let text = told(&error);
        assert!(
            matches!(error, RegistryError::Source { expected, .. } if expected == blob.digest),
            "{text}"
        );
        let state = registry.state.lock().unwrap();
        assert!(state.blobs.is_empty() && state.uploads.is_empty(), "{text}");
    }
}

/// Too short, unreadable, or no longer wanted: the upload ends, and is taken back.
#[test]
fn uploads_that_are_broken_off_are_removed() {
    type Open<'a> = &'a dyn Fn(u64) -> io::Result<Box<dyn Read>>;
    let original = content(250_001);
    let short: Open = &|from| {
        Ok(Box::new(Cursor::new(
            original[from as usize..240_000].to_vec(),
        )))
    };
    let unreadable: Open = &|_| Err(io::Error::other("the disk is gone"));
    let good: Open = &|from| Ok(Box::new(Cursor::new(original[from as usize..].to_vec())));
    for settings in [chunked(), settings()] {
        for (open, stops, expect) in [
            (short, false, "it ends at byte 240000 of 250001"),
            (unreadable, false, "the disk is gone"),
            (good, true, "interrupted"),
        ] {
            let registry = Registry::new();
            let sent = AtomicU64::new(0);
            let blob = Outgoing {
                digest: Digest::of(&original),
                size: original.len() as u64,
                open,
                sent: &sent,
                stop: &|| stops && sent.load(Relaxed) > 0,
            };
            let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
            let error = Client::new(settings.clone())
                .upload(&reference, &blob)
                .unwrap_err();
            let text = told(&error);
            assert!(
                text.contains("reading what is to be sent") && text.contains(expect),
                "{text}"
            );
            assert_eq!(registry.count("POST", "/"), 1, "{expect}");
            assert_eq!(registry.count("DELETE", "/blobs/uploads/1"), 1, "{expect}");
        }
    }
}

/// A small blob whose connection breaks is sent again, as another upload.
#[test]
fn whole_blobs_are_sent_again() {
    let registry = Registry::new();
    registry.state.lock().unwrap().appetite = [Some(10_000), None].into();
    let (outcome, begins) = send(&registry, settings(), &content(50_000));
    outcome.unwrap();
    assert_eq!(begins, [0, 0]);
    assert_eq!(registry.count("POST", "/"), 2);
}

/// A connection that takes nothing for a while is given up like one that broke.
#[test]
fn an_upload_goes_on_where_a_connection_stalled() {
    let registry = Registry::new();
    {
        let mut state = registry.state.lock().unwrap();
        state.appetite = [Some(1_000_000), None].into();
        state.stalls = true;
    }
    let patient = Settings {
        chunk: 30 << 20,
        idle: Duration::from_millis(300),
        ..settings()
    };
    // More than the kernel takes for a connection.
    let (outcome, begins) = send(&registry, patient, &content(40 << 20));
    outcome.unwrap();
    assert_eq!(begins, [0, 1_000_000]);
}

#[derive(Default)]
struct Watching {
    layers: Mutex<Arc<Vec<LayerProgress>>>,
    stop: AtomicBool,
}

impl Watch for Watching {
    fn layers(&self, layers: &Arc<Vec<LayerProgress>>) {
        *self.layers.lock().unwrap() = Arc::clone(layers);
    }

    fn stop(&self) -> &AtomicBool {
        &self.stop
    }
}

/// Of a layer as it is, and of one that has to be compressed anew as the registry that it came from no longer has it.
#[test]
fn a_push_counts_what_it_sends() {
    let (from, to) = (Registry::new(), Registry::new());
    let original = image(&from, "a", 2);
    let place = Place::new();
    let store = place.store();
    let name = format!("{}/a", from.address);
    pull_with(&store, settings(), &name).unwrap();
    from.state.lock().unwrap().blobs.remove(&original.blobs[1]);
    let image = Name::Reference(name.parse().unwrap());
    let image = store.get_ref(&image).unwrap().unwrap();
    let watching = Watching::default();
    let target: Reference = format!("{}/b:1", to.address).parse().unwrap();
    let pushed = push(&store, &Client::new(settings()), &image, &target, &watching).unwrap();
    assert!(!pushed.same);
    let layers = watching.layers.lock().unwrap();
    let blobs = &to.state.lock().unwrap().blobs;
    let size = blobs[&original.blobs[0]].len() as u64;
    assert_eq!((layers[0].moved(), layers[0].size()), (size, size));
    let gzip = blobs.values().find(|blob| blob.starts_with(&[0x1f, 0x8b]));
    let size = gzip.unwrap().len() as u64;
    assert_eq!((layers[1].moved(), layers[1].size()), (size, size));
    assert!(layers.iter().all(|layer| layer.state() == Doing::Done));
}
