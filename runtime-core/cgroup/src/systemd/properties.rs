//! Unit properties from resources and annotations. Pure.
//!
//! Whatever systemd has no property for is written to the cgroup's files afterwards, and so are the values that it has: the files hold
//! what was asked for even where systemd rounds.
use super::{Property, Scope, Value, gvariant};
use crate::devices::{self, Kind};
use crate::limits::{cpu_weight, swap_on_v2};
use crate::{Refusal, Skip};
use std::collections::BTreeMap;
use tare_oci::Resources;

const ANNOTATION: &str = "org.systemd.property.";
const DEFAULT_PERIOD: u64 = 100_000;
/// CPUQuotaPerSecUSec is a whole percentage to systemd.
const PERCENT: u64 = 10_000;

/// A scope and what could not be put into it.
pub(crate) struct Planned {
    pub scope: Scope,
    pub skips: Vec<Skip>,
}

/// The unit with all its properties. `v2` is for a host without v1 controllers.
pub(crate) fn scope(
    unit: &str,
    slice: &str,
    address: &str,
    resources: &Resources,
    annotations: &BTreeMap<String, String>,
    v2: bool,
    rootless: bool,
) -> Result<Planned, Refusal> {
    let mut all = vec![new("Description", Value::Text(format!("container {unit}")))];
    // A slice has its parent by its name; a scope is put into one, and may have cgroups of its own below.
    if unit.ends_with(".slice") {
        all.push(new(
            "Wants",
            Value::Array("s".into(), vec![Value::Text(slice.to_string())]),
        ));
    } else {
        all.push(new("Slice", Value::Text(slice.to_string())));
        all.push(new("Delegate", Value::Bool(true)));
    }
    let io = if v2 {
        "IOAccounting"
    } else {
        "BlockIOAccounting"
    };
    all.extend(
        ["MemoryAccounting", "CPUAccounting", io, "TasksAccounting"]
            .map(|name| new(name, Value::Bool(true))),
    );
    all.push(new("DefaultDependencies", Value::Bool(false)));
    all.extend(of_annotations(annotations)?);
    all.extend(of_resources(resources, v2)?);
    if let Some(group) = resources.unified.get("memory.oom.group") {
        // It can only be given at the start.
        let policy = match group.trim() {
            "0" => "continue",
            "1" => "kill",
            _ => {
                return Err(Refusal::new(
                    "linux.resources.unified[\"memory.oom.group\"]",
                    format!("{group:?} is neither 0 nor 1"),
                ));
            }
        };
        all.push(Property {
            since: 253,
            ..new("OOMPolicy", Value::Text(policy.into()))
        });
    }
    let mut skips = Vec::new();
    if !rootless {
        all.extend(of_devices(resources, &mut skips)?);
    }
    let scope = Scope {
        address: address.to_string(),
        unit: unit.to_string(),
        slice: slice.to_string(),
        properties: all,
    };
    Ok(Planned { scope, skips })
}

/// Properties that every unit gets: left out of the one-line form.
pub(super) fn is_routine(name: &str) -> bool {
    matches!(
        name,
        "Description"
            | "Slice"
            | "Wants"
            | "Delegate"
            | "DefaultDependencies"
            | "DevicePolicy"
            | "DeviceAllow"
    ) || name.ends_with("Accounting")
}

/// The limits that systemd knows; also for an update.
pub(crate) fn of_resources(resources: &Resources, v2: bool) -> Result<Vec<Property>, Refusal> {
    let mut all = Vec::new();
    let set = |value: Option<i64>| value.filter(|value| *value != 0);
    if let Some(memory) = &resources.memory {
        if let Some(limit) = set(memory.limit) {
            all.push(new(
                if v2 { "MemoryMax" } else { "MemoryLimit" },
                Value::U64(limit as u64),
            ));
        }
        if v2 {
            if let Some(reservation) = set(memory.reservation) {
                all.push(new("MemoryLow", Value::U64(reservation as u64)));
            }
            // A sum without a known limit can't be told to systemd; the files get it, or it is refused there.
            if let Ok(Some((swap, _))) =
                swap_on_v2(set(memory.swap), set(memory.limit), set(memory.limit))
            {
                all.push(new("MemorySwapMax", Value::U64(swap as u64)));
            }
        }
    }
    if let Some(cpu) = &resources.cpu {
        let shares = cpu.shares.filter(|shares| *shares != 0);
        match (shares, v2) {
            _ if v2 && cpu.idle == Some(1) => all.push(Property {
                since: 252,
                ..new("CPUWeight", Value::U64(0))
            }),
            (Some(shares), true) => all.push(new("CPUWeight", Value::U64(cpu_weight(shares)))),
            (Some(shares), false) => all.push(new("CPUShares", Value::U64(shares))),
            (None, _) => {}
        }
        let quota = cpu.quota.filter(|quota| *quota != 0);
        all.extend(cpu_quota(quota, cpu.period.filter(|period| *period != 0)));
        for (name, list, json) in [
            ("AllowedCPUs", &cpu.cpus, "linux.resources.cpu.cpus"),
            ("AllowedMemoryNodes", &cpu.mems, "linux.resources.cpu.mems"),
        ] {
            if !list.is_empty() {
                all.push(Property {
                    since: 244,
                    ..new(name, bits(list, json)?)
                });
            }
        }
    }
    if let Some(limit) = resources
        .pids
        .as_ref()
        .and_then(|pids| pids.limit)
        .filter(|limit| *limit != 0)
    {
        all.push(new(
            "TasksMax",
            Value::U64(if limit < 0 { u64::MAX } else { limit as u64 }),
        ));
    }
    if let (Some(weight), false) = (
        resources
            .block_io
            .as_ref()
            .and_then(|io| io.weight)
            .filter(|weight| *weight != 0),
        v2,
    ) {
        all.push(new("BlockIOWeight", Value::U64(u64::from(weight))));
    }
    for (key, value) in &resources.unified {
        all.extend(of_unified(key, value.trim())?);
    }
    Ok(all)
}

fn cpu_quota(quota: Option<i64>, period: Option<u64>) -> Vec<Property> {
    let mut all = Vec::new();
    if let Some(period) = period {
        all.push(Property {
            since: 242,
            ..new("CPUQuotaPeriodUSec", Value::U64(period))
        });
    }
    if quota.is_some() || period.is_some() {
        let per_second = match quota {
            Some(quota) if quota > 0 => {
                let exact = u128::from(quota as u64) * 1_000_000
                    / u128::from(period.unwrap_or(DEFAULT_PERIOD));
                u64::try_from(exact)
                    .unwrap_or(u64::MAX - PERCENT)
                    .next_multiple_of(PERCENT)
            }
            _ => u64::MAX,
        };
        all.push(new("CPUQuotaPerSecUSec", Value::U64(per_second)));
    }
    all
}

/// The v2 files that have a property; the others only go to the files.
fn of_unified(key: &str, value: &str) -> Result<Vec<Property>, Refusal> {
    let json = || format!("linux.resources.unified[{key:?}]");
    let number = |text: &str| match text {
        "max" => Ok(u64::MAX),
        text => text
            .parse::<u64>()
            .map_err(|_| Refusal::new(json(), format!("{text:?} is no number"))),
    };
    let simple = |name: &str| Ok(vec![new(name, Value::U64(number(value)?))]);
    match key {
        "memory.high" => simple("MemoryHigh"),
        "memory.low" => simple("MemoryLow"),
        "memory.min" => simple("MemoryMin"),
        "memory.max" => simple("MemoryMax"),
        "memory.swap.max" => simple("MemorySwapMax"),
        "cpu.weight" => simple("CPUWeight"),
        "pids.max" => Ok(vec![new("TasksMax", Value::U64(number(value)?.max(1)))]),
        "cpu.idle" if value == "1" => Ok(vec![Property {
            since: 252,
            ..new("CPUWeight", Value::U64(0))
        }]),
        "cpuset.cpus" => Ok(vec![Property {
            since: 244,
            ..new("AllowedCPUs", bits(value, &json())?)
        }]),
        "cpuset.mems" => Ok(vec![Property {
            since: 244,
            ..new("AllowedMemoryNodes", bits(value, &json())?)
        }]),
        "cpu.max" => {
            let words: Vec<&str> = value.split_ascii_whitespace().collect();
            let (quota, period) = match words.as_slice() {
                [quota] => (*quota, None),
                [quota, period] => (*quota, Some(number(period)?)),
                _ => {
                    return Err(Refusal::new(
                        json(),
                        format!("{value:?} is neither QUOTA nor QUOTA PERIOD"),
                    ));
                }
            };
            let quota = if quota == "max" {
                -1
            } else {
                i64::try_from(number(quota)?).unwrap_or(-1)
            };
            Ok(cpu_quota(Some(quota), period.filter(|period| *period != 0)))
        }
        _ => Ok(Vec::new()),
    }
}

/// `0-3,7` as systemd's bit array: CPU 0 is the lowest bit of the first byte.
fn bits(list: &str, json: &str) -> Result<Value, Refusal> {
    const HIGHEST: usize = 65_535;
    let bad = |part: &str| {
        Refusal::new(
            json,
            format!("{part:?} is neither a number nor a range up to {HIGHEST}"),
        )
    };
    let mut bytes: Vec<u8> = Vec::new();
    for part in list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
    {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| {
            text.trim()
                .parse::<usize>()
                .ok()
                .filter(|number| *number <= HIGHEST)
                .ok_or_else(|| bad(part))
        };
        let (first, last) = (number(first)?, number(last)?);
        if first > last {
            return Err(bad(part));
        }
        bytes.resize(bytes.len().max(last / 8 + 1), 0);
        for bit in first..=last {
            bytes[bit / 8] |= 1 << (bit % 8);
        }
    }
    Ok(Value::Array(
        "y".into(),
        bytes.into_iter().map(Value::Byte).collect(),
    ))
}

/// Without these systemd would lift the rules that we write (v1) on its next reload.
fn of_devices(resources: &Resources, skips: &mut Vec<Skip>) -> Result<Vec<Property>, Refusal> {
    let property = |policy: &str, entries: Vec<Value>| {
        vec![
            new("DevicePolicy", Value::Text(policy.into())),
            new("DeviceAllow", Value::Array("(ss)".into(), entries)),
        ]
    };
    let (allow, exceptions) = match devices::v1::fold(&devices::effective(&resources.devices)?) {
        Ok((allow, exceptions, _)) => (allow, exceptions),
        // Rules that only eBPF can express: it alone enforces them.
        Err(_) => return Ok(property("auto", Vec::new())),
    };
    if allow {
        return Ok(property("auto", Vec::new()));
    }
    let mut entries = Vec::new();
    for rule in exceptions {
        let kind = if rule.kind == Kind::Block {
            "block"
        } else {
            "char"
        };
        let node = match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            (Some(major), None) => format!("{kind}-{major}"),
            (None, None) => format!("{kind}-*"),
            (None, Some(_)) => {
                skips.push(Skip::new("linux.resources.devices", format!("systemd can't express {rule} (DeviceAllow has no minor without a major); the cgroup's own rules have it")));
                continue;
            }
        };
        entries.push(Value::Struct(vec![
            Value::Text(node),
            Value::Text(devices::Rule::letters(rule.access)),
        ]));
    }
    Ok(property("strict", entries))
}

fn of_annotations(annotations: &BTreeMap<String, String>) -> Result<Vec<Property>, Refusal> {
    let mut all = Vec::new();
    for (key, text) in annotations {
        let Some(name) = key.strip_prefix(ANNOTATION) else {
            continue;
        };
        let refuse = |why: String| Refusal::new(format!("annotations.{key}"), why);
        if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return Err(refuse(format!("{name:?} is no property name")));
        }
        let value =
            gvariant::parse(text).map_err(|why| refuse(format!("no GVariant text: {why}")))?;
        // Units write seconds (TimeoutStopSec), the bus takes microseconds (TimeoutStopUSec).
        let seconds = name
            .strip_suffix("Sec")
            .filter(|stem| stem.ends_with(|letter: char| letter.is_ascii_lowercase()));
        all.push(match seconds {
            Some(stem) => new(
                &format!("{stem}USec"),
                microseconds(&value)
                    .ok_or_else(|| refuse(format!("{text:?} is no number of seconds")))?,
            ),
            None => new(name, value),
        });
    }
    Ok(all)
}

fn microseconds(value: &Value) -> Option<Value> {
    const MILLION: u64 = 1_000_000;
    let whole = match *value {
        Value::Byte(value) => u64::from(value),
        Value::U16(value) => u64::from(value),
        Value::U32(value) => u64::from(value),
        Value::U64(value) => value,
        Value::I16(value) => u64::try_from(value).ok()?,
        Value::I32(value) => u64::try_from(value).ok()?,
        Value::I64(value) => u64::try_from(value).ok()?,
        Value::Double(value) if value >= 0.0 && value * 1e6 < u64::MAX as f64 => {
            return Some(Value::U64((value * 1e6) as u64));
        }
        _ => return None,
    };
    whole.checked_mul(MILLION).map(Value::U64)
}

fn new(name: &str, value: Value) -> Property {
    Property {
        name: name.to_string(),
        value,
        since: 0,
    }
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
