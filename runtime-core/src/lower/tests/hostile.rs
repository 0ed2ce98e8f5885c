//! The decoder over bytes that no `lower` makes: nothing panics, nothing lies outside.
use super::{plan, steps};
use crate::lower::lower;
use proptest::prelude::*;
use tare_stage::{MAGIC, Op, Program, report};

/// Everything that can be asked of these bytes; whatever comes out lies inside them.
fn probe(bytes: &[u8]) {
    // As small as it gets, so that a read past the end is one past the allocation.
    let mut bytes: Box<[u8]> = bytes.into();
    let range = bytes.as_ptr_range();
    let inside = |part: &[u8]| {
        let part = part.as_ptr_range();
        part.start >= range.start && part.end <= range.end
    };
    let Some(program) = Program::decode(&mut bytes) else {
        return;
    };
    for index in 0..program.count {
        let Some(op) = program.op(index) else {
            continue;
        };
        let _ = format!("{op:?}");
        match op {
            Op::Exec { args, env } | Op::RunHook { args, env, .. } => {
                let _ = (program.table(args).is_some(), program.table(env).is_some());
            }
            Op::FindExecutable { candidates } => {
                assert_eq!(candidates.iter().count(), candidates.count() as usize);
                assert!(
                    candidates
                        .iter()
                        .all(|text| inside(text.to_bytes_with_nul()))
                );
            }
            Op::Hostname { name } => assert!(inside(name.to_bytes_with_nul())),
            Op::Seccomp { program, .. } => assert!(inside(program)),
            _ => {}
        }
    }
    assert_eq!(program.op(program.count.saturating_add(1 << 20)), None);
    let _ = program.op(u32::MAX);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_harmless(mut bytes in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
        if magic && bytes.len() >= 4 {
            bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
        }
        probe(&bytes);
    }

    #[test]
    fn random_words_are_harmless(tail in prop::collection::vec(prop_oneof![0..200u32, any::<u32>()], 0..80), count in 0..6u32) {
        let mut all = vec![MAGIC, count, 0, 0, 4, 0, 32, 0];
        all.extend((0..count).map(|index| 32 + count * 4 + index * 16));
        all.extend(tail);
        probe(&all.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<_>>());
    }

    #[test]
    fn mutated_programs_are_harmless(
        child in steps(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        words in prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![0..5000u32, any::<u32>()]), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = lower(&plan(child), 3, false).unwrap().bytes;
        for (index, word) in words {
            let at = index.index(bytes.len() / 4) * 4;
            bytes[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        probe(&bytes);
    }

    #[test]
    fn frames_are_read_back_and_noise_is_none(bytes in prop::collection::vec(any::<u8>(), 0..40), a in any::<u32>(), b in any::<u32>(), c in any::<u32>()) {
        use report::Frame;
        for frame in [Frame::Barrier { id: a }, Frame::Failure { step: a, errno: b, detail: c }, Frame::Forked { pid: a }] {
            assert_eq!(Frame::from_bytes(&frame.to_bytes()), Some(frame));
        }
        if bytes.len() != report::FRAME {
            assert_eq!(Frame::from_bytes(&bytes), None);
        }
    }
}
