//! Architectures: names, audit tokens, word size, byte order, number bases.
use crate::syscalls::{COLUMNS, N};

/// Bit 30 of a system call number marks x32 on x86-64.
pub(crate) const X32_BIT: u32 = 0x4000_0000;

/// An architecture that a filter can cover; names as in `linux.seccomp.architectures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Arch {
    X86,
    X86_64,
    X32,
    Arm,
    Aarch64,
    Loongarch64,
    M68k,
    Mips,
    Mips64,
    Mips64N32,
    Mipsel,
    Mipsel64,
    Mipsel64N32,
    Parisc,
    Parisc64,
    Ppc,
    Ppc64,
    Ppc64le,
    Riscv64,
    S390,
    S390x,
    Sh,
    Sheb,
}

/// Big or little, as the fields of `struct seccomp_data` are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endian {
    Little,
    Big,
}

/// What distinguishes one architecture from another for a filter.
pub(crate) struct Traits {
    pub(crate) name: &'static str,
    /// `AUDIT_ARCH_*`, what `seccomp_data.arch` holds.
    pub(crate) token: u32,
    /// Arguments are 64 bits wide.
    pub(crate) wide: bool,
    pub(crate) endian: Endian,
    /// Column of the number table.
    pub(crate) column: usize,
    /// Added to the table's numbers.
    pub(crate) base: u32,
    /// Has `socketcall` and `ipc` (numbers without base).
    pub(crate) multiplexer: bool,
}

/// Number of `socketcall` above the base, wherever it exists.
pub(crate) const SOCKETCALL: u16 = 102;
/// Number of `ipc` above the base, wherever it exists.
pub(crate) const IPC: u16 = 117;
/// Table values from here on are ARM's private calls at 0xF0000.
const ARM_PRIVATE: u16 = 0xF000;
/// Slots kept for ARM's private calls: 1..=6 are in use.
const ARM_PRIVATE_SLOTS: u16 = 8;
/// Slots that hold ordinary numbers.
pub(crate) const ORDINARY_SLOTS: u16 = 1000;
/// Size of a dense table of verdicts by slot.
pub(crate) const SLOTS: usize = (ORDINARY_SLOTS + ARM_PRIVATE_SLOTS) as usize;

impl Arch {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 23] = [
        Self::X86,
        Self::X86_64,
        Self::X32,
        Self::Arm,
        Self::Aarch64,
        Self::Loongarch64,
        Self::M68k,
        Self::Mips,
        Self::Mips64,
        Self::Mips64N32,
        Self::Mipsel,
        Self::Mipsel64,
        Self::Mipsel64N32,
        Self::Parisc,
        Self::Parisc64,
        Self::Ppc,
        Self::Ppc64,
        Self::Ppc64le,
        Self::Riscv64,
        Self::S390,
        Self::S390x,
        Self::Sh,
        Self::Sheb,
    ];

    /// From `SCMP_ARCH_*`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// `SCMP_ARCH_*`.
    pub fn name(self) -> &'static str {
        self.traits().name
    }

    /// The architecture this crate was compiled for; none if seccomp filters do not exist there.
    pub const fn native() -> Option<Self> {
        let big = cfg!(target_endian = "big");
        Some(if cfg!(target_arch = "x86_64") {
            Self::X86_64
        } else if cfg!(target_arch = "x86") {
            Self::X86
        } else if cfg!(target_arch = "aarch64") {
            Self::Aarch64
        } else if cfg!(target_arch = "arm") {
            Self::Arm
        } else if cfg!(target_arch = "riscv64") {
            Self::Riscv64
        } else if cfg!(target_arch = "loongarch64") {
            Self::Loongarch64
        } else if cfg!(target_arch = "s390x") {
            Self::S390x
        } else if cfg!(target_arch = "powerpc64") {
            if big { Self::Ppc64 } else { Self::Ppc64le }
        } else if cfg!(target_arch = "powerpc") {
            Self::Ppc
        } else if cfg!(target_arch = "mips64") {
            if big { Self::Mips64 } else { Self::Mipsel64 }
        } else if cfg!(target_arch = "mips") {
            if big { Self::Mips } else { Self::Mipsel }
        } else if cfg!(target_arch = "m68k") {
            Self::M68k
        } else {
            return None;
        })
    }

    pub(crate) const fn traits(self) -> Traits {
        use Endian::{Big, Little};
        let (name, token, wide, endian, column, base, multiplexer) = match self {
            Self::X86 => ("SCMP_ARCH_X86", 0x4000_0003, false, Little, 0, 0, true),
            Self::X86_64 => ("SCMP_ARCH_X86_64", 0xC000_003E, true, Little, 1, 0, false),
            // The kernel reports x86-64's token for x32.
            Self::X32 => (
                "SCMP_ARCH_X32",
                0xC000_003E,
                false,
                Little,
                2,
                X32_BIT,
                false,
            ),
            Self::Arm => ("SCMP_ARCH_ARM", 0x4000_0028, false, Little, 3, 0, false),
            Self::Aarch64 => ("SCMP_ARCH_AARCH64", 0xC000_00B7, true, Little, 4, 0, false),
            Self::Loongarch64 => (
                "SCMP_ARCH_LOONGARCH64",
                0xC000_0102,
                true,
                Little,
                5,
                0,
                false,
            ),
            Self::M68k => ("SCMP_ARCH_M68K", 4, false, Big, 6, 0, true),
            Self::Mips => ("SCMP_ARCH_MIPS", 8, false, Big, 7, 4000, true),
            Self::Mips64 => ("SCMP_ARCH_MIPS64", 0x8000_0008, true, Big, 8, 5000, false),
            Self::Mips64N32 => (
                "SCMP_ARCH_MIPS64N32",
                0xA000_0008,
                false,
                Big,
                9,
                6000,
                false,
            ),
            Self::Mipsel => (
                "SCMP_ARCH_MIPSEL",
                0x4000_0008,
                false,
                Little,
                7,
                4000,
                true,
            ),
            Self::Mipsel64 => (
                "SCMP_ARCH_MIPSEL64",
                0xC000_0008,
                true,
                Little,
                8,
                5000,
                false,
            ),
            Self::Mipsel64N32 => (
                "SCMP_ARCH_MIPSEL64N32",
                0xE000_0008,
                false,
                Little,
                9,
                6000,
                false,
            ),
            Self::Parisc => ("SCMP_ARCH_PARISC", 15, false, Big, 10, 0, false),
            Self::Parisc64 => ("SCMP_ARCH_PARISC64", 0x8000_000F, true, Big, 11, 0, false),
            Self::Ppc => ("SCMP_ARCH_PPC", 20, false, Big, 12, 0, true),
            Self::Ppc64 => ("SCMP_ARCH_PPC64", 0x8000_0015, true, Big, 13, 0, true),
            Self::Ppc64le => ("SCMP_ARCH_PPC64LE", 0xC000_0015, true, Little, 13, 0, true),
            Self::Riscv64 => ("SCMP_ARCH_RISCV64", 0xC000_00F3, true, Little, 14, 0, false),
            Self::S390 => ("SCMP_ARCH_S390", 22, false, Big, 15, 0, true),
            Self::S390x => ("SCMP_ARCH_S390X", 0x8000_0016, true, Big, 16, 0, true),
            Self::Sh => ("SCMP_ARCH_SH", 0x4000_002A, false, Little, 17, 0, true),
            Self::Sheb => ("SCMP_ARCH_SHEB", 0x2A, false, Big, 17, 0, true),
        };
        Traits {
            name,
            token,
            wide,
            endian,
            column,
            base,
            multiplexer,
        }
    }
}

impl Traits {
    /// Slot of a call in this architecture's dense table, if it has the call.
    pub(crate) fn slot(&self, row: &[u16; COLUMNS]) -> Option<u16> {
        match row[self.column] {
            N => None,
            value if value >= ARM_PRIVATE => Some(ORDINARY_SLOTS + (value - ARM_PRIVATE)),
            value => Some(value),
        }
    }

    /// The number that `seccomp_data.nr` holds for a slot.
    pub(crate) fn number(&self, slot: u16) -> u32 {
        if slot >= ORDINARY_SLOTS {
            0xF_0000 + u32::from(slot - ORDINARY_SLOTS)
        } else {
            self.base + u32::from(slot)
        }
    }

    /// The inverse of [`Traits::number`].
    pub(crate) fn slot_of_number(&self, number: u32) -> Option<u16> {
        let private = number.wrapping_sub(0xF_0000);
        if self.column == Arch::Arm.traits().column && private < u32::from(ARM_PRIVATE_SLOTS) {
            return Some(ORDINARY_SLOTS + private as u16);
        }
        let low = number.checked_sub(self.base)?;
        (low < u32::from(ORDINARY_SLOTS)).then_some(low as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscalls::ROWS;

    #[test]
    fn every_table_value_fits_a_slot() {
        for arch in Arch::ALL {
            let traits = arch.traits();
            for (name, row) in &ROWS {
                if let Some(slot) = traits.slot(row) {
                    assert!(usize::from(slot) < SLOTS, "{name} on {}", traits.name);
                    assert_eq!(traits.slot_of_number(traits.number(slot)), Some(slot));
                }
            }
        }
    }

    #[test]
    fn names_are_distinct_and_found() {
        for arch in Arch::ALL {
            assert_eq!(Arch::from_name(arch.name()), Some(arch));
        }
        assert_eq!(Arch::from_name("SCMP_ARCH_VAX"), None);
    }

    #[test]
    fn multiplexers_stand_where_the_constants_say() {
        for arch in Arch::ALL
            .into_iter()
            .filter(|arch| arch.traits().multiplexer)
        {
            let slot = |wanted| {
                let row = ROWS
                    .iter()
                    .find(|(name, _)| *name == wanted)
                    .expect("in the table");
                arch.traits().slot(&row.1)
            };
            assert_eq!(slot("socketcall"), Some(SOCKETCALL), "{}", arch.name());
            assert_eq!(slot("ipc"), Some(IPC), "{}", arch.name());
        }
    }
}
