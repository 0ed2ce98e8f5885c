//! Doors for tests, the oracle and the fuzz targets: every message by its name, and samples of each.
use crate::{Error, Message, messages, rpc};
use std::collections::BTreeMap;

/// A message whose type the caller doesn't name.
pub struct Any {
    /// Its full name.
    pub name: &'static str,
    /// Number, name and Rust type of each field.
    pub fields: &'static [(u32, &'static str, &'static str)],
    /// A message with every field set, made of random numbers, as bytes.
    pub sample: fn(&mut dyn FnMut() -> u64) -> Vec<u8>,
    /// Bytes read and written again.
    pub again: fn(&[u8]) -> Result<Vec<u8>, Error>,
}

/// All messages.
pub fn every() -> impl Iterator<Item = &'static Any> {
    [
        rpc::ALL,
        messages::bootstrap::ALL,
        messages::cgroup1::ALL,
        messages::cgroup2::ALL,
        messages::cri::ALL,
        messages::events::ALL,
        messages::google::ALL,
        messages::runtime::ALL,
        messages::sandbox::ALL,
        messages::task::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Random numbers that a seed determines (splitmix64); every fourth is small.
pub fn numbers(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        if mixed.is_multiple_of(4) {
            mixed >> 60
        } else {
            mixed
        }
    }
}

/// A value that a field may have, never its default.
pub trait Sample {
    /// Makes one.
    fn sample(next: &mut dyn FnMut() -> u64) -> Self;
}

pub(crate) fn sample<M: Message + Sample>(next: &mut dyn FnMut() -> u64) -> Vec<u8> {
    M::sample(next).encode()
}

pub(crate) fn again<M: Message>(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    M::decode(bytes).map(|message| message.encode())
}

impl Sample for bool {
    fn sample(_: &mut dyn FnMut() -> u64) -> Self {
        true
    }
}

impl Sample for u32 {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        (next() as u32).max(1)
    }
}

impl Sample for u64 {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        next().max(1)
    }
}

impl Sample for i32 {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        u32::sample(next) as i32
    }
}

impl Sample for i64 {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        u64::sample(next) as i64
    }
}

impl Sample for f64 {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        (next() as i64) as f64 / 1024.0 + 0.5
    }
}

impl Sample for u8 {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        next() as u8
    }
}

impl Sample for String {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        let length = next() % 200 + 1;
        (0..length)
            .map(|_| char::from_u32(next() as u32 % 0x800).unwrap_or('x'))
            .collect()
    }
}

impl<T: Sample> Sample for Option<T> {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        Some(T::sample(next))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        let length = next() % 3 + 1;
        (0..length).map(|_| T::sample(next)).collect()
    }
}

impl Sample for BTreeMap<String, String> {
    /// One entry: in which order others write several is theirs to choose.
    fn sample(next: &mut dyn FnMut() -> u64) -> Self {
        BTreeMap::from([(String::sample(next), String::sample(next))])
    }
}
