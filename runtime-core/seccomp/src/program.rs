//! The compiled filter: instructions as the kernel takes them, and the check it makes on them.
use crate::MAX_INSTRUCTIONS;

/// One classic BPF instruction, the fields of `struct sock_filter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions skipped when a comparison holds.
    pub jt: u8,
    /// Instructions skipped when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// Operation codes that filters of this crate consist of.
pub(crate) mod code {
    /// A = word at offset k of `struct seccomp_data`.
    pub(crate) const LOAD: u16 = 0x20;
    /// A &= k.
    pub(crate) const AND: u16 = 0x54;
    /// Skip k instructions.
    pub(crate) const JUMP: u16 = 0x05;
    /// A == k.
    pub(crate) const JEQ: u16 = 0x15;
    /// A > k.
    pub(crate) const JGT: u16 = 0x25;
    /// A >= k.
    pub(crate) const JGE: u16 = 0x35;
    /// A & k != 0.
    pub(crate) const JSET: u16 = 0x45;
    /// Return k.
    pub(crate) const RETURN: u16 = 0x06;
}

/// Offset of `nr` in `struct seccomp_data`.
pub(crate) const OFFSET_NUMBER: u32 = 0;
/// Offset of `arch` in `struct seccomp_data`.
pub(crate) const OFFSET_ARCH: u32 = 4;
/// Size of `struct seccomp_data`.
const DATA_SIZE: u32 = 64;

/// A profile compiled for one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// What `struct sock_fprog` points to; at most [`MAX_INSTRUCTIONS`].
    pub program: Vec<Instruction>,
    /// Flags for seccomp(2), bits of [`flag`](crate::flag).
    pub flags: u32,
    /// Some rule hands calls to an agent: loading yields a descriptor (`NEW_LISTENER` is in `flags`).
    pub uses_notify: bool,
    /// What the profile asks for and the filter does not contain.
    pub skipped: Vec<Skip>,
}

/// Something of the profile that has no effect, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Where in config.json.
    pub json_path: String,
    /// Why it has no effect.
    pub reason: String,
}

impl Filter {
    /// The program as bytes, 8 an instruction, in this machine's byte order.
    pub fn as_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.program.len() * 8);
        for instruction in &self.program {
            bytes.extend_from_slice(&instruction.code.to_ne_bytes());
            bytes.extend_from_slice(&[instruction.jt, instruction.jf]);
            bytes.extend_from_slice(&instruction.k.to_ne_bytes());
        }
        bytes
    }
}

/// What makes the kernel refuse a program (`bpf_check_classic`, `seccomp_check_filter`), as far as this crate's
/// instructions go; the index is the instruction's.
pub fn check(program: &[Instruction]) -> Result<(), String> {
    if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
        return Err(format!("{} instructions", program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        let left = program.len() - at - 1;
        let fault = match instruction.code {
            code::LOAD if instruction.k >= DATA_SIZE || !instruction.k.is_multiple_of(4) => {
                "load outside the data"
            }
            code::JUMP if instruction.k as usize >= left => "jump out of the program",
            code::JEQ | code::JGT | code::JGE | code::JSET
                if usize::from(instruction.jt) >= left || usize::from(instruction.jf) >= left =>
            {
                "branch out of the program"
            }
            code::LOAD | code::AND | code::JUMP | code::RETURN => continue,
            code::JEQ | code::JGT | code::JGE | code::JSET => continue,
            _ => "unknown operation",
        };
        return Err(format!("instruction {at}: {fault}"));
    }
    match program.last() {
        Some(last) if last.code == code::RETURN => Ok(()),
        _ => Err("does not end in a return".to_owned()),
    }
}
