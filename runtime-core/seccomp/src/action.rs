//! Actions: `SCMP_ACT_*` words and the values a filter returns for them.

/// What the kernel does with a call; the operand is an errno or a tracer's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    KillProcess,
    KillThread,
    Trap,
    Errno(u16),
    Notify,
    Trace(u16),
    Log,
    Allow,
}

/// `EPERM`, the errno and the tracer's message when a profile names none.
const EPERM: u16 = 1;
/// `ENOSYS`, for calls newer than the profile.
const ENOSYS: u16 = 38;
/// The kernel cuts an errno off here.
pub(crate) const MAX_ERRNO: u32 = 4095;

impl Action {
    /// The answer to a call that the profile's author could not know.
    pub(crate) const NOT_IMPLEMENTED: Self = Self::Errno(ENOSYS);

    /// From the profile's word, with the default operand.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Self::KillThread,
            "SCMP_ACT_KILL_PROCESS" => Self::KillProcess,
            "SCMP_ACT_TRAP" => Self::Trap,
            "SCMP_ACT_ERRNO" => Self::Errno(EPERM),
            "SCMP_ACT_NOTIFY" => Self::Notify,
            "SCMP_ACT_TRACE" => Self::Trace(EPERM),
            "SCMP_ACT_LOG" => Self::Log,
            "SCMP_ACT_ALLOW" => Self::Allow,
            _ => return None,
        })
    }

    /// The filter's return value (`SECCOMP_RET_*` and its data).
    pub(crate) fn value(self) -> u32 {
        match self {
            Self::KillProcess => 0x8000_0000,
            Self::KillThread => 0,
            Self::Trap => 0x0003_0000,
            Self::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Self::Notify => 0x7FC0_0000,
            Self::Trace(message) => 0x7FF0_0000 | u32::from(message),
            Self::Log => 0x7FFC_0000,
            Self::Allow => 0x7FFF_0000,
        }
    }

    pub(crate) fn from_value(value: u32) -> Option<Self> {
        let data = value as u16;
        Some(match value & 0xFFFF_0000 {
            0x8000_0000 => Self::KillProcess,
            0 => Self::KillThread,
            0x0003_0000 => Self::Trap,
            0x0005_0000 => Self::Errno(data),
            0x7FC0_0000 => Self::Notify,
            0x7FF0_0000 => Self::Trace(data),
            0x7FFC_0000 => Self::Log,
            0x7FFF_0000 => Self::Allow,
            _ => return None,
        })
    }

    /// The call goes on, perhaps watched: a default of this kind needs no ENOSYS for newer calls.
    pub(crate) fn lets_pass(self) -> bool {
        matches!(self, Self::Allow | Self::Log | Self::Trace(_))
    }

    /// Its bit in [`Actions`].
    pub(crate) fn kind(self) -> Actions {
        match self {
            Self::KillProcess => Actions::KILL_PROCESS,
            Self::KillThread => Actions::KILL_THREAD,
            Self::Trap => Actions::TRAP,
            Self::Errno(_) => Actions::ERRNO,
            Self::Notify => Actions::NOTIFY,
            Self::Trace(_) => Actions::TRACE,
            Self::Log => Actions::LOG,
            Self::Allow => Actions::ALLOW,
        }
    }
}

/// A set of actions that a kernel implements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Actions(u8);

impl Actions {
    /// `kill_process`, Linux 4.14.
    pub const KILL_PROCESS: Self = Self(1);
    /// `kill_thread`.
    pub const KILL_THREAD: Self = Self(2);
    /// `trap`.
    pub const TRAP: Self = Self(4);
    /// `errno`.
    pub const ERRNO: Self = Self(8);
    /// `user_notif`, Linux 5.0.
    pub const NOTIFY: Self = Self(16);
    /// `trace`.
    pub const TRACE: Self = Self(32);
    /// `log`, Linux 4.14.
    pub const LOG: Self = Self(64);
    /// `allow`.
    pub const ALLOW: Self = Self(128);
    /// Every action there is.
    pub const ALL: Self = Self(255);

    /// From the words of `/proc/sys/kernel/seccomp/actions_avail`; words not known here are passed over.
    pub fn from_words(words: &str) -> Self {
        let bits = words.split_ascii_whitespace().map(|word| match word {
            "kill_process" => Self::KILL_PROCESS.0,
            "kill_thread" | "kill" => Self::KILL_THREAD.0,
            "trap" => Self::TRAP.0,
            "errno" => Self::ERRNO.0,
            "user_notif" => Self::NOTIFY.0,
            "trace" => Self::TRACE.0,
            "log" => Self::LOG.0,
            "allow" => Self::ALLOW.0,
            _ => 0,
        });
        Self(bits.fold(0, |all, bit| all | bit))
    }

    /// Both sets together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back() {
        for name in crate::features().actions {
            let action = Action::from_name(name).expect(name);
            assert_eq!(Action::from_value(action.value()), Some(action));
        }
    }

    #[test]
    fn the_kernel_words_make_the_full_set() {
        let words = "kill_process kill_thread trap errno user_notif trace log allow\n";
        assert_eq!(Actions::from_words(words), Actions::ALL);
        assert_eq!(Actions::from_words("allow later_action"), Actions::ALLOW);
    }
}
