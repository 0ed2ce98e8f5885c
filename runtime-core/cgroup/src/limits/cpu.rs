//! CPU time and CPU sets. Pure.
use super::{Current, Out};
use crate::{Refusal, Setting, Skip};
use tare_oci::Resources;

const SHARES: &str = "linux.resources.cpu.shares";
const QUOTA: &str = "linux.resources.cpu.quota";
const PERIOD: &str = "linux.resources.cpu.period";
const BURST: &str = "linux.resources.cpu.burst";
const IDLE: &str = "linux.resources.cpu.idle";
const REALTIME_RUNTIME: &str = "linux.resources.cpu.realtimeRuntime";
const REALTIME_PERIOD: &str = "linux.resources.cpu.realtimePeriod";
const DEFAULT_PERIOD: u64 = 100_000;
/// What cpu.shares can be (kernel/sched: MIN_SHARES, MAX_SHARES).
const SHARES_RANGE: std::ops::RangeInclusive<u64> = 2..=262_144;

pub(super) fn v1(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(cpu) = &resources.cpu else {
        return Ok(());
    };
    if let Some(period) = cpu.realtime_period.filter(|period| *period != 0) {
        out.settings
            .push(Setting::new("cpu.rt_period_us", period, REALTIME_PERIOD).again());
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|runtime| *runtime != 0) {
        out.settings
            .push(Setting::new("cpu.rt_runtime_us", runtime, REALTIME_RUNTIME));
    }
    let shares = cpu.shares.filter(|shares| *shares != 0);
    if let Some(shares) = shares {
        // The kernel would clamp it in silence.
        if shares < *SHARES_RANGE.start() {
            return Err(Refusal::new(
                SHARES,
                format!("the minimum allowed cpu-shares is {}", SHARES_RANGE.start()),
            ));
        }
        if shares > *SHARES_RANGE.end() {
            return Err(Refusal::new(
                SHARES,
                format!("the maximum allowed cpu-shares is {}", SHARES_RANGE.end()),
            ));
        }
    }
    share_and_idle(
        shares.map(|shares| Setting::new("cpu.shares", shares, SHARES)),
        cpu.idle,
        out,
    )?;
    if let Some(period) = cpu.period.filter(|period| *period != 0) {
        out.settings
            .push(Setting::new("cpu.cfs_period_us", period, PERIOD).again());
    }
    if let Some(burst) = cpu.burst {
        out.settings.push(
            Setting::new("cpu.cfs_burst_us", burst, BURST)
                .or_skip()
                .again(),
        );
    }
    if let Some(quota) = cpu.quota.filter(|quota| *quota != 0) {
        out.settings
            .push(Setting::new("cpu.cfs_quota_us", quota.max(-1), QUOTA));
    }
    Ok(())
}

pub(super) fn v2(resources: &Resources, current: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(cpu) = &resources.cpu else {
        return Ok(());
    };
    let realtime = [
        (
            REALTIME_PERIOD,
            cpu.realtime_period.is_some_and(|value| value != 0),
        ),
        (
            REALTIME_RUNTIME,
            cpu.realtime_runtime.is_some_and(|value| value != 0),
        ),
    ];
    for (json, _) in realtime.iter().filter(|(_, set)| *set) {
        out.skips.push(Skip::new(
            *json,
            "cgroup v2 has no realtime bandwidth; runc ignores it there too",
        ));
    }
    let weight = cpu.shares.filter(|shares| *shares != 0).map(weight);
    share_and_idle(
        weight.map(|weight| Setting::new("cpu.weight", weight, SHARES)),
        cpu.idle,
        out,
    )?;
    if let Some(burst) = cpu.burst {
        out.settings
            .push(Setting::new("cpu.max.burst", burst, BURST).again());
    }
    let (quota, period) = (
        cpu.quota.filter(|quota| *quota != 0),
        cpu.period.filter(|period| *period != 0),
    );
    if quota.is_some() || period.is_some() {
        let text = match (quota, current.cpu_quota) {
            (Some(quota), _) if quota > 0 => quota.to_string(),
            (None, Some(now)) => now.to_string(),
            _ => "max".to_string(),
        };
        let period = period.or(current.cpu_period).unwrap_or(DEFAULT_PERIOD);
        out.settings.push(Setting::new(
            "cpu.max",
            format!("{text} {period}"),
            if quota.is_some() { QUOTA } else { PERIOD },
        ));
    }
    Ok(())
}

/// An idle group takes no weight (EINVAL), so a group that becomes idle gets none and one that stops being idle does so first.
fn share_and_idle(share: Option<Setting>, idle: Option<i64>, out: &mut Out) -> Result<(), Refusal> {
    match idle {
        None => out.settings.extend(share),
        Some(idle @ (0 | 1)) => {
            out.settings.push(Setting::new("cpu.idle", idle, IDLE));
            match (idle, share) {
                (1, Some(_)) => out.skips.push(Skip::new(
                    SHARES,
                    "an idle group (cpu.idle 1) has no weight",
                )),
                (_, share) => out.settings.extend(share),
            }
        }
        Some(other) => return Err(Refusal::new(IDLE, format!("{other} is neither 0 nor 1"))),
    }
    Ok(())
}

/// v2 weight (1 to 10000, default 100) from v1 shares (2 to 262144, default 1024): the exponent of ten is quadratic in log2 and
/// meets the three points. This is runc's and crun's formula since 2025; the linear one before made the default 39.
pub(crate) fn weight(shares: u64) -> u64 {
    match shares {
        0 => 0,
        1 | 2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            10f64
                .powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0)
                .ceil() as u64
        }
    }
}

pub(super) fn set(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(cpu) = &resources.cpu else {
        return Ok(());
    };
    for (file, list, json) in [
        ("cpuset.cpus", &cpu.cpus, "linux.resources.cpu.cpus"),
        ("cpuset.mems", &cpu.mems, "linux.resources.cpu.mems"),
    ] {
        if !list.is_empty() {
            out.settings.push(Setting::new(file, list, json));
        }
    }
    Ok(())
}
