//! Scheduler, io priority, CPU affinity, NUMA policy, personality of the calling thread.
use crate::Result;
use crate::arch::call;

/// sched_setattr(2)'s structure, first version (48 bytes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Attributes {
    /// Bytes of this structure; set by [`set_scheduler`].
    pub size: u32,
    /// SCHED_*.
    pub policy: u32,
    /// SCHED_FLAG_*.
    pub flags: u64,
    /// Nice value.
    pub nice: i32,
    /// Static priority.
    pub priority: u32,
    /// ns.
    pub runtime: u64,
    /// ns.
    pub deadline: u64,
    /// ns.
    pub period: u64,
}

/// sched_setattr(2).
pub fn set_scheduler(mut attributes: Attributes) -> Result<()> {
    attributes.size = size_of::<Attributes>() as u32;
    call!(__NR_sched_setattr, 0, &attributes as *const Attributes, 0).map(drop)
}

/// ioprio_set(2), value class << 13 | level.
pub fn set_io_priority(value: u32) -> Result<()> {
    const WHO_PROCESS: u32 = 1;
    call!(__NR_ioprio_set, WHO_PROCESS, 0, value).map(drop)
}

/// sched_setaffinity(2); the mask as bytes, little end first.
pub fn set_affinity(mask: &[u8]) -> Result<()> {
    call!(__NR_sched_setaffinity, 0, mask.len(), mask.as_ptr()).map(drop)
}

/// set_mempolicy(2); the mask as bytes of whole words.
pub fn set_memory_policy(mode: u32, nodes: &[u8]) -> Result<()> {
    // The kernel reads one bit less than it is told (set_mempolicy(2)).
    let (pointer, bits) = if nodes.is_empty() {
        (core::ptr::null(), 0)
    } else {
        (nodes.as_ptr(), nodes.len() * 8 + 1)
    };
    call!(__NR_set_mempolicy, mode, pointer, bits).map(drop)
}

/// personality(2).
pub fn set_personality(persona: u32) -> Result<()> {
    call!(__NR_personality, persona).map(drop)
}
