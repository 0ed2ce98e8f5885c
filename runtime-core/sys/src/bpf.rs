//! bpf(2), for one purpose: the device rules of a v2 cgroup. Nothing else of bpf(2) is wrapped.
use crate::arch::call;
use crate::fd::{self, Fd};
use crate::{Errno, Result};

/// One eBPF instruction (`struct bpf_insn`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination in the low four bits, source in the high four.
    pub registers: u8,
    /// Jump distance or memory offset.
    pub offset: i16,
    /// Immediate operand.
    pub immediate: i32,
}

impl Instruction {
    /// An instruction from its parts; registers are 0 to 10.
    pub const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Instruction {
        #[cfg(target_endian = "little")]
        let registers = (to & 15) | (from << 4);
        #[cfg(target_endian = "big")]
        let registers = (from & 15) | (to << 4);
        Instruction {
            code,
            registers,
            offset,
            immediate,
        }
    }
}

const PROG_LOAD: u32 = 5;
const PROG_ATTACH: u32 = 8;
const PROG_DETACH: u32 = 9;
const PROG_GET_FD_BY_ID: u32 = 13;
const PROG_QUERY: u32 = 16;
/// BPF_PROG_TYPE_CGROUP_DEVICE.
const PROGRAM_TYPE: u32 = 15;
/// BPF_CGROUP_DEVICE.
const ATTACH_TYPE: u32 = 6;
/// Several programs may hang on one cgroup; an access must pass all of them.
const ALLOW_MULTI: u32 = 1 << 1;
/// The program named makes room, in one go.
const REPLACE: u32 = 1 << 2;
/// The kernel's most for one cgroup.
const MOST_PROGRAMS: usize = 64;

/// Makes `program` the only device program attached to the cgroup directory itself (those above it stay in force).
/// There is no moment without a program: a single older one is replaced, several are detached after the new one stands.
///
/// `log` gets the verifier's words (NUL-terminated) when it is not empty; pass an empty one first, it is much faster.
///
/// Errors: `EPERM` without CAP_SYS_ADMIN (or CAP_BPF and CAP_NET_ADMIN) in the initial user namespace, or below a cgroup whose program
/// forbids more; `EINVAL` or `EACCES` from the verifier; `E2BIG` for a program that is too long.
pub fn set_cgroup_devices(cgroup: Fd, program: &[Instruction], log: &mut [u8]) -> Result<()> {
    let new = load(program, log)?;
    let done = exchange(cgroup, new);
    fd::close(new);
    done
}

/// Ids of the device programs attached to the cgroup directory itself; returns how many were written to `ids`.
///
/// Errors: `ENOSPC` when `ids` is too short (64 is the kernel's most), `EINVAL` for what is no v2 cgroup.
pub fn cgroup_devices(cgroup: Fd, ids: &mut [u32]) -> Result<usize> {
    #[repr(C)]
    struct Query {
        target: i32,
        kind: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        padding: u32,
    }
    let mut query = Query {
        target: cgroup.number(),
        kind: ATTACH_TYPE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: u32::try_from(ids.len()).map_err(|_| Errno::E2BIG)?,
        padding: 0,
    };
    bpf(PROG_QUERY, &mut query)?;
    Ok(query.count as usize)
}

fn exchange(cgroup: Fd, new: Fd) -> Result<()> {
    let mut ids = [0; MOST_PROGRAMS];
    let count = cgroup_devices(cgroup, &mut ids)?;
    let old = ids.get(..count).unwrap_or(&ids);
    if let &[id] = old {
        let program = program_by_id(id)?;
        let replaced = attach(cgroup, new, Some(program));
        fd::close(program);
        match replaced {
            // BPF_F_REPLACE is younger (5.6) than device programs, and refused where the older one was attached without MULTI.
            Err(Errno::EINVAL | Errno::EPERM) => {}
            other => return other,
        }
    }
    attach(cgroup, new, None)?;
    for id in old {
        let program = match program_by_id(*id) {
            Err(Errno::ENOENT) => continue,
            other => other?,
        };
        let detached = attach_or_detach(PROG_DETACH, cgroup, program, 0, None);
        fd::close(program);
        detached?;
    }
    Ok(())
}

fn load(program: &[Instruction], log: &mut [u8]) -> Result<Fd> {
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        log_level: u32,
        log_size: u32,
        log: u64,
        kernel_version: u32,
        flags: u32,
        name: [u8; 16],
    }
    let mut load = Load {
        kind: PROGRAM_TYPE,
        count: u32::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).map_err(|_| Errno::E2BIG)?,
        log: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr() as u64
        },
        kernel_version: 0,
        flags: 0,
        name: *b"tare_devices\0\0\0\0",
    };
    bpf(PROG_LOAD, &mut load).map(Fd::of)
}

fn attach(cgroup: Fd, program: Fd, replace: Option<Fd>) -> Result<()> {
    let flags = ALLOW_MULTI | if replace.is_some() { REPLACE } else { 0 };
    attach_or_detach(PROG_ATTACH, cgroup, program, flags, replace)
}

fn attach_or_detach(
    command: u32,
    cgroup: Fd,
    program: Fd,
    flags: u32,
    replace: Option<Fd>,
) -> Result<()> {
    #[repr(C)]
    struct Attach {
        target: i32,
        program: i32,
        kind: u32,
        flags: u32,
        replace: i32,
    }
    let replace = replace.map_or(0, Fd::number);
    let mut attach = Attach {
        target: cgroup.number(),
        program: program.number(),
        kind: ATTACH_TYPE,
        flags,
        replace,
    };
    bpf(command, &mut attach).map(drop)
}

fn program_by_id(id: u32) -> Result<Fd> {
    #[repr(C)]
    struct ById {
        id: u32,
        next: u32,
        flags: u32,
    }
    bpf(
        PROG_GET_FD_BY_ID,
        &mut ById {
            id,
            next: 0,
            flags: 0,
        },
    )
    .map(Fd::of)
}

/// bpf(2). Each caller passes the documented head of `union bpf_attr` for its command, whose pointers come from borrows that
/// outlive the call, with the element count beside them; the kernel reads what is cut off as zero.
fn bpf<T>(command: u32, attributes: &mut T) -> Result<usize> {
    call!(
        __NR_bpf,
        command,
        core::ptr::from_mut(attributes),
        size_of::<T>()
    )
}
