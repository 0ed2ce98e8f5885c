//! One large blob over several connections, where that pays, and what becomes of it where it does not.

mod support {
    pub mod pulls;
    pub mod registry;
}

use std::io::{self, Read};
use std::time::{Duration, Instant};
use support::pulls::settings;
use support::registry::{Answer, Registry, Request, State, usual};
use tare_image::manifest::{Descriptor, media};
use tare_image::registry::{Client, Settings};
use tare_image::{Digest, Reference};

const PART: u64 = 32 << 10;
const SIZE: usize = 3_000_000;
/// Bytes a second of one connection.
const PACE: u64 = 2_000_000;

/// A registry whose connections are slow, with a blob.
fn slow(
    handler: impl Fn(&Request, &mut State) -> Option<Answer> + Send + Sync + 'static,
) -> (Registry, Vec<u8>) {
    let registry = Registry::with(handler);
    registry.state.lock().unwrap().pace = Some(PACE);
    let content: Vec<u8> = (0..SIZE as u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    registry.put_blob(&content);
    (registry, content)
}

fn settings_with(part: u64) -> Settings {
    Settings { part, ..settings() }
}

/// Reads the blob, with a pause after each piece.
fn bring(
    registry: &Registry,
    content: &[u8],
    settings: Settings,
    pause: Duration,
) -> io::Result<Vec<u8>> {
    let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
    let descriptor = Descriptor::new(media::LAYER, Digest::of(content), content.len() as u64);
    read(Client::new(settings).blob(&reference, &descriptor), pause)
}

fn read(mut reader: impl Read, pause: Duration) -> io::Result<Vec<u8>> {
    let (mut found, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        let length = reader.read(&mut piece)?;
        if length == 0 {
            return Ok(found);
        }
        found.extend_from_slice(&piece[..length]);
        std::thread::sleep(pause);
    }
}

/// Begins and ends of the ranges that were asked for.
fn asked(registry: &Registry) -> Vec<(u64, Option<u64>)> {
    let state = registry.state.lock().unwrap();
    let ranges = state.requests.iter().filter_map(|request| {
        let (begin, last) = request
            .headers
            .get("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        Some((begin.parse().ok()?, last.parse().ok()))
    });
    ranges.collect()
}

#[test]
fn several_connections_bring_more_than_one() {
    let (registry, content) = slow(|_, _| None);
    let begun = Instant::now();
    assert!(bring(&registry, &content, settings_with(0), Duration::ZERO).unwrap() == content);
    let one = begun.elapsed();
    assert!(asked(&registry).is_empty());
    let begun = Instant::now();
    assert!(bring(&registry, &content, settings_with(PART), Duration::ZERO).unwrap() == content);
    let several = begun.elapsed();
    assert!(
        several < one.mul_f64(0.6),
        "{several:?} and {one:?} over one"
    );
    // Each byte of the rest is asked for once.
    let mut asked = asked(&registry);
    asked.sort_unstable();
    let first = asked[0].0;
    assert!((4 * PART..6 * PART).contains(&first), "{first}");
    for (number, (begin, last)) in asked.iter().enumerate() {
        let expect = first + number as u64 * PART;
        assert_eq!(
            (*begin, *last),
            (expect, Some((expect + PART).min(SIZE as u64) - 1))
        );
    }
    assert_eq!(asked.last().unwrap().1, Some(SIZE as u64 - 1));
}

/// Who takes the bytes is slower than what brings them; or not much is left.
#[test]
fn one_connection_is_left_alone_where_it_is_enough() {
    let (registry, content) = slow(|_, _| None);
    registry.state.lock().unwrap().pace = None;
    let pause = Duration::from_millis(2);
    assert!(bring(&registry, &content, settings_with(PART), pause).unwrap() == content);
    let (paced, content) = slow(|_, _| None);
    let part = SIZE as u64 / 33;
    assert!(bring(&paced, &content, settings_with(part), Duration::ZERO).unwrap() == content);
    assert!(asked(&registry).is_empty() && asked(&paced).is_empty());
}

#[test]
fn registries_without_ranges_are_read_over_one_connection() {
    let (registry, content) = slow(|request, state| {
        let mut request = request.clone();
        request.headers.remove("range")?;
        Some(usual(&request, state))
    });
    assert!(bring(&registry, &content, settings_with(PART), Duration::ZERO).unwrap() == content);
    let asked = asked(&registry);
    assert!((2..=5).contains(&asked.len()), "{asked:?}");
    assert!(
        asked.iter().any(|(_, last)| last.is_none()),
        "and goes on where it was: {asked:?}"
    );
}

/// A registry that lets nobody have more than one connection.
#[test]
fn too_many_connections_become_one() {
    let (registry, content) = slow(|request, _| {
        let part = request
            .headers
            .get("range")
            .is_some_and(|range| !range.ends_with('-'));
        part.then(|| Answer::new(403, ""))
    });
    assert!(bring(&registry, &content, settings_with(PART), Duration::ZERO).unwrap() == content);
}

#[test]
fn parts_that_break_off_go_on() {
    let (registry, content) = slow(|request, state| {
        let mut answer = usual(request, state);
        let part = request.headers.contains_key("range") && answer.body.len() > 20_000;
        answer.cut = part.then_some(20_000);
        part.then_some(answer)
    });
    assert!(bring(&registry, &content, settings_with(PART), Duration::ZERO).unwrap() == content);
    let asked = asked(&registry);
    let again = asked
        .iter()
        .filter(|(begin, last)| last.is_some_and(|last| last - begin + 1 == PART - 20_000));
    assert!(again.count() > 50, "{asked:?}");
}

/// Changes what a registry answers.
type Lie = fn(&mut Answer);

#[test]
fn ranges_that_are_others_than_those_asked_for() {
    let lies: [(&str, Lie); 4] = [
        ("gives the range \"bytes 7-8/9\" for", |answer| {
            answer.headers = vec![("content-range".to_owned(), "bytes 7-8/9".to_owned())];
        }),
        ("gives the range \"\" for", |answer| answer.headers.clear()),
        ("/3000001\" for", |answer| answer.headers[0].1 += "1"),
        ("gives more bytes than were asked for", |answer| {
            answer.body.push(7)
        }),
    ];
    for (expect, lie) in lies {
        let (registry, content) = slow(move |request, state| {
            request.headers.get("range")?;
            let mut answer = usual(request, state);
            if expect.starts_with('/') {
                answer.headers[0].1 = answer.headers[0].1.replace("/3000000", "/300000");
            }
            lie(&mut answer);
            Some(answer)
        });
        let error = bring(&registry, &content, settings_with(PART), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains(expect), "{error}");
    }
}

/// The memory is that of one blob, however many come.
#[test]
fn one_blob_at_a_time_has_several_connections() {
    let (registry, content) = slow(|_, _| None);
    let other: Vec<u8> = content.iter().rev().copied().collect();
    registry.put_blob(&other);
    let reference: Reference = format!("{}/a", registry.address).parse().unwrap();
    let client = Client::new(settings_with(PART));
    std::thread::scope(|scope| {
        for content in [&content, &other] {
            let (client, reference) = (&client, &reference);
            scope.spawn(move || {
                let descriptor = Descriptor::of(media::LAYER, content);
                let found = read(client.blob(reference, &descriptor), Duration::ZERO);
                assert!(found.unwrap() == *content);
            });
        }
    });
    let state = registry.state.lock().unwrap();
    let parts = state
        .requests
        .iter()
        .filter(|request| request.headers.contains_key("range"));
    let paths: std::collections::HashSet<&str> =
        parts.map(|request| request.path.as_str()).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
}
