//! Statistics of v1 controllers.
use super::{BlkioEntry, HugeTlb, MemoryEntry, Stats, huge_page_sizes, parse};
use crate::directory::Directory;
use crate::{Cgroup, Error};

/// cpuacct.stat counts in ticks of USER_HZ, 100 a second on every architecture.
const NANOSECONDS_A_TICK: u64 = 10_000_000;

type Part = fn(&Directory, &mut Stats) -> Result<(), Error>;

pub(super) fn read(cgroup: &Cgroup, stats: &mut Stats) -> Result<(), Error> {
    let parts: [(&str, Part); 8] = [
        ("cpu", cpu),
        ("cpuacct", cpuacct),
        ("cpuset", cpuset),
        ("memory", memory),
        ("pids", pids),
        ("blkio", blkio),
        ("hugetlb", hugetlb),
        ("rdma", super::v2::rdma),
    ];
    for (controller, read) in parts {
        if let Some(directory) = cgroup.optional(controller)? {
            read(&directory, stats)?;
        }
    }
    Ok(())
}

fn number(directory: &Directory, file: &str) -> Result<u64, Error> {
    Ok(directory
        .optional_text(file)?
        .map_or(0, |text| parse::number(&text)))
}

fn cpu(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    let pairs = parse::pairs(&directory.optional_text("cpu.stat")?.unwrap_or_default());
    let value = |key: &str| pairs.get(key).copied().unwrap_or(0);
    stats.cpu.throttling.periods = value("nr_periods");
    stats.cpu.throttling.throttled_periods = value("nr_throttled");
    stats.cpu.throttling.throttled_time = value("throttled_time");
    Ok(())
}

fn cpuacct(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    let usage = &mut stats.cpu.usage;
    usage.total = number(directory, "cpuacct.usage")?;
    usage.percpu = parse::numbers(
        &directory
            .optional_text("cpuacct.usage_percpu")?
            .unwrap_or_default(),
    );
    (usage.percpu_user, usage.percpu_kernel) = parse::usage_all(
        &directory
            .optional_text("cpuacct.usage_all")?
            .unwrap_or_default(),
    );
    let ticks = parse::pairs(&directory.optional_text("cpuacct.stat")?.unwrap_or_default());
    let time = |key: &str| {
        ticks
            .get(key)
            .map_or(0, |ticks| ticks.saturating_mul(NANOSECONDS_A_TICK))
    };
    (usage.user, usage.kernel) = (time("user"), time("system"));
    Ok(())
}

fn cpuset(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    let text = |file: &str| {
        directory
            .optional_text(&format!("cpuset.{file}"))
            .map(Option::unwrap_or_default)
    };
    let flag = |file: &str| text(file).map(|text| parse::number(&text));
    let set = &mut stats.cpuset;
    set.cpus = parse::list(&text("cpus")?);
    set.mems = parse::list(&text("mems")?);
    set.cpu_exclusive = flag("cpu_exclusive")?;
    set.mem_hardwall = flag("mem_hardwall")?;
    set.mem_exclusive = flag("mem_exclusive")?;
    set.memory_migrate = flag("memory_migrate")?;
    set.memory_spread_page = flag("memory_spread_page")?;
    set.memory_spread_slab = flag("memory_spread_slab")?;
    set.memory_pressure = flag("memory_pressure")?;
    set.sched_load_balance = flag("sched_load_balance")?;
    set.sched_relax_domain_level = text("sched_relax_domain_level")?
        .trim()
        .parse()
        .unwrap_or(0);
    Ok(())
}

fn memory(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    let entry = |kind: &str| {
        let value = |file: &str| number(directory, &format!("memory.{kind}{file}"));
        let (limit, usage) = (value("limit_in_bytes")?, value("usage_in_bytes")?);
        Ok::<_, Error>(MemoryEntry {
            limit,
            usage,
            max: value("max_usage_in_bytes")?,
            failcnt: value("failcnt")?,
        })
    };
    let memory = &mut stats.memory;
    memory.raw = parse::pairs(&directory.optional_text("memory.stat")?.unwrap_or_default());
    memory.cache = memory.raw.get("cache").copied().unwrap_or(0);
    memory.usage = entry("")?;
    memory.swap = entry("memsw.")?;
    memory.kernel = entry("kmem.")?;
    memory.kernel_tcp = entry("kmem.tcp.")?;
    Ok(())
}

fn pids(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    stats.pids.current = number(directory, "pids.current")?;
    stats.pids.limit = Some(number(directory, "pids.max")?)
        .filter(|limit| *limit != u64::MAX)
        .unwrap_or(0);
    Ok(())
}

/// Which files have data depends on the IO scheduler: BFQ's first, then CFQ's, then those of throttling.
fn blkio(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    let first = |name: &str| {
        for prefix in ["blkio.bfq.", "blkio.", "blkio.throttle."] {
            let entries = directory
                .optional_text(&format!("{prefix}{name}_recursive"))?
                .map(|text| parse::blkio(&text));
            if let Some(entries) = entries.filter(|entries| !entries.is_empty()) {
                return Ok::<Vec<BlkioEntry>, Error>(entries);
            }
        }
        Ok(Vec::new())
    };
    let blkio = &mut stats.blkio;
    blkio.io_service_bytes_recursive = first("io_service_bytes")?;
    blkio.io_serviced_recursive = first("io_serviced")?;
    blkio.io_queue_recursive = first("io_queued")?;
    blkio.io_service_time_recursive = first("io_service_time")?;
    blkio.io_wait_time_recursive = first("io_wait_time")?;
    blkio.io_merged_recursive = first("io_merged")?;
    blkio.io_time_recursive = first("time")?;
    blkio.sectors_recursive = first("sectors")?;
    Ok(())
}

/// Reservations (5.7) say more than pages in use: taken where they are counted.
fn hugetlb(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    for size in huge_page_sizes() {
        let reserved = directory
            .optional_text(&format!("hugetlb.{size}.rsvd.usage_in_bytes"))?
            .is_some();
        let infix = if reserved { "rsvd." } else { "" };
        let value = |file: &str| number(directory, &format!("hugetlb.{size}.{infix}{file}"));
        let entry = HugeTlb {
            usage: value("usage_in_bytes")?,
            max: value("max_usage_in_bytes")?,
            failcnt: value("failcnt")?,
        };
        stats.hugetlb.insert(size, entry);
    }
    Ok(())
}
