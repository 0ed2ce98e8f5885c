//! Why a profile was refused: the JSON path first, then what and why.

/// A profile that cannot be compiled for this target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeccompError {
    /// An action that is no `SCMP_ACT_*`.
    #[error("{path}: string {name} is not a valid action for seccomp")]
    UnknownAction {
        /// Where in config.json.
        path: String,
        /// What stands there.
        name: String,
    },
    /// An operator that is no `SCMP_CMP_*`.
    #[error("{path}: string {name} is not a valid operator for seccomp")]
    UnknownOperator {
        /// Where in config.json.
        path: String,
        /// What stands there.
        name: String,
    },
    /// An architecture that is no `SCMP_ARCH_*`.
    #[error("{path}: string {name} is not a valid arch for seccomp")]
    UnknownArch {
        /// Where in config.json.
        path: String,
        /// What stands there.
        name: String,
    },
    /// A flag that is no `SECCOMP_FILTER_FLAG_*` a profile may carry.
    #[error("{path}: seccomp flag {name} is not known")]
    UnknownFlag {
        /// Where in config.json.
        path: String,
        /// What stands there.
        name: String,
    },
    /// A system call that no table holds; only with [`Target::refuse_unknown_syscalls`](crate::Target).
    #[error(
        "{path}: unknown system call {name} (tables of {})",
        crate::syscalls::SOURCE
    )]
    UnknownSyscall {
        /// Where in config.json.
        path: String,
        /// What stands there.
        name: String,
    },
    /// A known word that this kernel does not implement.
    #[error("{path}: {name} is not supported by this kernel")]
    Unsupported {
        /// Where in config.json.
        path: String,
        /// What stands there.
        name: String,
    },
    /// A value out of its range or in a place where it means nothing.
    #[error("{path}: {reason}")]
    Invalid {
        /// Where in config.json.
        path: String,
        /// Why it is refused.
        reason: String,
    },
    /// Two rules that ask for different actions for the same call.
    #[error(
        "{path}: system call {name}: the rule contradicts an earlier one: same conditions, another action"
    )]
    Conflict {
        /// Where in config.json.
        path: String,
        /// The system call.
        name: String,
    },
    /// The filter would exceed the kernel's limit.
    #[error(
        "linux.seccomp: the filter needs {instructions} instructions, the kernel takes at most {}: use fewer argument rules",
        crate::MAX_INSTRUCTIONS
    )]
    TooLong {
        /// What the profile needs.
        instructions: usize,
    },
}

impl SeccompError {
    pub(crate) fn invalid(path: String, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self::Invalid { path, reason }
    }
}
