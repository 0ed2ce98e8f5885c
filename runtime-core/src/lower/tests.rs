//! Lowering round-trips: every kind of op, with any values, and all plans of the golden corpus, through the stage decoder and back.
mod corpus;
mod hostile;
mod made;
mod read;

use super::*;
use crate::plan::ir::{Alternative, ChildStep, SlotInfo};
use made::{KINDS, Parts, make, parts};
use proptest::prelude::*;
use read::raise;
use std::ffi::CStr;
use tare_stage::Program;

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

/// Without what is for people only: a limit's name, a hook's kind.
fn meant(op: &ChildOp) -> ChildOp {
    let mut op = op.clone();
    match &mut op {
        ChildOp::Rlimit(limit) => limit.name = "",
        ChildOp::RunHook { kind, .. } => kind.clear(),
        ChildOp::Mount { options, .. } | ChildOp::Remount { options, .. } => {
            for (_, value) in options {
                *value = value.take().filter(|value| !value.is_empty());
            }
        }
        _ => {}
    }
    op
}

/// Lowers, decodes and compares each step.
fn round_trip(plan: &Plan) {
    let lowered = lower(plan, 7, true).unwrap();
    // A first decoded copy is for its tables, which then hold pointers into it.
    let mut tables = lowered.bytes.clone();
    let base = tables.as_ptr() as u64;
    assert!(Program::decode(&mut tables).is_some());
    let strings = |table: Table| {
        let at = |index: u32| {
            let at = (table.at + index * 8) as usize;
            u64::from_ne_bytes(tables[at..at + 8].try_into().unwrap())
        };
        assert_eq!((table.at % 8, at(table.count)), (0, 0));
        let text = |index| {
            let offset = usize::try_from(at(index).checked_sub(base).unwrap()).unwrap();
            let text = CStr::from_bytes_until_nul(&tables[offset..]).unwrap();
            text.to_str().unwrap().to_owned()
        };
        (0..table.count).map(text).collect::<Vec<_>>()
    };
    let mut bytes = lowered.bytes.clone();
    let program = Program::decode(&mut bytes).unwrap();
    assert_eq!(
        (program.control, program.handed as usize),
        (8, plan.handed.len())
    );
    assert_eq!(program.count as usize, lowered.steps.len());
    let mut ops =
        (0..program.count).map(|index| (lowered.steps[index as usize], program.op(index).unwrap()));
    for (index, step) in plan.child.iter().enumerate() {
        let mut next = || {
            let (of, op) = ops.next().unwrap();
            assert_eq!(of, index);
            op
        };
        let Some(alternative) = &step.alternative else {
            assert_eq!(raise(next(), &strings), meant(&step.op));
            continue;
        };
        let Op::Try { e1, e2, e3, e4 } = next() else {
            panic!("no try before step {index}")
        };
        let on = [e1, e2, e3, e4]
            .into_iter()
            .filter(|errno| *errno != 0)
            .map(|errno| errno as i32);
        assert_eq!(on.collect::<Vec<_>>(), alternative.on);
        assert_eq!(raise(next(), &strings), meant(&step.op));
        assert_eq!(raise(next(), &strings), meant(&alternative.op));
    }
    assert_eq!(ops.next(), None);
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
