//! Proves a plan before anything runs: what every plan must keep, whoever made it.
//!
//! 1. Both lanes meet the same barriers in the same order. (`hooks` is in the host lane twice, around what it runs meanwhile.)
//! 2. Every slot is filled once, before it is used; what the child inherits is filled before `Spawn`, and is first in number.
//! 3. The child is non-dumpable before it joins a namespace, and again before anybody there can see it: always from `created` on.
//! 4. After the filter only what it must leave allowed: with no_new_privs nothing but waiting, hooks and the exec; without it the
//!    capabilities as well.
//! 5. Paths beneath the root end with the root's becoming `/`; nothing privileged follows the change of ids but what it kept.
//! 6. One `Spawn`; the exec is the last step, with every other fd closed on the way.
use super::ir::{Barrier, ChildOp, HostOp, Plan, Slot};
use super::slots::{child_fills, child_uses, host_fills};

/// What is wrong with a plan: a mistake of the planner's, never of a config's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw(pub String);

impl std::fmt::Display for Flaw {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "the plan is flawed: {}", self.0)
    }
}

impl std::error::Error for Flaw {}

/// Checks all rules.
///
/// # Errors
/// The first [`Flaw`].
pub fn check(plan: &Plan) -> Result<(), Flaw> {
    barriers(plan)?;
    slots(plan)?;
    dumpable(plan)?;
    filter(plan)?;
    root(plan)?;
    ends(plan)
}

fn flaw<T>(text: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw(text.into()))
}

fn barriers(plan: &Plan) -> Result<(), Flaw> {
    let mut host: Vec<Barrier> = Vec::new();
    let mut hooks_open = false;
    for step in &plan.host {
        match &step.op {
            HostOp::Barrier(Barrier::Hooks) if hooks_open => hooks_open = false,
            HostOp::Barrier(barrier) => {
                if hooks_open {
                    return flaw(format!(
                        "barrier {} while the child waits at barrier hooks",
                        barrier.name()
                    ));
                }
                hooks_open = *barrier == Barrier::Hooks;
                host.push(*barrier);
            }
            _ => {}
        }
    }
    if hooks_open {
        return flaw("the child is left waiting at barrier hooks");
    }
    let child: Vec<Barrier> = plan
        .child
        .iter()
        .filter_map(|step| match &step.op {
            ChildOp::Barrier(barrier) | ChildOp::SendFd { barrier, .. } => Some(*barrier),
            _ => None,
        })
        .collect();
    if host != child {
        let names = |list: &[Barrier]| {
            list.iter()
                .map(|barrier| barrier.name())
                .collect::<Vec<_>>()
                .join(" ")
        };
        return flaw(format!(
            "the host meets [{}] and the child [{}]",
            names(&host),
            names(&child)
        ));
    }
    Ok(())
}

fn slots(plan: &Plan) -> Result<(), Flaw> {
    if !plan
        .handed
        .iter()
        .enumerate()
        .all(|(index, slot)| usize::from(slot.0) == index)
    {
        return flaw("the slots handed to the child are not the first ones in order");
    }
    let mut filled = vec![false; plan.slots.len()];
    for step in plan
        .host
        .iter()
        .take_while(|step| !matches!(step.op, HostOp::Spawn { .. }))
    {
        for slot in host_fills(&step.op) {
            fill(&mut filled, slot)?;
        }
    }
    if let Some(slot) = plan.handed.iter().find(|slot| {
        !filled
            .get(usize::from(slot.0))
            .is_some_and(|filled| *filled)
    }) {
        return flaw(format!("slot {} is handed over empty", slot.0));
    }
    for step in &plan.child {
        let ops = std::iter::once(&step.op)
            .chain(step.alternative.as_ref().map(|alternative| &alternative.op));
        for op in ops {
            for slot in child_uses(op) {
                if !filled
                    .get(usize::from(slot.0))
                    .is_some_and(|filled| *filled)
                {
                    return flaw(format!(
                        "slot {} is used empty by: {}",
                        slot.0,
                        plan.child_op_text(op)
                    ));
                }
            }
        }
        for slot in child_fills(&step.op) {
            fill(&mut filled, slot)?;
        }
        if let Some(alternative) = &step.alternative {
            if alternative.on.is_empty() || alternative.on.len() > 4 {
                return flaw(format!(
                    "an alternative for {} errors",
                    alternative.on.len()
                ));
            }
            if child_fills(&alternative.op) != child_fills(&step.op) {
                return flaw("an alternative fills other slots than its step");
            }
        }
    }
    match filled.iter().position(|filled| !filled) {
        Some(slot) => flaw(format!("slot {slot} is never filled")),
        None => Ok(()),
    }
}

fn fill(filled: &mut [bool], slot: Slot) -> Result<(), Flaw> {
    match filled.get_mut(usize::from(slot.0)) {
        None => flaw(format!("slot {} does not exist", slot.0)),
        Some(true) => flaw(format!("slot {} is filled twice", slot.0)),
        Some(filled) => {
            *filled = true;
            Ok(())
        }
    }
}

fn dumpable(plan: &Plan) -> Result<(), Flaw> {
    let (mut safe, mut joined) = (false, false);
    for step in &plan.child {
        match &step.op {
            ChildOp::NonDumpable => safe = true,
            // It has to be dumpable for its own files in /proc, for as long as nobody else sees it.
            ChildOp::BecomeRoot { .. } => safe = false,
            ChildOp::Join { .. } => joined = true,
            _ => {}
        }
        let seen = match &step.op {
            ChildOp::Join { .. } | ChildOp::Fork | ChildOp::Barrier(Barrier::Placed) => joined,
            // From here on an exec can be in the container, and look for what waits for `start`.
            ChildOp::Barrier(Barrier::Created) => true,
            _ => false,
        };
        if seen && !safe {
            return flaw(format!(
                "a process that can be traced would: {}",
                plan.child_op_text(&step.op)
            ));
        }
    }
    Ok(())
}

fn filter(plan: &Plan) -> Result<(), Flaw> {
    let Some(at) = plan
        .child
        .iter()
        .position(|step| matches!(step.op, ChildOp::Seccomp { .. }))
    else {
        return Ok(());
    };
    let no_new_privs = plan.child[..at]
        .iter()
        .any(|step| matches!(step.op, ChildOp::NoNewPrivs));
    for step in &plan.child[at + 1..] {
        let allowed = match &step.op {
            ChildOp::Barrier(Barrier::Created | Barrier::Go)
            | ChildOp::AwaitStart { .. }
            | ChildOp::RunHook { .. }
            | ChildOp::Exec { .. } => true,
            ChildOp::CapSet { .. } | ChildOp::Ambient(_) => !no_new_privs,
            _ => false,
        };
        if !allowed {
            return flaw(format!(
                "after the filter comes: {}",
                plan.child_op_text(&step.op)
            ));
        }
    }
    Ok(())
}

fn root(plan: &Plan) -> Result<(), Flaw> {
    let mut inside = false;
    let mut started = false;
    let mut identified = false;
    for step in &plan.child {
        let wrong = match &step.op {
            ChildOp::PivotRoot(_) | ChildOp::MoveRoot(_) | ChildOp::Chroot(_) => {
                std::mem::replace(&mut inside, true)
            }
            ChildOp::Mount { .. }
            | ChildOp::Bind { .. }
            | ChildOp::Remount { .. }
            | ChildOp::Mkdir { .. }
            | ChildOp::Mknod { .. }
            | ChildOp::Symlink { .. }
            | ChildOp::BindConsole { .. }
            | ChildOp::BindRoot { .. }
            | ChildOp::CloneRoot { .. }
            | ChildOp::Propagation(_) => inside,
            ChildOp::Mask { .. }
            | ChildOp::ReadonlyPath(_)
            | ChildOp::RootReadonly
            | ChildOp::RootPropagation(_) => !inside || identified,
            ChildOp::Ids { .. } => std::mem::replace(&mut identified, true),
            ChildOp::Bounding(_) | ChildOp::Groups(_) | ChildOp::WriteProc { .. } => identified,
            ChildOp::AwaitStart { .. } => std::mem::replace(&mut started, true),
            ChildOp::RunHook { .. } | ChildOp::Exec { .. } => false,
            _ => started,
        };
        if wrong {
            return flaw(format!("out of place: {}", plan.child_op_text(&step.op)));
        }
    }
    Ok(())
}

fn ends(plan: &Plan) -> Result<(), Flaw> {
    let spawns = plan
        .host
        .iter()
        .filter(|step| matches!(step.op, HostOp::Spawn { .. }))
        .count();
    if spawns != 1 {
        return flaw(format!("{spawns} spawns"));
    }
    let execs = plan
        .child
        .iter()
        .filter(|step| matches!(step.op, ChildOp::Exec { .. }))
        .count();
    if execs != 1
        || !plan
            .child
            .last()
            .is_some_and(|step| matches!(step.op, ChildOp::Exec { .. }))
    {
        return flaw("the exec is not the one last step");
    }
    for (needed, name) in [
        (
            plan.child
                .iter()
                .any(|step| matches!(step.op, ChildOp::CloseOnExecFrom(_))),
            "close on exec",
        ),
        (
            plan.child
                .iter()
                .any(|step| matches!(step.op, ChildOp::FindExecutable { .. })),
            "find executable",
        ),
        (
            plan.child
                .iter()
                .any(|step| matches!(step.op, ChildOp::Ids { .. })),
            "ids",
        ),
        (
            plan.child
                .iter()
                .any(|step| matches!(step.op, ChildOp::Barrier(Barrier::Created))),
            "barrier created",
        ),
    ] {
        if !needed {
            return flaw(format!("no {name}"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
