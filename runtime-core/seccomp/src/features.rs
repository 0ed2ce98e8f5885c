//! The words this crate understands, for `features`.

/// Lists in the order of the OCI features document (sorted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// `SCMP_ACT_*`.
    pub actions: &'static [&'static str],
    /// `SCMP_CMP_*`.
    pub operators: &'static [&'static str],
    /// `SCMP_ARCH_*`.
    pub archs: &'static [&'static str],
    /// `SECCOMP_FILTER_FLAG_*`.
    pub known_flags: &'static [&'static str],
}

/// Everything that a profile may contain, whatever the kernel.
pub const fn features() -> Features {
    Features {
        actions: ACTIONS,
        operators: OPERATORS,
        archs: ARCHS,
        known_flags: FLAGS,
    }
}

/// Those of the known flags that a kernel with these flags (bits of [`flag`](crate::flag)) accepts.
pub fn supported_flags(kernel: u32) -> impl Iterator<Item = &'static str> {
    use crate::flag;
    let bits = [
        flag::LOG,
        flag::SPEC_ALLOW,
        flag::TSYNC,
        flag::WAIT_KILLABLE_RECV,
    ];
    FLAGS
        .iter()
        .zip(bits)
        .filter(move |&(_, bit)| kernel & bit != 0)
        .map(|(name, _)| *name)
}

const ACTIONS: &[&str] = &[
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_TRAP",
];

const OPERATORS: &[&str] = &[
    "SCMP_CMP_EQ",
    "SCMP_CMP_GE",
    "SCMP_CMP_GT",
    "SCMP_CMP_LE",
    "SCMP_CMP_LT",
    "SCMP_CMP_MASKED_EQ",
    "SCMP_CMP_NE",
];

const ARCHS: &[&str] = &[
    "SCMP_ARCH_AARCH64",
    "SCMP_ARCH_ARM",
    "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K",
    "SCMP_ARCH_MIPS",
    "SCMP_ARCH_MIPS64",
    "SCMP_ARCH_MIPS64N32",
    "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64",
    "SCMP_ARCH_MIPSEL64N32",
    "SCMP_ARCH_PARISC",
    "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_PPC",
    "SCMP_ARCH_PPC64",
    "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_RISCV64",
    "SCMP_ARCH_S390",
    "SCMP_ARCH_S390X",
    "SCMP_ARCH_SH",
    "SCMP_ARCH_SHEB",
    "SCMP_ARCH_X32",
    "SCMP_ARCH_X86",
    "SCMP_ARCH_X86_64",
];

const FLAGS: &[&str] = &[
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arch_is_listed_and_sorted() {
        assert!(
            ARCHS.is_sorted() && ACTIONS.is_sorted() && OPERATORS.is_sorted() && FLAGS.is_sorted()
        );
        let mut names = crate::Arch::ALL.map(crate::Arch::name);
        names.sort_unstable();
        assert_eq!(ARCHS, names);
    }

    #[test]
    fn a_kernel_without_a_flag_does_not_offer_it() {
        let kernel = crate::flag::ALL & !crate::flag::WAIT_KILLABLE_RECV;
        assert_eq!(supported_flags(kernel).collect::<Vec<_>>(), FLAGS[..3]);
    }
}
