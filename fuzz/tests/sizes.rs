//! Documents that are long rather than odd: every list and every map of config.json with thousands of entries.
//!
//! Time is not judged, but a step that takes the square of a length shows here as a test that takes minutes.
use serde_json::{Value, json};
use std::time::Instant;
use tare_fuzz::targets::{by_name, spec};

const EVERYTHING: &str = include_str!("../src/everything.json");

/// How many entries; more by the environment, to measure.
fn entries() -> usize {
    std::env::var("TARE_FUZZ_ENTRIES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(2000)
}

/// The JSON pointers of all lists and maps.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => {
            found.push(at.to_owned());
            for (index, inner) in list.iter().enumerate() {
                places(inner, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(members) => {
            found.push(at.to_owned());
            for (key, inner) in members {
                places(inner, &format!("{at}/{key}"), found);
            }
        }
        _ => {}
    }
}

/// A copy whose texts and numbers differ from those of the other copies.
fn another(value: &Value, number: usize) -> Value {
    match value {
        Value::String(text) if text.starts_with("CAP_") || text.starts_with("RLIMIT_") => {
            json!(text)
        }
        Value::String(text) => json!(format!("{text}{number}")),
        Value::Object(members) => {
            let named = ["destination", "path", "names", "name"];
            let inner = members.iter().map(|(key, inner)| {
                let inner = if named.contains(&key.as_str()) {
                    another(inner, number)
                } else {
                    inner.clone()
                };
                (key.clone(), inner)
            });
            Value::Object(inner.collect())
        }
        Value::Array(list) => {
            Value::Array(list.iter().map(|inner| another(inner, number)).collect())
        }
        other => other.clone(),
    }
}

fn lengthen(place: &mut Value, count: usize) {
    match place {
        Value::Array(list) => {
            let first = list.first().cloned().unwrap_or_else(|| json!("x"));
            list.extend((0..count).map(|number| another(&first, number)));
        }
        Value::Object(members) => {
            let first = members
                .iter()
                .next()
                .map(|(key, value)| (key.clone(), value.clone()));
            let (key, value) = first.unwrap_or_else(|| ("k".to_owned(), json!("v")));
            members.extend((0..count).map(|number| (format!("{key}{number}"), value.clone())));
        }
        _ => {}
    }
}

fn run(target: &str, line: &str, document: &Value) {
    let target = by_name(target).expect("a target");
    (target.run)(format!("{line}\n{document}").as_bytes());
}

/// A document that is planned, with this part of the one that has everything, and what must be around it.
fn minimal(everything: &Value, place: &str) -> Value {
    let mut document = json!({
        "ociVersion": "1.3.0",
        "process": {"args": ["/bin/true"], "cwd": "/", "env": ["HOME=/"], "user": {"uid": 0, "gid": 0}},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "network"}, {"type": "ipc"}]}
    });
    let parts: Vec<&str> = place.split('/').skip(1).collect();
    // Down to what is a list's element or two deep: the rest comes with it.
    let depth = parts
        .iter()
        .take(3)
        .take_while(|part| part.parse::<u32>().is_err())
        .count();
    let (mut from, mut to) = (everything, &mut document);
    for (at, part) in parts[..depth].iter().enumerate() {
        from = &from[*part];
        let whole = at + 1 == depth;
        let members = to.as_object_mut().expect("a map");
        let inner = members.entry(*part).or_insert_with(|| json!({}));
        if whole {
            *inner = from.clone();
        }
        to = inner;
    }
    document
}

#[test]
fn every_list_may_be_long() {
    let everything: Value = serde_json::from_str(EVERYTHING).expect("a document");
    let mut found = Vec::new();
    places(&everything, "", &mut found);
    assert!(found.len() > 60, "{found:?}");
    let (mut planned, mut most) = (0, 0);
    for place in &found {
        let begin = Instant::now();
        for mut document in [everything.clone(), minimal(&everything, place)] {
            lengthen(
                document.pointer_mut(place).expect("a place of the list"),
                entries(),
            );
            for line in [
                "secure everything console",
                "v1 console",
                "systemd systemd everything",
            ] {
                let steps = spec::planned(format!("{line}\n{document}").as_bytes());
                planned += u32::from(steps.is_some());
                most = most.max(steps.unwrap_or(0));
            }
            run("exec", "v2", &document["process"]);
            run("resources", "v1", &document["linux"]["resources"]);
            run("resources", "systemd", &document["linux"]["resources"]);
            run("seccomp", "", &document["linux"]["seccomp"]);
        }
        println!("{:6} ms {place}", begin.elapsed().as_millis());
    }
    println!("{planned} plans, the longest of {most} steps");
    assert!(
        planned > 50 && (most > 1000 || entries() > 4000),
        "{planned} plans, {most} steps"
    );
}
