//! Tests of the proof: a good plan passes, and every rule refuses a plan that breaks it.
use super::super::create::plan;
use super::super::ir::{Alternative, ChildStep, HostStep};
use super::super::testing::{facts, options};
use super::*;

const SPEC: &str = r#"{
    "process": {"args": ["/bin/true"], "cwd": "/x", "noNewPrivileges": true, "terminal": true,
        "capabilities": {"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"]}},
    "root": {"path": "/r", "readonly": true},
    "mounts": [{"destination": "/proc", "type": "proc"}],
    "hooks": {"createRuntime": [{"path": "/h"}], "startContainer": [{"path": "/h"}]},
    "linux": {
        "namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network", "path": "/n"}],
        "maskedPaths": ["/proc/kcore"],
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}
    }
}"#;

fn good() -> Plan {
    let mut options = options();
    options.console = true;
    plan(&serde_json::from_str(SPEC).unwrap(), &facts(), &options).unwrap()
}

fn position(plan: &Plan, matches: impl Fn(&ChildOp) -> bool) -> usize {
    plan.child
        .iter()
        .position(|step| matches(&step.op))
        .unwrap()
}

fn broken(change: impl Fn(&mut Plan), expect: &str) {
    let mut plan = good();
    change(&mut plan);
    let text = check(&plan).unwrap_err().to_string();
    assert!(text.contains(expect), "{expect}: {text}");
}

fn child(op: ChildOp) -> ChildStep {
    ChildStep {
        op,
        alternative: None,
        from: String::new(),
    }
}

#[test]
fn a_good_plan_passes() {
    assert_eq!(check(&good()), Ok(()));
}

#[test]
fn lanes_must_meet() {
    broken(
        |plan| {
            plan.child
                .retain(|step| step.op != ChildOp::Barrier(Barrier::Placed))
        },
        "the host meets [namespaces placed console",
    );
    broken(
        |plan| {
            plan.host
                .retain(|step| step.op != HostOp::Barrier(Barrier::Created))
        },
        "and the child [namespaces placed",
    );
    broken(
        |plan| {
            let last = plan
                .host
                .iter()
                .rposition(|step| step.op == HostOp::Barrier(Barrier::Hooks))
                .unwrap();
            plan.host.remove(last);
        },
        "barrier created while the child waits at barrier hooks",
    );
}

#[test]
fn slots_must_be_filled() {
    broken(
        |plan| {
            plan.child
                .retain(|step| !matches!(step.op, ChildOp::OpenNull(_)))
        },
        "is used empty by: mask /proc/kcore",
    );
    broken(
        |plan| {
            plan.host
                .retain(|step| !matches!(step.op, HostOp::MakeFifos { .. }))
        },
        "is handed over empty",
    );
    broken(
        |plan| plan.handed.reverse(),
        "are not the first ones in order",
    );
    broken(
        |plan| {
            let at = position(plan, |op| matches!(op, ChildOp::OpenNull(_)));
            let again = plan.child[at].clone();
            plan.child.insert(at, again);
        },
        "is filled twice",
    );
    broken(
        |plan| {
            plan.slots.push(super::super::ir::SlotInfo {
                name: "x".to_owned(),
            })
        },
        "is never filled",
    );
    broken(
        |plan| plan.child.insert(0, child(ChildOp::OpenNull(Slot(999)))),
        "slot 999 does not exist",
    );
}

#[test]
fn alternatives_are_bounded() {
    let alternative = |on: Vec<i32>, op: ChildOp| Some(Alternative { on, op });
    broken(
        |plan| plan.child[0].alternative = alternative(vec![], ChildOp::Nothing),
        "an alternative for 0 errors",
    );
    broken(
        |plan| plan.child[0].alternative = alternative(vec![1, 2, 3, 4, 5], ChildOp::Nothing),
        "an alternative for 5 errors",
    );
    broken(
        |plan| {
            let at = position(plan, |op| matches!(op, ChildOp::OpenNull(_)));
            plan.child[at].alternative = alternative(vec![1], ChildOp::Nothing);
        },
        "fills other slots",
    );
}

#[test]
fn joining_needs_a_process_that_cannot_be_traced() {
    broken(
        |plan| plan.child.retain(|step| step.op != ChildOp::NonDumpable),
        "a process that can be traced would: join network",
    );
}

#[test]
fn what_waits_for_start_cannot_be_traced() {
    let mut spec: tare_oci::Spec = serde_json::from_str(SPEC).unwrap();
    if let Some(linux) = &mut spec.linux {
        linux
            .namespaces
            .retain(|namespace| namespace.path.is_empty());
    }
    let mut options = options();
    options.console = true;
    let mut plan = plan(&spec, &facts(), &options).unwrap();
    assert_eq!(check(&plan), Ok(()));
    plan.child.retain(|step| step.op != ChildOp::NonDumpable);
    let text = check(&plan).unwrap_err().to_string();
    let expect = "a process that can be traced would: barrier created";
    assert!(text.contains(expect), "{text}");
}

#[test]
fn little_follows_the_filter() {
    broken(
        |plan| plan.child.push(child(ChildOp::Umask(0))),
        "after the filter comes: umask 0000",
    );
    broken(
        |plan| {
            let at = position(plan, |op| matches!(op, ChildOp::Seccomp { .. }));
            plan.child.insert(
                at + 1,
                child(ChildOp::CapSet {
                    effective: 0,
                    permitted: 0,
                    inheritable: 0,
                }),
            );
        },
        "after the filter comes: capabilities",
    );
}

#[test]
fn steps_have_their_place() {
    let move_to = |from: fn(&ChildOp) -> bool, to: fn(&ChildOp) -> bool| {
        move |plan: &mut Plan| {
            let step = plan.child.remove(position(plan, from));
            let at = position(plan, to);
            plan.child.insert(at, step);
        }
    };
    broken(
        move_to(
            |op| matches!(op, ChildOp::Mask { .. }),
            |op| matches!(op, ChildOp::PivotRoot(_)),
        ),
        "out of place: mask /proc/kcore",
    );
    broken(
        move_to(
            |op| matches!(op, ChildOp::PivotRoot(_)),
            |op| matches!(op, ChildOp::Mount { .. }),
        ),
        "out of place: mount proc",
    );
    broken(
        move_to(
            |op| matches!(op, ChildOp::Bounding(_)),
            |op| matches!(op, ChildOp::FindExecutable { .. }),
        ),
        "out of place: bounding",
    );
}

#[test]
fn one_spawn_and_one_exec() {
    broken(
        |plan| {
            plan.host
                .retain(|step| !matches!(step.op, HostOp::Spawn { .. }))
        },
        "0 spawns",
    );
    broken(
        |plan| {
            plan.host.push(HostStep {
                op: plan.host[plan
                    .host
                    .iter()
                    .position(|step| matches!(step.op, HostOp::Spawn { .. }))
                    .unwrap()]
                .op
                .clone(),
                from: String::new(),
            })
        },
        "2 spawns",
    );
    broken(
        |plan| drop(plan.child.pop()),
        "the exec is not the one last step",
    );
    broken(
        |plan| {
            plan.child
                .retain(|step| !matches!(step.op, ChildOp::CloseOnExecFrom(_)))
        },
        "no close on exec",
    );
    broken(
        |plan| {
            plan.child
                .retain(|step| !matches!(step.op, ChildOp::Ids { .. }))
        },
        "no ids",
    );
}
