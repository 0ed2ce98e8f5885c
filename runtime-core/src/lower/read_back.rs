//! A plan lowered and read back: the proof that the bytes mean what the plan says. For tests and fuzz targets; it panics.
use super::raise::raise;
use super::*;
use std::ffi::CStr;
use tare_stage::Program;

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

/// Lowers, decodes and compares each step; gives the program's length.
pub(crate) fn round_trip(plan: &Plan) -> usize {
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
    lowered.bytes.len()
}
