//! Metrics of a cgroup v1, as `Stats` answers them.
use crate::codec::messages;

messages! {
    Metrics = "io.containerd.cgroups.v1.Metrics" {
        1 hugetlb: Vec<HugetlbStat>,
        2 pids: Option<PidsStat>,
        3 cpu: Option<CPUStat>,
        4 memory: Option<MemoryStat>,
        5 blkio: Option<BlkIOStat>,
        6 rdma: Option<RdmaStat>,
        7 network: Vec<NetworkStat>,
        8 cgroup_stats: Option<CgroupStats>,
        9 memory_oom_control: Option<MemoryOomControl>,
    }

    HugetlbStat = "io.containerd.cgroups.v1.HugetlbStat" {
        1 usage: u64,
        2 max: u64,
        3 failcnt: u64,
        4 pagesize: String,
    }

    PidsStat = "io.containerd.cgroups.v1.PidsStat" {
        1 current: u64,
        2 limit: u64,
    }

    CPUStat = "io.containerd.cgroups.v1.CPUStat" {
        1 usage: Option<CPUUsage>,
        2 throttling: Option<Throttle>,
    }

    CPUUsage = "io.containerd.cgroups.v1.CPUUsage" {
        1 total: u64,
        2 kernel: u64,
        3 user: u64,
        4 per_cpu: Vec<u64>,
    }

    Throttle = "io.containerd.cgroups.v1.Throttle" {
        1 periods: u64,
        2 throttled_periods: u64,
        3 throttled_time: u64,
    }

    MemoryStat = "io.containerd.cgroups.v1.MemoryStat" {
        1 cache: u64,
        2 rss: u64,
        3 rss_huge: u64,
        4 mapped_file: u64,
        5 dirty: u64,
        6 writeback: u64,
        7 pg_pg_in: u64,
        8 pg_pg_out: u64,
        9 pg_fault: u64,
        10 pg_maj_fault: u64,
        11 inactive_anon: u64,
        12 active_anon: u64,
        13 inactive_file: u64,
        14 active_file: u64,
        15 unevictable: u64,
        16 hierarchical_memory_limit: u64,
        17 hierarchical_swap_limit: u64,
        18 total_cache: u64,
        19 total_rss: u64,
        20 total_rss_huge: u64,
        21 total_mapped_file: u64,
        22 total_dirty: u64,
        23 total_writeback: u64,
        24 total_pg_pg_in: u64,
        25 total_pg_pg_out: u64,
        26 total_pg_fault: u64,
        27 total_pg_maj_fault: u64,
        28 total_inactive_anon: u64,
        29 total_active_anon: u64,
        30 total_inactive_file: u64,
        31 total_active_file: u64,
        32 total_unevictable: u64,
        33 usage: Option<MemoryEntry>,
        34 swap: Option<MemoryEntry>,
        35 kernel: Option<MemoryEntry>,
        36 kernel_tcp: Option<MemoryEntry>,
    }

    MemoryEntry = "io.containerd.cgroups.v1.MemoryEntry" {
        1 limit: u64,
        2 usage: u64,
        3 max: u64,
        4 failcnt: u64,
    }

    MemoryOomControl = "io.containerd.cgroups.v1.MemoryOomControl" {
        1 oom_kill_disable: u64,
        2 under_oom: u64,
        3 oom_kill: u64,
    }

    BlkIOStat = "io.containerd.cgroups.v1.BlkIOStat" {
        1 io_service_bytes_recursive: Vec<BlkIOEntry>,
        2 io_serviced_recursive: Vec<BlkIOEntry>,
        3 io_queued_recursive: Vec<BlkIOEntry>,
        4 io_service_time_recursive: Vec<BlkIOEntry>,
        5 io_wait_time_recursive: Vec<BlkIOEntry>,
        6 io_merged_recursive: Vec<BlkIOEntry>,
        7 io_time_recursive: Vec<BlkIOEntry>,
        8 sectors_recursive: Vec<BlkIOEntry>,
    }

    BlkIOEntry = "io.containerd.cgroups.v1.BlkIOEntry" {
        1 op: String,
        2 device: String,
        3 major: u64,
        4 minor: u64,
        5 value: u64,
    }

    RdmaStat = "io.containerd.cgroups.v1.RdmaStat" {
        1 current: Vec<RdmaEntry>,
        2 limit: Vec<RdmaEntry>,
    }

    RdmaEntry = "io.containerd.cgroups.v1.RdmaEntry" {
        1 device: String,
        2 hca_handles: u32,
        3 hca_objects: u32,
    }

    NetworkStat = "io.containerd.cgroups.v1.NetworkStat" {
        1 name: String,
        2 rx_bytes: u64,
        3 rx_packets: u64,
        4 rx_errors: u64,
        5 rx_dropped: u64,
        6 tx_bytes: u64,
        7 tx_packets: u64,
        8 tx_errors: u64,
        9 tx_dropped: u64,
    }

    CgroupStats = "io.containerd.cgroups.v1.CgroupStats" {
        1 nr_sleeping: u64,
        2 nr_running: u64,
        3 nr_stopped: u64,
        4 nr_uninterruptible: u64,
        5 nr_io_wait: u64,
    }
}
