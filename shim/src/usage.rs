//! What is used in a cgroup, or in several together. Pure.
use crate::stats::{self, Device};
use std::collections::BTreeMap;
use tare_runtime::Stats;
use tare_runtime::stats::{BlkioEntry, MemoryEntry, RdmaDevice};
use tare_shim_wire::messages::google::Any;

/// What is used, and the version of the cgroup that tells it.
#[derive(Debug, Clone)]
pub struct Usage {
    stats: Stats,
    oom_kills: u64,
    /// v2: of memory.events.
    events: BTreeMap<String, u64>,
    v1: bool,
}

impl Usage {
    /// Of a cgroup; `events` is the text of its memory.events.
    pub fn new(stats: Stats, oom_kills: u64, events: &str, v1: bool) -> Usage {
        let pair = |line: &str| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.parse().ok()?))
        };
        Usage {
            stats,
            oom_kills,
            events: events.lines().filter_map(pair).collect(),
            v1,
        }
    }

    /// In containerd's form.
    pub fn pack(&self, devices: &[Device]) -> Any {
        if self.v1 {
            Any::pack(&stats::v1(&self.stats, self.oom_kills, devices))
        } else {
            Any::pack(&stats::v2(&self.stats, &self.events, devices))
        }
    }

    /// Both together. What has no sum is left out: stalls overlap, and highest values were not reached at one time.
    pub fn add(&mut self, other: &Usage) {
        self.oom_kills += other.oom_kills;
        for (key, value) in &other.events {
            *self.events.entry(key.clone()).or_default() += value;
        }
        let (all, one) = (&mut self.stats, &other.stats);
        let (usage, more) = (&mut all.cpu.usage, &one.cpu.usage);
        usage.total += more.total;
        usage.kernel += more.kernel;
        usage.user += more.user;
        each(&mut usage.percpu, &more.percpu);
        let (throttling, more) = (&mut all.cpu.throttling, &one.cpu.throttling);
        throttling.periods += more.periods;
        throttling.throttled_periods += more.throttled_periods;
        throttling.throttled_time += more.throttled_time;
        let (memory, more) = (&mut all.memory, &one.memory);
        entry(&mut memory.usage, &more.usage);
        entry(&mut memory.swap, &more.swap);
        entry(&mut memory.kernel, &more.kernel);
        entry(&mut memory.kernel_tcp, &more.kernel_tcp);
        for (key, value) in &more.raw {
            let sum = memory.raw.entry(key.clone()).or_default();
            *sum = if key.ends_with("_limit") {
                limit(*sum, *value)
            } else {
                sum.saturating_add(*value)
            };
        }
        // 0 is no limit.
        all.pids.limit = match (all.pids.limit, one.pids.limit) {
            (0, _) | (_, 0) => 0,
            (some, more) => limit(some, more),
        };
        all.pids.current += one.pids.current;
        let (io, more) = (&mut all.blkio, &one.blkio);
        for (list, more) in [
            (
                &mut io.io_service_bytes_recursive,
                &more.io_service_bytes_recursive,
            ),
            (&mut io.io_serviced_recursive, &more.io_serviced_recursive),
            (&mut io.io_queue_recursive, &more.io_queue_recursive),
            (
                &mut io.io_service_time_recursive,
                &more.io_service_time_recursive,
            ),
            (&mut io.io_wait_time_recursive, &more.io_wait_time_recursive),
            (&mut io.io_merged_recursive, &more.io_merged_recursive),
            (&mut io.io_time_recursive, &more.io_time_recursive),
            (&mut io.sectors_recursive, &more.sectors_recursive),
        ] {
            blkio(list, more);
        }
        for (size, pages) in &one.hugetlb {
            let sum = all.hugetlb.entry(size.clone()).or_default();
            sum.usage += pages.usage;
            sum.max = 0;
            sum.failcnt += pages.failcnt;
        }
        rdma(&mut all.rdma, &one.rdma);
        all.cpu.psi = None;
        all.memory.psi = None;
        all.blkio.psi = None;
    }
}

/// From here on a limit is none: the greatest multiple of a page (v1), or the greatest number (v2).
const NONE: u64 = 1 << 62;

fn limit(one: u64, other: u64) -> u64 {
    let greater = one.max(other);
    if greater >= NONE {
        greater
    } else {
        one + other
    }
}

fn entry(sum: &mut MemoryEntry, more: &MemoryEntry) {
    sum.limit = limit(sum.limit, more.limit);
    sum.usage += more.usage;
    sum.max = 0;
    sum.failcnt += more.failcnt;
}

fn each(sums: &mut Vec<u64>, more: &[u64]) {
    sums.resize(sums.len().max(more.len()), 0);
    for (sum, more) in sums.iter_mut().zip(more) {
        *sum += more;
    }
}

fn blkio(sums: &mut Vec<BlkioEntry>, more: &[BlkioEntry]) {
    for entry in more {
        let key = |entry: &BlkioEntry| (entry.major, entry.minor, entry.op.clone());
        match sums.iter_mut().find(|sum| key(sum) == key(entry)) {
            Some(sum) => sum.value += entry.value,
            None => sums.push(entry.clone()),
        }
    }
}

fn rdma(sums: &mut Vec<RdmaDevice>, more: &[RdmaDevice]) {
    for device in more {
        let Some(sum) = sums.iter_mut().find(|sum| sum.device == device.device) else {
            sums.push(device.clone());
            continue;
        };
        for (sum, more) in [
            (&mut sum.current, &device.current),
            (&mut sum.limit, &device.limit),
        ] {
            sum.hca_handles = sum.hca_handles.saturating_add(more.hca_handles);
            sum.hca_objects = sum.hca_objects.saturating_add(more.hca_objects);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tare_runtime::stats::{HugeTlb, Pressure};

    fn usage(scale: u64, limit: u64, pids: u64) -> Usage {
        let mut stats = Stats::default();
        stats.cpu.usage.total = 10 * scale;
        stats.cpu.usage.percpu = vec![scale; scale as usize];
        stats.cpu.psi = Some(Pressure::default());
        stats.memory.usage = MemoryEntry {
            limit,
            usage: 100 * scale,
            max: 500,
            failcnt: scale,
        };
        stats.memory.raw.insert("anon".to_owned(), scale);
        stats
            .memory
            .raw
            .insert("hierarchical_memory_limit".to_owned(), limit);
        (stats.pids.current, stats.pids.limit) = (scale, pids);
        let entry = |major, op: &str| BlkioEntry {
            major,
            minor: 0,
            op: op.to_owned(),
            value: scale,
        };
        stats.blkio.io_serviced_recursive = vec![entry(8, "Read"), entry(scale, "Write")];
        stats.hugetlb.insert(
            "2MB".to_owned(),
            HugeTlb {
                usage: scale,
                max: 7,
                failcnt: 0,
            },
        );
        Usage::new(stats, scale, &format!("low 0\noom {scale}\n"), false)
    }

    #[test]
    fn a_sum_of_two() {
        let mut sum = usage(1, 1000, 5);
        sum.add(&usage(2, 500, 6));
        let Stats {
            cpu,
            memory,
            pids,
            blkio,
            hugetlb,
            ..
        } = &sum.stats;
        assert_eq!((cpu.usage.total, &cpu.usage.percpu), (30, &vec![3, 2]));
        let expect = MemoryEntry {
            limit: 1500,
            usage: 300,
            max: 0,
            failcnt: 3,
        };
        assert_eq!(memory.usage, expect);
        assert_eq!(
            (memory.raw["anon"], memory.raw["hierarchical_memory_limit"]),
            (3, 1500)
        );
        assert_eq!((pids.current, pids.limit), (3, 11));
        let io = blkio
            .io_serviced_recursive
            .iter()
            .map(|entry| (entry.major, entry.value));
        assert_eq!(io.collect::<Vec<_>>(), [(8, 3), (1, 1), (2, 2)]);
        assert_eq!((hugetlb["2MB"].usage, hugetlb["2MB"].max), (3, 0));
        assert_eq!((sum.oom_kills, sum.events["oom"]), (3, 3));
        assert!(cpu.psi.is_none());
    }

    #[test]
    fn no_limit_is_none_of_the_sum() {
        for none in [u64::MAX, (1 << 63) - 4096] {
            let mut sum = usage(1, 1000, 0);
            sum.add(&usage(1, none, 5));
            assert_eq!(sum.stats.memory.usage.limit, none);
            assert_eq!(sum.stats.pids.limit, 0);
        }
    }

    #[test]
    fn the_version_is_that_of_the_cgroup() {
        let of = |v1| Usage::new(Stats::default(), 0, "", v1).pack(&[]).type_url;
        assert_eq!(of(true), "io.containerd.cgroups.v1.Metrics");
        assert_eq!(of(false), "io.containerd.cgroups.v2.Metrics");
    }
}
