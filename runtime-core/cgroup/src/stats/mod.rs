//! Statistics of a container, in the shape of runc's `events --stats` (its `data` object): serialize [`Stats`] and it is that JSON.
mod parse;
mod v1;
mod v2;

use crate::{Cgroup, Error};
use serde::Serialize;
use std::collections::BTreeMap;

impl Cgroup {
    /// Reads everything that the container's controllers tell. What a kernel doesn't have stays zero or empty.
    pub fn stats(&self) -> Result<Stats, Error> {
        let mut stats = Stats::default();
        v1::read(self, &mut stats)?;
        if let Some(directory) = self.optional("")? {
            v2::read(&directory, &mut stats)?;
        }
        Ok(stats)
    }
}

/// Page sizes that this machine has huge pages of, as the hugetlb files call them: `2MB`, `1GB`.
fn huge_page_sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages")
        .into_iter()
        .flatten()
        .flatten();
    entries
        .filter_map(|entry| parse::huge_page_size(entry.file_name().to_str()?))
        .collect()
}

/// What a parser makes of a text, in words; for the fuzz targets.
#[cfg(feature = "doors")]
pub(crate) fn words(parser: u8, text: &str) -> Option<String> {
    Some(match parser {
        0 => format!("{:?}", parse::pairs(text)),
        1 => parse::number(text).to_string(),
        2 => format!("{:?}", parse::numbers(text)),
        3 => format!("{:?}", parse::list(text)),
        4 => format!("{:?}", parse::usage_all(text)),
        5 => format!("{:?}", parse::pressure(text)),
        6 => format!("{:?}", parse::blkio(text)),
        7 => format!("{:?}", parse::io(text)),
        8 => {
            let (current, limit) = text.split_once('\u{1}').unwrap_or((text, text));
            format!("{:?}", parse::rdma(current, limit))
        }
        9 => format!("{:?}", parse::huge_page_size(text)),
        _ => return None,
    })
}

fn zero(value: &u64) -> bool {
    *value == 0
}

/// All statistics.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // each field is the controller of that name
pub struct Stats {
    pub cpu: Cpu,
    pub cpuset: CpuSet,
    pub memory: Memory,
    pub pids: Pids,
    pub blkio: Blkio,
    /// By page size, such as `2MB`.
    pub hugetlb: BTreeMap<String, HugeTlb>,
    /// Not part of runc's JSON; absent without RDMA devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rdma: Vec<RdmaDevice>,
}

/// CPU time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Cpu {
    /// Time used.
    pub usage: CpuUsage,
    /// Effect of the quota.
    pub throttling: Throttling,
    /// v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// Nanoseconds of CPU time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CpuUsage {
    /// All.
    #[serde(skip_serializing_if = "zero")]
    pub total: u64,
    /// By CPU (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// By CPU, in the kernel (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// By CPU, in programs (v1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// In programs.
    pub user: u64,
}

/// Effect of the CPU quota.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Enforcement periods.
    #[serde(skip_serializing_if = "zero")]
    pub periods: u64,
    /// Those in which the quota ran out.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_periods: u64,
    /// Nanoseconds.
    #[serde(skip_serializing_if = "zero")]
    pub throttled_time: u64,
}

/// Pressure stall information of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pressure {
    /// Some task waited.
    pub some: Stall,
    /// All tasks waited.
    pub full: Stall,
}

/// Shares of time in percent, and microseconds in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stall {
    /// Percent over 10 seconds.
    pub avg10: f64,
    /// Percent over a minute.
    pub avg60: f64,
    /// Percent over five minutes.
    pub avg300: f64,
    /// Microseconds.
    pub total: u64,
}

/// The v1 cpuset.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // each field is the cpuset.* file of that name
pub struct CpuSet {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Memory {
    /// Page cache.
    #[serde(skip_serializing_if = "zero")]
    pub cache: u64,
    /// Memory.
    pub usage: MemoryEntry,
    /// Memory plus swap, on v2 too.
    pub swap: MemoryEntry,
    /// Kernel memory (v1).
    pub kernel: MemoryEntry,
    /// TCP buffers (v1).
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryEntry,
    /// All of memory.stat.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// v2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct MemoryEntry {
    /// u64::MAX is none (v2; v1 says 2^63 less a page).
    pub limit: u64,
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// Most ever.
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Number of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Pids {
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub current: u64,
    /// 0 is none.
    #[serde(skip_serializing_if = "zero")]
    pub limit: u64,
}

/// Block IO; v2 fills the first two lists.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)] // each field is the blkio.* file of that name
pub struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_queue_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_service_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_wait_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_merged_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub io_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sectors_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One device and operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlkioEntry {
    /// Device number.
    #[serde(skip_serializing_if = "zero")]
    pub major: u64,
    /// Device number.
    #[serde(skip_serializing_if = "zero")]
    pub minor: u64,
    /// `Read`, `Write`, `Sync`, ...
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// Bytes, operations or nanoseconds.
    #[serde(skip_serializing_if = "zero")]
    pub value: u64,
}

/// Huge pages of one size, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct HugeTlb {
    /// Now.
    #[serde(skip_serializing_if = "zero")]
    pub usage: u64,
    /// Most ever (v1).
    #[serde(skip_serializing_if = "zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// One RDMA device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RdmaDevice {
    /// Name.
    pub device: String,
    /// In use.
    pub current: RdmaCounts,
    /// Most allowed; u32::MAX is no limit.
    pub limit: RdmaCounts,
}

/// Handles and objects.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RdmaCounts {
    /// Handles.
    pub hca_handles: u32,
    /// Objects.
    pub hca_objects: u32,
}
