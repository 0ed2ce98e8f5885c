//! A containerd that is none: starts a shim as containerd does, speaks ttrpc with it over a codec of its own, takes its events,
//! and holds it to what containerd relies on.
//!
//! `shim-conformance --shim PROGRAM [--expected FILE] [FILTER]`, as root. A line a case, then the count.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "a program of tests: nobody imports it")]

mod cases;
mod events;
mod proto;
mod ttrpc;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use world::World;

fn main() -> ExitCode {
    let (mut shim, mut expected, mut filter) = (None, BTreeMap::new(), String::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--shim" => shim = words.next().map(PathBuf::from),
            "--expected" => {
                let path = words.next().unwrap_or_default();
                expected = differences(&path);
            }
            other => filter = other.to_owned(),
        }
    }
    let Some(shim) = shim.and_then(|path| std::path::absolute(path).ok()) else {
        eprintln!("shim-conformance --shim PROGRAM [--expected FILE] [FILTER]");
        return ExitCode::from(2);
    };
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let reason = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let heard = std::sync::Arc::clone(&reason);
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let what = info.payload_as_str().unwrap_or("a panic").to_owned();
        *heard
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = format!("{what} ({place})");
    }));
    for case in cases::cases() {
        if !case.name.contains(&filter) {
            continue;
        }
        let world = World::new(&shim);
        if let Some(why) = case.ours.filter(|_| !world.is_ours()) {
            println!("skipped {}: not asked of another shim: {why}", case.name);
            skipped += 1;
            world.clean();
            continue;
        }
        let begin = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(|| (case.run)(&world)));
        world.clean();
        let took = begin.elapsed().as_millis();
        let why = reason
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        match (result, expected.get(case.name)) {
            (Ok(()), None) => {
                println!("ok {} ({took} ms)", case.name);
                passed += 1;
            }
            (Err(_), Some(known)) => {
                println!("skipped {}: expected difference: {known}", case.name);
                skipped += 1;
            }
            (Ok(()), Some(known)) => {
                println!(
                    "FAIL {}: passes, but is listed as different: {known}",
                    case.name
                );
                failed += 1;
            }
            (Err(_), None) => {
                println!("FAIL {} ({took} ms): {why}", case.name);
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    ExitCode::from(u8::from(failed > 0 || passed == 0))
}

/// Lines of `CASE = "REASON"`.
fn differences(path: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" = "))
        .map(|(case, why)| {
            (
                case.trim_matches('"').to_owned(),
                why.trim_matches('"').to_owned(),
            )
        })
        .collect()
}
