//! Lowering round-trips: every kind of op, with any values, and all plans of the golden corpus, through the stage decoder and back.
mod corpus;
mod hostile;
mod made;

use super::*;
use crate::plan::ir::{Alternative, ChildStep, SlotInfo};
use made::{KINDS, Parts, make, parts};
use proptest::prelude::*;
use read_back::round_trip;

fn plan(child: Vec<ChildStep>) -> Plan {
    Plan {
        title: String::new(),
        host: Vec::new(),
        child,
        slots: vec![
            SlotInfo {
                name: String::new()
            };
            SLOTS
        ],
        handed: vec![Slot(0), Slot(1), Slot(2)],
        cgroup_paths: Default::default(),
        skips: Vec::new(),
    }
}

fn steps() -> impl Strategy<Value = Vec<ChildStep>> {
    let on = prop::collection::vec(1..200i32, 0..5);
    let step =
        (parts(), prop::option::weighted(0.2, (on, parts()))).prop_map(|(op, other)| ChildStep {
            op: make(&op),
            alternative: other.map(|(on, other)| Alternative {
                on,
                op: make(&other),
            }),
            from: String::new(),
        });
    prop::collection::vec(step, 0..40)
}

#[test]
fn every_kind_is_made_here() {
    let mut kinds = std::collections::HashSet::new();
    let texts = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    for kind in 0..KINDS {
        let op = make(&Parts {
            kind,
            texts: texts.clone(),
            numbers: (1..9).collect(),
            yes: [true; 3],
        });
        kinds.insert(std::mem::discriminant(&op));
        round_trip(&plan(vec![ChildStep {
            op,
            alternative: None,
            from: String::new(),
        }]));
    }
    // One for each arm of `put`, which the compiler holds complete.
    let arms = include_str!("../lower.rs")
        .matches("\n        ChildOp::")
        .count();
    assert_eq!(kinds.len(), arms);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_lane_is_decoded_as_it_was_meant(child in steps()) {
        round_trip(&plan(child));
    }
}

#[test]
fn what_cannot_be_lowered_is_told() {
    let step = |op| ChildStep {
        op,
        alternative: None,
        from: String::new(),
    };
    let why = |plan: &Plan| lower(plan, 3, false).map(drop).unwrap_err().to_string();
    let nul = || "a\0b".to_owned();
    for op in [
        ChildOp::Hostname(nul()),
        ChildOp::Exec {
            args: vec![nul()],
            env: Vec::new(),
        },
        ChildOp::FindExecutable {
            candidates: vec![String::new(), nul()],
        },
    ] {
        assert_eq!(
            why(&plan(vec![step(ChildOp::Nothing), step(op)])),
            "child step 2 can't be lowered: a text has a NUL byte inside"
        );
    }
    let mut many = step(ChildOp::Nothing);
    many.alternative = Some(Alternative {
        on: vec![1, 2, 3, 4, 5],
        op: ChildOp::Nothing,
    });
    assert!(why(&plan(vec![many])).contains("more than four errors"));
    let mut slots = plan(Vec::new());
    slots.slots.push(SlotInfo {
        name: String::new(),
    });
    assert!(why(&slots).contains("too many slots"));
}
