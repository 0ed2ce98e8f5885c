//! `linux.resources` (without devices) as file writes. Pure.
//!
//! Each controller has a v1 and a v2 form; where a host has both hierarchies the one that carries the controller is taken.
//! What runc ignores is left out with a [`Skip`]; whatever else can't be done is a [`Refusal`].
mod cpu;
mod io;
mod memory;
mod small;

use crate::{Layout, Mode, Refusal, Setting, Skip};
use std::collections::BTreeSet;
use tare_oci::Resources;

pub(crate) use cpu::weight as cpu_weight;
pub(crate) use memory::swap_on_v2;

/// What the cgroup has now, for an update; all empty for a fresh one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Current {
    /// Bytes; None is no limit.
    pub memory_limit: Option<u64>,
    /// Bytes.
    pub memory_usage: u64,
    /// Microseconds a period; None is no limit.
    pub cpu_quota: Option<u64>,
    /// Microseconds.
    pub cpu_period: Option<u64>,
}

/// Settings in the order to be written, by hierarchy label.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub settings: Vec<(String, Vec<Setting>)>,
    pub skips: Vec<Skip>,
}

/// What one controller's function gives.
#[derive(Debug, Default)]
struct Out {
    settings: Vec<Setting>,
    skips: Vec<Skip>,
}

type Form = fn(&Resources, &Current, &mut Out) -> Result<(), Refusal>;

struct Area {
    v1: &'static str,
    v2: &'static str,
    on_v1: Form,
    on_v2: Form,
}

const AREAS: [Area; 9] = [
    Area {
        v1: "cpuset",
        v2: "cpuset",
        on_v1: cpu::set,
        on_v2: cpu::set,
    },
    Area {
        v1: "memory",
        v2: "memory",
        on_v1: memory::v1,
        on_v2: memory::v2,
    },
    Area {
        v1: "cpu",
        v2: "cpu",
        on_v1: cpu::v1,
        on_v2: cpu::v2,
    },
    Area {
        v1: "pids",
        v2: "pids",
        on_v1: small::pids,
        on_v2: small::pids,
    },
    Area {
        v1: "blkio",
        v2: "io",
        on_v1: io::v1,
        on_v2: io::v2,
    },
    Area {
        v1: "hugetlb",
        v2: "hugetlb",
        on_v1: small::hugetlb_v1,
        on_v2: small::hugetlb_v2,
    },
    Area {
        v1: "net_cls",
        v2: "",
        on_v1: small::network_class,
        on_v2: small::network_class_v2,
    },
    Area {
        v1: "net_prio",
        v2: "",
        on_v1: small::network_priorities,
        on_v2: small::network_priorities_v2,
    },
    Area {
        v1: "rdma",
        v2: "rdma",
        on_v1: small::rdma,
        on_v2: small::rdma,
    },
];

/// All writes that the resources ask for on this layout.
pub(crate) fn settings(
    layout: &Layout,
    resources: &Resources,
    current: &Current,
) -> Result<Limits, Refusal> {
    let mut limits = Limits::default();
    let mut unified = Vec::new();
    for area in &AREAS {
        let v2 = is_on_v2(layout, area);
        let mut out = Out::default();
        (if v2 { area.on_v2 } else { area.on_v1 })(resources, current, &mut out)?;
        limits.skips.append(&mut out.skips);
        let Some(first) = out.settings.first() else {
            continue;
        };
        if v2 {
            if !layout.unified_has(area.v2) {
                return Err(absent(layout, area.v2, &first.json));
            }
            unified.append(&mut out.settings);
        } else {
            let hierarchy = layout
                .v1_of(area.v1)
                .ok_or_else(|| absent(layout, area.v1, &first.json))?;
            let label = hierarchy.controllers.first().cloned().unwrap_or_default();
            limits.settings.push((label, out.settings));
        }
    }
    unified.append(&mut small::unified(layout, resources)?);
    if !unified.is_empty() {
        limits.settings.push((String::new(), unified));
    }
    Ok(limits)
}

/// The v2 controllers that the resources need beside v1 ones.
pub(crate) fn hybrid_needs(
    layout: &Layout,
    resources: &Resources,
) -> Result<BTreeSet<&'static str>, Refusal> {
    let mut needs = BTreeSet::new();
    for area in AREAS.iter().filter(|area| is_on_v2(layout, area)) {
        let mut out = Out::default();
        (area.on_v2)(resources, &Current::default(), &mut out)?;
        let raw = resources
            .unified
            .keys()
            .any(|key| key.split('.').next() == Some(area.v2));
        if !out.settings.is_empty() || raw {
            needs.insert(area.v2);
        }
    }
    Ok(needs)
}

/// JSON path of the first limit that is asked for, whatever the layout; device rules don't count.
pub(crate) fn first_asked(resources: &Resources) -> Option<String> {
    for area in &AREAS {
        let mut out = Out::default();
        match (area.on_v1)(resources, &Current::default(), &mut out) {
            Err(refusal) => return Some(refusal.json),
            Ok(()) => {
                if let Some(setting) = out.settings.first() {
                    return Some(setting.json.clone());
                }
            }
        }
    }
    resources
        .unified
        .keys()
        .next()
        .map(|key| small::unified_json(key))
}

fn is_on_v2(layout: &Layout, area: &Area) -> bool {
    layout.mode == Mode::V2 || (layout.v1_of(area.v1).is_none() && layout.unified_has(area.v2))
}

fn absent(layout: &Layout, controller: &str, json: &str) -> Refusal {
    let why = match (layout.mode, &layout.unified) {
        (Mode::V2, Some(unified)) => format!(
            "the controller {controller} isn't offered by {}/cgroup.controllers",
            unified.mount
        ),
        _ => format!("the controller {controller} isn't mounted"),
    };
    Refusal::new(
        json,
        format!("{why}; enable it in the kernel or leave the value out"),
    )
}

#[cfg(test)]
mod tests;
