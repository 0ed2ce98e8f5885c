//! `process.scheduler`, `process.ioPriority` and `linux.memoryPolicy`: names to the numbers of sched_setattr(2), ioprio_set(2) and
//! set_mempolicy(2), with the combinations that the kernel would refuse.
use super::ir::ChildOp;
use super::number_list;
use crate::config::{At, ConfigError, invalid};
use tare_oci::{IoPriority, MemoryPolicy, Scheduler};

const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];
const OTHER: u32 = 0;
const FIFO: u32 = 1;
const RR: u32 = 2;
const BATCH: u32 = 3;
const ISO: u32 = 4;
const DEADLINE: u32 = 6;

const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

/// Memory policy modes: the features document's `linux.memoryPolicy.modes`.
pub const MEMORY_MODES: [(&str, u32); 7] = [
    ("MPOL_BIND", 2),
    ("MPOL_DEFAULT", 0),
    ("MPOL_INTERLEAVE", 3),
    ("MPOL_LOCAL", 4),
    ("MPOL_PREFERRED", 1),
    ("MPOL_PREFERRED_MANY", 5),
    ("MPOL_WEIGHTED_INTERLEAVE", 6),
];
/// Memory policy flags: the features document's `linux.memoryPolicy.flags`.
pub const MEMORY_FLAGS: [(&str, u32); 3] = [
    ("MPOL_F_NUMA_BALANCING", 1 << 13),
    ("MPOL_F_RELATIVE_NODES", 1 << 14),
    ("MPOL_F_STATIC_NODES", 1 << 15),
];

fn named<T: Copy>(table: &[(&str, T)], name: &str) -> Result<T, ConfigError> {
    match table.iter().find(|(known, _)| *known == name) {
        Some((_, value)) => Ok(*value),
        None => {
            let names: Vec<&str> = table.iter().map(|(known, _)| *known).collect();
            invalid(format!("{name:?} is not one of {}", names.join(", ")))
        }
    }
}

/// `process.scheduler` as a [`ChildOp::Scheduler`].
///
/// # Errors
/// An unknown policy or flag, and values that don't belong to the policy.
pub fn scheduler(wire: &Scheduler) -> Result<ChildOp, ConfigError> {
    let policy = named(&POLICIES, &wire.policy).field("policy")?;
    if policy == ISO {
        return invalid("SCHED_ISO is reserved and no kernel has it").field("policy");
    }
    let mut flags = 0;
    for (index, flag) in wire.flags.iter().enumerate() {
        flags |= named(&SCHEDULER_FLAGS, flag).index(index).field("flags")?;
    }
    let nice = wire.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return invalid(format!("{nice} is outside -20 to 19")).field("nice");
    }
    if nice != 0 && !matches!(policy, OTHER | BATCH) {
        return invalid(format!(
            "belongs to SCHED_OTHER and SCHED_BATCH, not to {}",
            wire.policy
        ))
        .field("nice");
    }
    Ok(ChildOp::Scheduler {
        policy,
        flags,
        nice,
        priority: static_priority(wire, policy).field("priority")?,
        runtime: deadline_value(wire, policy, wire.runtime).field("runtime")?,
        deadline: deadline_value(wire, policy, wire.deadline).field("deadline")?,
        period: deadline_value(wire, policy, wire.period).field("period")?,
    })
}

fn static_priority(wire: &Scheduler, policy: u32) -> Result<u32, ConfigError> {
    let priority = wire.priority.unwrap_or(0);
    match (policy, priority) {
        (FIFO | RR, 1..=99) => Ok(priority.unsigned_abs()),
        (FIFO | RR, _) => invalid(format!("{priority} is outside 1 to 99")),
        (_, 0) => Ok(0),
        _ => invalid(format!(
            "belongs to SCHED_FIFO and SCHED_RR, not to {}",
            wire.policy
        )),
    }
}

fn deadline_value(wire: &Scheduler, policy: u32, value: Option<u64>) -> Result<u64, ConfigError> {
    let value = value.unwrap_or(0);
    if policy != DEADLINE && value != 0 {
        return invalid(format!("belongs to SCHED_DEADLINE, not to {}", wire.policy));
    }
    let (runtime, deadline, period) = (
        wire.runtime.unwrap_or(0),
        wire.deadline.unwrap_or(0),
        wire.period.unwrap_or(0),
    );
    if policy == DEADLINE {
        // sched_setattr(2): 1024 <= runtime <= deadline <= period, a period of 0 standing for the deadline.
        if runtime < 1024 {
            return invalid(format!(
                "runtime is {runtime} ns and SCHED_DEADLINE needs at least 1024"
            ));
        }
        if runtime > deadline || (period != 0 && deadline > period) {
            return invalid(format!(
                "SCHED_DEADLINE needs runtime <= deadline <= period, not {runtime}, {deadline}, {period}"
            ));
        }
    }
    Ok(value)
}

/// `process.ioPriority` as a [`ChildOp::IoPriority`].
///
/// # Errors
/// An unknown class or a level outside 0 to 7.
pub fn io_priority(wire: &IoPriority) -> Result<ChildOp, ConfigError> {
    let class: u32 = named(
        &[
            ("IOPRIO_CLASS_RT", 1),
            ("IOPRIO_CLASS_BE", 2),
            ("IOPRIO_CLASS_IDLE", 3),
        ],
        &wire.class,
    )
    .field("class")?;
    match u32::try_from(wire.priority) {
        Ok(level @ 0..=7) => Ok(ChildOp::IoPriority(class << 13 | level)),
        _ => invalid(format!("{} is outside 0 to 7", wire.priority)).field("priority"),
    }
}

/// `linux.memoryPolicy` as a [`ChildOp::MemoryPolicy`].
///
/// # Errors
/// An unknown mode or flag, a bad node list, and the combinations that set_mempolicy(2) documents as EINVAL.
pub fn memory_policy(wire: &MemoryPolicy) -> Result<ChildOp, ConfigError> {
    let mode = named(&MEMORY_MODES, &wire.mode).field("mode")?;
    let nodes = number_list::mask(&wire.nodes).field("nodes")?;
    let none = nodes.iter().all(|word| *word == 0);
    match wire.mode.as_str() {
        "MPOL_DEFAULT" | "MPOL_LOCAL" if !none => {
            return invalid(format!("{} takes no nodes", wire.mode)).field("nodes");
        }
        "MPOL_DEFAULT" | "MPOL_LOCAL" | "MPOL_PREFERRED" => {}
        _ if none => {
            return invalid(format!("{} needs at least one node", wire.mode)).field("nodes");
        }
        _ => {}
    }
    let mut flags = 0;
    for (index, flag) in wire.flags.iter().enumerate() {
        flags |= named(&MEMORY_FLAGS, flag).index(index).field("flags")?;
    }
    memory_flags(wire, flags, none).field("flags")?;
    Ok(ChildOp::MemoryPolicy {
        mode: mode | flags,
        nodes,
    })
}

fn memory_flags(wire: &MemoryPolicy, flags: u32, no_nodes: bool) -> Result<(), ConfigError> {
    let [balancing, relative, fixed] = MEMORY_FLAGS.map(|(_, bit)| flags & bit != 0);
    if relative && fixed {
        return invalid("MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
    }
    if (relative || fixed) && no_nodes {
        return invalid("MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES need nodes");
    }
    if balancing && !matches!(wire.mode.as_str(), "MPOL_BIND" | "MPOL_PREFERRED_MANY") {
        return invalid(format!(
            "MPOL_F_NUMA_BALANCING belongs to MPOL_BIND and MPOL_PREFERRED_MANY, not to {}",
            wire.mode
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(result: Result<ChildOp, ConfigError>) -> String {
        match result {
            Ok(ChildOp::Scheduler {
                policy,
                flags,
                nice,
                priority,
                runtime,
                deadline,
                period,
            }) => {
                format!(
                    "policy {policy} flags {flags:x} nice {nice} priority {priority} {runtime}/{deadline}/{period}"
                )
            }
            Ok(ChildOp::IoPriority(value)) => format!("{value:x}"),
            Ok(ChildOp::MemoryPolicy { mode, nodes }) => format!("{mode:x} {nodes:x?}"),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn check(json: &str, expect: &str) {
        let wire: Scheduler = serde_json::from_str(json).unwrap();
        let result = show(scheduler(&wire));
        assert!(result.starts_with(expect), "{json}: {result}");
    }

    #[test]
    fn schedulers() {
        check(
            r#"{"policy":"SCHED_OTHER","nice":-5}"#,
            "policy 0 flags 0 nice -5 priority 0 0/0/0",
        );
        check(
            r#"{"policy":"SCHED_BATCH","nice":19,"priority":0}"#,
            "policy 3 flags 0 nice 19",
        );
        check(r#"{"policy":"SCHED_IDLE"}"#, "policy 5");
        check(
            r#"{"policy":"SCHED_FIFO","priority":50,"flags":["SCHED_FLAG_RESET_ON_FORK"]}"#,
            "policy 1 flags 1 nice 0 priority 50",
        );
        check(
            r#"{"policy":"SCHED_RR","priority":99,"runtime":0}"#,
            "policy 2 flags 0 nice 0 priority 99",
        );
        check(
            r#"{"policy":"SCHED_DEADLINE","runtime":42000,"deadline":1000000,"period":1000000}"#,
            "policy 6 flags 0 nice 0 priority 0 42000/1000000/1000000",
        );
        check(
            r#"{"policy":"SCHED_DEADLINE","runtime":1024,"deadline":1024}"#,
            "policy 6 flags 0 nice 0 priority 0 1024/1024/0",
        );
    }

    #[test]
    fn refused_schedulers() {
        check(
            r#"{}"#,
            "policy: \"\" is not one of SCHED_OTHER, SCHED_FIFO",
        );
        check(r#"{"policy":"SCHED_ISO"}"#, "policy: SCHED_ISO is reserved");
        check(
            r#"{"policy":"SCHED_OTHER","nice":20}"#,
            "nice: 20 is outside -20 to 19",
        );
        check(
            r#"{"policy":"SCHED_OTHER","priority":1}"#,
            "priority: belongs to SCHED_FIFO and SCHED_RR, not to SCHED_OTHER",
        );
        check(
            r#"{"policy":"SCHED_FIFO"}"#,
            "priority: 0 is outside 1 to 99",
        );
        check(
            r#"{"policy":"SCHED_RR","priority":100}"#,
            "priority: 100 is outside 1 to 99",
        );
        check(
            r#"{"policy":"SCHED_FIFO","priority":1,"nice":3}"#,
            "nice: belongs to SCHED_OTHER and SCHED_BATCH",
        );
        check(
            r#"{"policy":"SCHED_OTHER","runtime":1}"#,
            "runtime: belongs to SCHED_DEADLINE, not to SCHED_OTHER",
        );
        check(
            r#"{"policy":"SCHED_OTHER","period":1}"#,
            "period: belongs to SCHED_DEADLINE",
        );
        check(
            r#"{"policy":"SCHED_DEADLINE","runtime":9}"#,
            "runtime: runtime is 9 ns and SCHED_DEADLINE needs at least 1024",
        );
        check(
            r#"{"policy":"SCHED_DEADLINE","runtime":3000,"deadline":2000}"#,
            "runtime: SCHED_DEADLINE needs runtime <= deadline",
        );
        check(
            r#"{"policy":"SCHED_OTHER","flags":["X"]}"#,
            "flags[0]: \"X\" is not one of SCHED_FLAG_RESET_ON_FORK,",
        );
    }

    #[test]
    fn io_priorities() {
        let check = |class: &str, priority, expect: &str| {
            assert_eq!(
                show(io_priority(&IoPriority {
                    class: class.to_owned(),
                    priority
                })),
                expect
            );
        };
        check("IOPRIO_CLASS_RT", 0, "2000");
        check("IOPRIO_CLASS_BE", 7, "4007");
        check("IOPRIO_CLASS_IDLE", 0, "6000");
        check("IOPRIO_CLASS_BE", 8, "priority: 8 is outside 0 to 7");
        check("IOPRIO_CLASS_BE", -1, "priority: -1 is outside 0 to 7");
        check(
            "",
            0,
            "class: \"\" is not one of IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE",
        );
    }

    #[test]
    fn memory_policies() {
        let check = |mode: &str, nodes: &str, flags: &str, expect: &str| {
            let flags = flags
                .split_whitespace()
                .map(|flag| format!("MPOL_F_{flag}"))
                .collect();
            let wire = MemoryPolicy {
                mode: format!("MPOL_{mode}"),
                nodes: nodes.to_owned(),
                flags,
            };
            let result = show(memory_policy(&wire));
            assert!(result.starts_with(expect), "{mode} {nodes}: {result}");
        };
        check("DEFAULT", "", "", "0 []");
        check("LOCAL", "", "", "4 []");
        check("PREFERRED", "", "", "1 []");
        check("PREFERRED", "1", "", "1 [2]");
        check("BIND", "0-1", "STATIC_NODES", "8002 [3]");
        check("INTERLEAVE", "0,64", "RELATIVE_NODES", "4003 [1, 1]");
        check("BIND", "0", "NUMA_BALANCING", "2002 [1]");
        check("PREFERRED_MANY", "0", "", "5 [1]");
        check("WEIGHTED_INTERLEAVE", "0", "", "6 [1]");
        check("BIND", "", "", "nodes: MPOL_BIND needs at least one node");
        check("DEFAULT", "0", "", "nodes: MPOL_DEFAULT takes no nodes");
        check("LOCAL", "0", "", "nodes: MPOL_LOCAL takes no nodes");
        check("BIND", "x", "", "nodes: \"x\" is neither a number");
        check(
            "SOFT",
            "0",
            "",
            "mode: \"MPOL_SOFT\" is not one of MPOL_BIND, MPOL_DEFAULT",
        );
        check(
            "BIND",
            "0",
            "NONE",
            "flags[0]: \"MPOL_F_NONE\" is not one of MPOL_F_NUMA_BALANCING",
        );
        check(
            "BIND",
            "0",
            "STATIC_NODES RELATIVE_NODES",
            "flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude",
        );
        check(
            "PREFERRED",
            "",
            "STATIC_NODES",
            "flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES need nodes",
        );
        check(
            "INTERLEAVE",
            "0",
            "NUMA_BALANCING",
            "flags: MPOL_F_NUMA_BALANCING belongs to MPOL_BIND",
        );
    }
}
