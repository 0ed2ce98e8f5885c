//! Memory and swap. Pure.
//!
//! The spec's `swap` is memory plus swap, as on v1; v2 counts swap alone.
use super::{Current, Out};
use crate::{Refusal, Setting, Skip};
use tare_oci::{Memory, Resources};

const LIMIT: &str = "linux.resources.memory.limit";
const SWAP: &str = "linux.resources.memory.swap";
const RESERVATION: &str = "linux.resources.memory.reservation";

pub(super) fn v1(resources: &Resources, current: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(memory) = &resources.memory else {
        return Ok(());
    };
    check(memory)?;
    ignored(memory, out);
    let limit = set(memory.limit).map(|limit| Setting::new("memory.limit_in_bytes", limit, LIMIT));
    let both = "memory.memsw.limit_in_bytes";
    let swap = match (set(memory.limit), set(memory.swap)) {
        // Unlimited memory means unlimited swap too unless it is given.
        (Some(-1), None) => Some(Setting::new(both, -1, LIMIT).or_skip()),
        (_, Some(-1)) => Some(Setting::new(both, -1, SWAP).or_skip()),
        (_, Some(swap)) => Some(Setting::new(both, swap, SWAP)),
        (_, None) => None,
    };
    // The kernel wants memory <= memory+swap at any moment: growing starts with the sum, shrinking with the memory.
    let sum_first = match set(memory.swap) {
        Some(-1) | None => true,
        Some(swap) => current.memory_limit.is_some_and(|now| now < swap as u64),
    };
    if sum_first {
        out.settings.extend(swap.into_iter().chain(limit));
    } else {
        out.settings.extend(limit.into_iter().chain(swap));
    }
    if let Some(reservation) = set(memory.reservation) {
        out.settings.push(Setting::new(
            "memory.soft_limit_in_bytes",
            reservation,
            RESERVATION,
        ));
    }
    if memory.disable_oom_killer == Some(true) {
        out.settings.push(Setting::new(
            "memory.oom_control",
            1,
            "linux.resources.memory.disableOOMKiller",
        ));
    }
    if let Some(swappiness) = memory.swappiness {
        out.settings.push(Setting::new(
            "memory.swappiness",
            swappiness,
            "linux.resources.memory.swappiness",
        ));
    }
    Ok(())
}

pub(super) fn v2(resources: &Resources, current: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(memory) = &resources.memory else {
        return Ok(());
    };
    check(memory)?;
    ignored(memory, out);
    if memory.disable_oom_killer == Some(true) {
        out.skips.push(Skip::new(
            "linux.resources.memory.disableOOMKiller",
            "cgroup v2 has no such switch; runc ignores it there too",
        ));
    }
    if memory.swappiness.is_some() {
        out.skips.push(Skip::new(
            "linux.resources.memory.swappiness",
            "cgroup v2 has no such value; runc ignores it there too",
        ));
    }
    if let (Some(limit), Some(true)) = (set(memory.limit), memory.check_before_update)
        && limit > 0
        && current.memory_usage > limit as u64
    {
        return Err(Refusal::new(
            LIMIT,
            format!(
                "rejecting memory limit {limit} < usage {}",
                current.memory_usage
            ),
        ));
    }
    let known = set(memory.limit).or(current
        .memory_limit
        .and_then(|limit| i64::try_from(limit).ok()));
    if let Some((swap, json)) = swap_on_v2(set(memory.swap), known, set(memory.limit))? {
        let setting = Setting::new("memory.swap.max", number(swap), json);
        // Without swap in the kernel there is nothing to forbid or to allow.
        out.settings.push(if swap <= 0 {
            setting.or_skip()
        } else {
            setting
        });
    }
    if let Some(limit) = set(memory.limit) {
        out.settings
            .push(Setting::new("memory.max", number(limit), LIMIT));
    }
    if let Some(reservation) = set(memory.reservation) {
        out.settings
            .push(Setting::new("memory.low", number(reservation), RESERVATION));
    }
    Ok(())
}

/// Swap alone, from the spec's sum: `known` is the memory limit given or in force, `limit` the one given. -1 is no limit.
pub(crate) fn swap_on_v2(
    swap: Option<i64>,
    known: Option<i64>,
    limit: Option<i64>,
) -> Result<Option<(i64, &'static str)>, Refusal> {
    Ok(match (swap, known) {
        (None, _) => (limit == Some(-1)).then_some((-1, LIMIT)),
        (Some(-1), _) => Some((-1, SWAP)),
        (Some(swap), Some(-1)) => Some((swap, SWAP)),
        (Some(_), None) => {
            return Err(Refusal::new(
                SWAP,
                "unable to set swap limit without memory limit: cgroup v2 counts swap alone",
            ));
        }
        (Some(swap), Some(limit)) if swap < limit => return Err(below(swap, limit)),
        (Some(swap), Some(limit)) => Some((swap - limit, SWAP)),
    })
}

fn check(memory: &Memory) -> Result<(), Refusal> {
    for (json, value) in [
        (LIMIT, memory.limit),
        (SWAP, memory.swap),
        (RESERVATION, memory.reservation),
    ] {
        if let Some(value) = value.filter(|value| *value < -1) {
            return Err(Refusal::new(
                json,
                format!("{value} is no size in bytes; -1 is no limit"),
            ));
        }
    }
    if let (Some(limit), Some(swap)) = (set(memory.limit), set(memory.swap))
        && limit > 0
        && swap > 0
        && swap < limit
    {
        return Err(below(swap, limit));
    }
    match memory.swappiness {
        Some(value) if value > 100 => Err(Refusal::new(
            "linux.resources.memory.swappiness",
            format!("invalid memory swappiness value: {value} (valid range is 0-100)"),
        )),
        _ => Ok(()),
    }
}

fn below(swap: i64, limit: i64) -> Refusal {
    Refusal::new(
        SWAP,
        format!(
            "memory+swap limit should be >= memory limit ({swap} < {limit}): it is the sum of both"
        ),
    )
}

fn ignored(memory: &Memory, out: &mut Out) {
    if memory.kernel.is_some_and(|value| value != 0) {
        out.skips.push(Skip::new(
            "linux.resources.memory.kernel",
            "the kernel has no such limit any more",
        ));
    }
    if memory.kernel_tcp.is_some_and(|value| value != 0) {
        out.skips.push(Skip::new(
            "linux.resources.memory.kernelTCP",
            "deprecated by the runtime-spec; runc ignores it too",
        ));
    }
    if memory.use_hierarchy == Some(true) {
        out.skips.push(Skip::new(
            "linux.resources.memory.useHierarchy",
            "the kernel always accounts hierarchically (5.11 and newer)",
        ));
    }
}

/// 0 is unset, as in runc.
fn set(value: Option<i64>) -> Option<i64> {
    value.filter(|value| *value != 0)
}

fn number(value: i64) -> String {
    if value < 0 {
        "max".to_string()
    } else {
        value.to_string()
    }
}
