//! Plans without one of their defences: how a test shows that its attack would succeed. Only with the feature `proof`.
use crate::plan::ir::{ChildOp, Plan};
use tare_stage::weaken as stage;

const RDONLY: u64 = 1;

/// Takes away the defences of these names, comma between them, for the rest of this process's life.
///
/// # Errors
/// The name that is unknown, and all that are known.
pub fn weaken(names: &str) -> Result<(), String> {
    let mut mask = 0;
    for name in names.split(',').filter(|name| !name.is_empty()) {
        let known = stage::NAMES.iter().find(|(known, _)| *known == name);
        mask |= known
            .ok_or_else(|| format!("no defence is called {name:?}: {:?}", stage::NAMES))?
            .1;
    }
    stage::take_away(mask);
    Ok(())
}

/// Whether the defence of this name is gone.
pub fn lacks(name: &str) -> bool {
    stage::NAMES
        .iter()
        .any(|(known, bit)| *known == name && stage::lacks(*bit))
}

/// A checked plan, without what is to be missing.
pub(crate) fn plan(mut plan: Plan) -> Plan {
    plan.child.retain(|step| match step.op {
        ChildOp::NonDumpable => !stage::lacks(stage::DUMPABLE),
        ChildOp::CloseOnExecFrom(_) => !stage::lacks(stage::CLOSE_FDS),
        _ => true,
    });
    for step in &mut plan.child {
        match &mut step.op {
            ChildOp::CapSet {
                permitted,
                inheritable,
                ..
            } if stage::lacks(stage::INHERITABLE) => *inheritable = *permitted,
            ChildOp::Groups(ids) if stage::lacks(stage::LENGTHS) => short(ids),
            ChildOp::Ids { uid, gid } if stage::lacks(stage::IDS) => {
                *uid &= i32::MAX as u32;
                *gid &= i32::MAX as u32;
            }
            _ => {}
        }
        let ops = [
            Some(&mut step.op),
            step.alternative.as_mut().map(|other| &mut other.op),
        ];
        for op in ops.into_iter().flatten() {
            if let ChildOp::Bind { dest, attr, .. } = op
                && dest == "/sys"
                && stage::lacks(stage::SYS_READONLY)
            {
                attr.set_recursive &= !RDONLY;
            }
        }
    }
    plan
}

/// As a length of 16 bits counts them.
fn short<T>(list: &mut Vec<T>) {
    let most = (usize::from(u16::MAX) + 1) / size_of::<T>();
    list.truncate(list.len() % most);
}
