//! Statistics of the v2 hierarchy. In hybrid mode it adds what v1 doesn't have and leaves the rest alone.
use super::{HugeTlb, MemoryEntry, Pressure, Stats, huge_page_sizes, parse};
use crate::Error;
use crate::directory::Directory;

pub(super) fn read(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    cpu(directory, stats)?;
    memory(directory, stats)?;
    if let Some(current) = directory.optional_text("pids.current")? {
        stats.pids.current = parse::number(&current);
        let limit = directory
            .optional_text("pids.max")?
            .map_or(0, |text| parse::number(&text));
        stats.pids.limit = if limit == u64::MAX { 0 } else { limit };
    }
    if let Some(text) = directory.optional_text("io.stat")? {
        (
            stats.blkio.io_service_bytes_recursive,
            stats.blkio.io_serviced_recursive,
        ) = parse::io(&text);
    }
    for size in huge_page_sizes() {
        let reserved = directory.optional_text(&format!("hugetlb.{size}.rsvd.current"))?;
        let Some(usage) = reserved.map_or_else(
            || directory.optional_text(&format!("hugetlb.{size}.current")),
            |text| Ok(Some(text)),
        )?
        else {
            continue;
        };
        let events = parse::pairs(
            &directory
                .optional_text(&format!("hugetlb.{size}.events"))?
                .unwrap_or_default(),
        );
        let failcnt = events.get("max").copied().unwrap_or(0);
        stats.hugetlb.insert(
            size,
            HugeTlb {
                usage: parse::number(&usage),
                max: 0,
                failcnt,
            },
        );
    }
    rdma(directory, stats)?;
    stats.cpu.psi = pressure(directory, "cpu.pressure")?;
    stats.memory.psi = pressure(directory, "memory.pressure")?;
    stats.blkio.psi = pressure(directory, "io.pressure")?;
    Ok(())
}

/// cpu.stat has the usage even where the controller isn't enabled, and the throttling only where it is.
fn cpu(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    if stats.cpu.usage.total != 0 {
        return Ok(());
    }
    let pairs = parse::pairs(&directory.optional_text("cpu.stat")?.unwrap_or_default());
    let value = |key: &str| pairs.get(key).copied().unwrap_or(0);
    let nanoseconds = |key: &str| value(key).saturating_mul(1000);
    stats.cpu.usage.total = nanoseconds("usage_usec");
    stats.cpu.usage.user = nanoseconds("user_usec");
    stats.cpu.usage.kernel = nanoseconds("system_usec");
    if pairs.contains_key("nr_periods") {
        stats.cpu.throttling.periods = value("nr_periods");
        stats.cpu.throttling.throttled_periods = value("nr_throttled");
        stats.cpu.throttling.throttled_time = nanoseconds("throttled_usec");
    }
    Ok(())
}

fn memory(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    let Some(text) = directory.optional_text("memory.stat")? else {
        return Ok(());
    };
    let number = |file: &str| {
        Ok::<_, Error>(
            directory
                .optional_text(file)?
                .map(|text| parse::number(&text)),
        )
    };
    let events = parse::pairs(
        &directory
            .optional_text("memory.events")?
            .unwrap_or_default(),
    );
    let memory = &mut stats.memory;
    memory.raw = parse::pairs(&text);
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    memory.usage = MemoryEntry {
        limit: number("memory.max")?.unwrap_or(u64::MAX),
        usage: number("memory.current")?.unwrap_or(0),
        max: number("memory.peak")?.unwrap_or(0),
        failcnt: events.get("max").copied().unwrap_or(0),
    };
    // v2 counts swap alone; the JSON's readers expect v1's sum.
    if let Some(swap) = number("memory.swap.current")? {
        let limit = number("memory.swap.max")?.unwrap_or(u64::MAX);
        memory.swap = MemoryEntry {
            limit: limit.saturating_add(memory.usage.limit),
            usage: swap.saturating_add(memory.usage.usage),
            max: 0,
            failcnt: 0,
        };
    }
    Ok(())
}

/// The same files on v1.
pub(super) fn rdma(directory: &Directory, stats: &mut Stats) -> Result<(), Error> {
    if let Some(current) = directory.optional_text("rdma.current")? {
        stats.rdma = parse::rdma(
            &current,
            &directory.optional_text("rdma.max")?.unwrap_or_default(),
        );
    }
    Ok(())
}

fn pressure(directory: &Directory, file: &str) -> Result<Option<Pressure>, Error> {
    Ok(directory
        .optional_text(file)?
        .and_then(|text| parse::pressure(&text)))
}
