//! libFuzzer around the targets: `TARE_FUZZ_TARGET` names one, the arguments are libFuzzer's. Built by `fuzz/fuzz.sh`.
#![no_main]
#![forbid(unsafe_code)]

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use std::sync::LazyLock;
use tare_fuzz::mutate::mutate;
use tare_fuzz::targets::{Target, by_name};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("TARE_FUZZ_TARGET").unwrap_or_default();
    by_name(&name).unwrap_or_else(|| panic!("TARE_FUZZ_TARGET={name}: no such target"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));

fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    // One in four as bytes: texts that are no JSON must be refused too.
    if TARGET.json && !seed.is_multiple_of(4) {
        if let Some(made) = mutate(&bytes[..size], most, seed / 4) {
            bytes[..made.len()].copy_from_slice(&made);
            return made.len();
        }
    }
    fuzzer_mutate(bytes, size, most)
});
