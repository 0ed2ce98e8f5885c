//! Statistics, from the runtime's form into containerd's. Pure.
use std::collections::BTreeMap;
use tare_runtime::{Stats, stats};
use tare_shim_wire::messages::{cgroup1, cgroup2};

/// A network device, and what it has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    name: String,
    /// Received: bytes, packets, errors, dropped; sent: the same.
    counters: [u64; 8],
}

/// The lines of /proc/PID/net/dev: a device each, but for `lo`.
pub fn network(text: &str) -> Vec<Device> {
    text.lines()
        .filter_map(|line| {
            let (name, counters) = line.split_once(':')?;
            let all: Vec<u64> = counters
                .split_ascii_whitespace()
                .map(|word| word.parse().unwrap_or(0))
                .collect();
            let received = all.get(..4)?;
            let sent = all.get(8..12)?;
            let mut counters = [0; 8];
            counters[..4].copy_from_slice(received);
            counters[4..].copy_from_slice(sent);
            Some(Device {
                name: name.trim().to_owned(),
                counters,
            })
        })
        .filter(|device| device.name != "lo")
        .collect()
}

/// Both versions have messages of the same fields for these, each of its own type.
macro_rules! same {
    ($version:ident, $network:ident, $rdma:ident) => {
        fn $network(devices: &[Device]) -> Vec<$version::NetworkStat> {
            let one = |device: &Device| {
                let [rx_bytes, rx_packets, rx_errors, rx_dropped, sent @ ..] = device.counters;
                let [tx_bytes, tx_packets, tx_errors, tx_dropped] = sent;
                $version::NetworkStat {
                    name: device.name.clone(),
                    rx_bytes,
                    rx_packets,
                    rx_errors,
                    rx_dropped,
                    tx_bytes,
                    tx_packets,
                    tx_errors,
                    tx_dropped,
                }
            };
            devices.iter().map(one).collect()
        }

        fn $rdma(found: &Stats) -> Option<$version::RdmaStat> {
            let entry =
                |device: &stats::RdmaDevice, counts: &stats::RdmaCounts| $version::RdmaEntry {
                    device: device.device.clone(),
                    hca_handles: counts.hca_handles,
                    hca_objects: counts.hca_objects,
                };
            let devices = &found.rdma;
            (!devices.is_empty()).then(|| $version::RdmaStat {
                current: devices.iter().map(|it| entry(it, &it.current)).collect(),
                limit: devices.iter().map(|it| entry(it, &it.limit)).collect(),
            })
        }
    };
}

same!(cgroup1, network_v1, rdma_v1);
same!(cgroup2, network_v2, rdma_v2);

/// For cgroup v1.
pub fn v1(found: &Stats, oom_kills: u64, devices: &[Device]) -> cgroup1::Metrics {
    let raw = |key: &str| found.memory.raw.get(key).copied().unwrap_or(0);
    let entry = |entry: &stats::MemoryEntry| cgroup1::MemoryEntry {
        limit: entry.limit,
        usage: entry.usage,
        max: entry.max,
        failcnt: entry.failcnt,
    };
    cgroup1::Metrics {
        hugetlb: found
            .hugetlb
            .iter()
            .map(|(size, pages)| cgroup1::HugetlbStat {
                usage: pages.usage,
                max: pages.max,
                failcnt: pages.failcnt,
                pagesize: size.clone(),
            })
            .collect(),
        pids: Some(cgroup1::PidsStat {
            current: found.pids.current,
            limit: found.pids.limit,
        }),
        cpu: Some(cgroup1::CPUStat {
            usage: Some(cgroup1::CPUUsage {
                total: found.cpu.usage.total,
                kernel: found.cpu.usage.kernel,
                user: found.cpu.usage.user,
                per_cpu: found.cpu.usage.percpu.clone(),
            }),
            throttling: Some(cgroup1::Throttle {
                periods: found.cpu.throttling.periods,
                throttled_periods: found.cpu.throttling.throttled_periods,
                throttled_time: found.cpu.throttling.throttled_time,
            }),
        }),
        memory: Some(cgroup1::MemoryStat {
            cache: raw("cache"),
            rss: raw("rss"),
            rss_huge: raw("rss_huge"),
            mapped_file: raw("mapped_file"),
            dirty: raw("dirty"),
            writeback: raw("writeback"),
            pg_pg_in: raw("pgpgin"),
            pg_pg_out: raw("pgpgout"),
            pg_fault: raw("pgfault"),
            pg_maj_fault: raw("pgmajfault"),
            inactive_anon: raw("inactive_anon"),
            active_anon: raw("active_anon"),
            inactive_file: raw("inactive_file"),
            active_file: raw("active_file"),
            unevictable: raw("unevictable"),
            hierarchical_memory_limit: raw("hierarchical_memory_limit"),
            hierarchical_swap_limit: raw("hierarchical_memsw_limit"),
            total_cache: raw("total_cache"),
            total_rss: raw("total_rss"),
            total_rss_huge: raw("total_rss_huge"),
            total_mapped_file: raw("total_mapped_file"),
            total_dirty: raw("total_dirty"),
            total_writeback: raw("total_writeback"),
            total_pg_pg_in: raw("total_pgpgin"),
            total_pg_pg_out: raw("total_pgpgout"),
            total_pg_fault: raw("total_pgfault"),
            total_pg_maj_fault: raw("total_pgmajfault"),
            total_inactive_anon: raw("total_inactive_anon"),
            total_active_anon: raw("total_active_anon"),
            total_inactive_file: raw("total_inactive_file"),
            total_active_file: raw("total_active_file"),
            total_unevictable: raw("total_unevictable"),
            usage: Some(entry(&found.memory.usage)),
            swap: Some(entry(&found.memory.swap)),
            kernel: Some(entry(&found.memory.kernel)),
            kernel_tcp: Some(entry(&found.memory.kernel_tcp)),
        }),
        blkio: Some(cgroup1::BlkIOStat {
            io_service_bytes_recursive: blkio(&found.blkio.io_service_bytes_recursive),
            io_serviced_recursive: blkio(&found.blkio.io_serviced_recursive),
            io_queued_recursive: blkio(&found.blkio.io_queue_recursive),
            io_service_time_recursive: blkio(&found.blkio.io_service_time_recursive),
            io_wait_time_recursive: blkio(&found.blkio.io_wait_time_recursive),
            io_merged_recursive: blkio(&found.blkio.io_merged_recursive),
            io_time_recursive: blkio(&found.blkio.io_time_recursive),
            sectors_recursive: blkio(&found.blkio.sectors_recursive),
        }),
        rdma: rdma_v1(found),
        network: network_v1(devices),
        cgroup_stats: None,
        memory_oom_control: Some(cgroup1::MemoryOomControl {
            oom_kill: oom_kills,
            ..cgroup1::MemoryOomControl::default()
        }),
    }
}

/// For cgroup v2; `events` is what memory.events has.
pub fn v2(found: &Stats, events: &BTreeMap<String, u64>, devices: &[Device]) -> cgroup2::Metrics {
    let raw = |key: &str| found.memory.raw.get(key).copied().unwrap_or(0);
    let event = |key: &str| events.get(key).copied().unwrap_or(0);
    cgroup2::Metrics {
        pids: Some(cgroup2::PidsStat {
            current: found.pids.current,
            limit: found.pids.limit,
        }),
        cpu: Some(cgroup2::CPUStat {
            usage_usec: found.cpu.usage.total / 1000,
            user_usec: found.cpu.usage.user / 1000,
            system_usec: found.cpu.usage.kernel / 1000,
            nr_periods: found.cpu.throttling.periods,
            nr_throttled: found.cpu.throttling.throttled_periods,
            throttled_usec: found.cpu.throttling.throttled_time / 1000,
            psi: pressure(found.cpu.psi.as_ref()),
            ..cgroup2::CPUStat::default()
        }),
        memory: Some(cgroup2::MemoryStat {
            anon: raw("anon"),
            file: raw("file"),
            kernel_stack: raw("kernel_stack"),
            slab: raw("slab"),
            sock: raw("sock"),
            shmem: raw("shmem"),
            file_mapped: raw("file_mapped"),
            file_dirty: raw("file_dirty"),
            file_writeback: raw("file_writeback"),
            anon_thp: raw("anon_thp"),
            inactive_anon: raw("inactive_anon"),
            active_anon: raw("active_anon"),
            inactive_file: raw("inactive_file"),
            active_file: raw("active_file"),
            unevictable: raw("unevictable"),
            slab_reclaimable: raw("slab_reclaimable"),
            slab_unreclaimable: raw("slab_unreclaimable"),
            pgfault: raw("pgfault"),
            pgmajfault: raw("pgmajfault"),
            workingset_refault: raw("workingset_refault_anon") + raw("workingset_refault_file"),
            workingset_activate: raw("workingset_activate_anon") + raw("workingset_activate_file"),
            workingset_nodereclaim: raw("workingset_nodereclaim"),
            pgrefill: raw("pgrefill"),
            pgscan: raw("pgscan"),
            pgsteal: raw("pgsteal"),
            pgactivate: raw("pgactivate"),
            pgdeactivate: raw("pgdeactivate"),
            pglazyfree: raw("pglazyfree"),
            pglazyfreed: raw("pglazyfreed"),
            thp_fault_alloc: raw("thp_fault_alloc"),
            thp_collapse_alloc: raw("thp_collapse_alloc"),
            usage: found.memory.usage.usage,
            usage_limit: found.memory.usage.limit,
            // The runtime's figures include memory, as v1 counts.
            swap_usage: found
                .memory
                .swap
                .usage
                .saturating_sub(found.memory.usage.usage),
            swap_limit: found.memory.swap.limit,
            max_usage: found.memory.usage.max,
            swap_max_usage: found.memory.swap.max,
            psi: pressure(found.memory.psi.as_ref()),
            workingset_refault_anon: raw("workingset_refault_anon"),
            workingset_refault_file: raw("workingset_refault_file"),
            workingset_activate_anon: raw("workingset_activate_anon"),
            workingset_activate_file: raw("workingset_activate_file"),
        }),
        rdma: rdma_v2(found),
        io: Some(cgroup2::IOStat {
            usage: io(found),
            psi: pressure(found.blkio.psi.as_ref()),
        }),
        hugetlb: found
            .hugetlb
            .iter()
            .map(|(size, pages)| cgroup2::HugeTlbStat {
                current: pages.usage,
                max: pages.max,
                pagesize: size.clone(),
                failcnt: pages.failcnt,
            })
            .collect(),
        memory_events: Some(cgroup2::MemoryEvents {
            low: event("low"),
            high: event("high"),
            max: event("max"),
            oom: event("oom"),
            oom_kill: event("oom_kill"),
            oom_group_kill: event("oom_group_kill"),
        }),
        network: network_v2(devices),
    }
}

fn blkio(entries: &[stats::BlkioEntry]) -> Vec<cgroup1::BlkIOEntry> {
    entries
        .iter()
        .map(|entry| cgroup1::BlkIOEntry {
            op: entry.op.clone(),
            device: String::new(),
            major: entry.major,
            minor: entry.minor,
            value: entry.value,
        })
        .collect()
}

/// One entry a device, from one entry a device and direction.
fn io(found: &Stats) -> Vec<cgroup2::IOEntry> {
    let mut devices: Vec<cgroup2::IOEntry> = Vec::new();
    let blkio = &found.blkio;
    let lists = [
        (&blkio.io_service_bytes_recursive, true),
        (&blkio.io_serviced_recursive, false),
    ];
    for (list, bytes) in lists {
        for entry in list {
            let same = |device: &cgroup2::IOEntry| {
                (device.major, device.minor) == (entry.major, entry.minor)
            };
            let at = devices.iter().position(same).unwrap_or_else(|| {
                devices.push(cgroup2::IOEntry {
                    major: entry.major,
                    minor: entry.minor,
                    ..cgroup2::IOEntry::default()
                });
                devices.len() - 1
            });
            let device = &mut devices[at];
            match (entry.op.as_str(), bytes) {
                ("Read", true) => device.rbytes = entry.value,
                ("Write", true) => device.wbytes = entry.value,
                ("Read", false) => device.rios = entry.value,
                ("Write", false) => device.wios = entry.value,
                _ => {}
            }
        }
    }
    devices
}

fn pressure(found: Option<&stats::Pressure>) -> Option<cgroup2::PSIStats> {
    let data = |stall: &stats::Stall| cgroup2::PSIData {
        avg10: stall.avg10,
        avg60: stall.avg60,
        avg300: stall.avg300,
        total: stall.total,
    };
    found.map(|pressure| cgroup2::PSIStats {
        some: Some(data(&pressure.some)),
        full: Some(data(&pressure.full)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_read_but_the_loopback() {
        let text = "Inter-|   Receive                                                |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    lo:       1       2    0    0    0     0          0         0        1       2    0    0    0     0       0          0\n  eth0: 100 2 3 4 0 0 0 0 500 6 7 8 0 0 0 0\n";
        let found = network(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "eth0");
        assert_eq!(found[0].counters, [100, 2, 3, 4, 500, 6, 7, 8]);
        let (one, two) = (&network_v1(&found)[0], &network_v2(&found)[0]);
        assert_eq!((one.rx_dropped, one.tx_bytes), (4, 500));
        assert_eq!((two.rx_dropped, two.tx_bytes), (4, 500));
    }

    #[test]
    fn directions_of_a_device_come_together() {
        let mut found = Stats::default();
        let entry = |op: &str, value| stats::BlkioEntry {
            major: 8,
            minor: 0,
            op: op.to_owned(),
            value,
        };
        found.blkio.io_service_bytes_recursive = vec![entry("Read", 5), entry("Write", 6)];
        found.blkio.io_serviced_recursive = vec![entry("Read", 1), entry("Discard", 9)];
        found.memory.raw.insert("anon".to_owned(), 77);
        let events = [("low", 0), ("oom", 2), ("oom_kill", 3)];
        let events = events.map(|(key, value)| (key.to_owned(), value)).into();
        let metrics = v2(&found, &events, &[]);
        let io = metrics.io.unwrap().usage;
        assert_eq!(
            (io.len(), io[0].rbytes, io[0].wbytes, io[0].rios),
            (1, 5, 6, 1)
        );
        let events = metrics.memory_events.unwrap();
        assert_eq!((events.oom, events.oom_kill), (2, 3));
        assert_eq!(metrics.memory.unwrap().anon, 77);
        assert_eq!(v1(&found, 4, &[]).memory_oom_control.unwrap().oom_kill, 4);
    }
}
