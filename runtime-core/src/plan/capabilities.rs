//! Capability names and the five sets of a process.
//!
//! A name that is unknown, or a capability newer than the host's kernel, is left out and said so, as runc does: an engine's default
//! list must go on working on an older host. A set that the kernel could only refuse is an error here.
use super::ir::Skip;
use crate::config::{At, ConfigError, invalid};
use tare_oci::Capabilities;

/// Every capability by number (linux/capability.h as of Linux 6.18).
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// `CAP_SETGID`'s number.
pub const SETGID: u8 = 6;
/// `CAP_SETUID`'s number.
pub const SETUID: u8 = 7;
/// `CAP_NET_ADMIN`'s number.
pub const NET_ADMIN: u8 = 12;
/// `CAP_SYS_ADMIN`'s number.
pub const SYS_ADMIN: u8 = 21;
/// `CAP_SYS_RESOURCE`'s number.
pub const SYS_RESOURCE: u8 = 24;
/// `CAP_SETFCAP`'s number.
pub const SETFCAP: u8 = 31;

/// The five sets as masks: bit n is capability n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sets {
    /// Limit of what an exec can give.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// May be made effective.
    pub permitted: u64,
    /// Kept by an exec of a file with inheritable bits.
    pub inheritable: u64,
    /// Kept by an exec of an unprivileged file.
    pub ambient: u64,
}

/// Reads the five lists against what the host's kernel has (`last` is its highest number).
///
/// # Errors
/// An effective capability that isn't permitted.
pub fn sets(wire: &Capabilities, last: u8, skips: &mut Vec<Skip>) -> Result<Sets, ConfigError> {
    let mut sets = Sets::default();
    for (name, list, set) in [
        ("bounding", &wire.bounding, &mut sets.bounding),
        ("effective", &wire.effective, &mut sets.effective),
        ("permitted", &wire.permitted, &mut sets.permitted),
        ("inheritable", &wire.inheritable, &mut sets.inheritable),
        ("ambient", &wire.ambient, &mut sets.ambient),
    ] {
        for (index, capability) in list.iter().enumerate() {
            match number(capability, last) {
                Ok(number) => *set |= 1 << number,
                Err(reason) => skips.push(Skip {
                    what: format!("process.capabilities.{name}[{index}]"),
                    reason,
                }),
            }
        }
    }
    let missing = sets.effective & !sets.permitted;
    if missing != 0 {
        return invalid(format!(
            "{} is not in the permitted set, so the kernel would refuse it",
            list(missing)
        ))
        .field("effective");
    }
    let unraisable = sets.ambient & !(sets.permitted & sets.inheritable);
    if unraisable != 0 {
        sets.ambient &= !unraisable;
        skips.push(Skip {
            what: "process.capabilities.ambient".to_owned(),
            reason: format!(
                "{} is not both permitted and inheritable, so it can't be ambient",
                list(unraisable)
            ),
        });
    }
    Ok(sets)
}

fn number(name: &str, last: u8) -> Result<usize, String> {
    match NAMES.iter().position(|known| *known == name) {
        None => Err(format!("{name:?} is not a capability known here")),
        Some(number) if number > usize::from(last) => {
            Err(format!("{name} is newer than this host's kernel"))
        }
        Some(number) => Ok(number),
    }
}

/// The names in a mask, by number, joined by commas.
#[must_use]
pub fn list(mask: u64) -> String {
    let known = NAMES
        .iter()
        .enumerate()
        .filter(|(number, _)| mask >> number & 1 == 1)
        .map(|(_, name)| *name);
    known.collect::<Vec<_>>().join(",")
}

/// All capabilities up to the host's last.
#[must_use]
pub const fn all(last: u8) -> u64 {
    if last >= 63 {
        u64::MAX
    } else {
        (1 << (last + 1)) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(text: &str) -> Capabilities {
        let mut wire = Capabilities::default();
        for word in text.split_whitespace() {
            let (set, names) = word.split_once(':').unwrap();
            let names: Vec<String> = names.split(',').map(|name| format!("CAP_{name}")).collect();
            match set {
                "b" => wire.bounding = names,
                "e" => wire.effective = names,
                "p" => wire.permitted = names,
                "i" => wire.inheritable = names,
                _ => wire.ambient = names,
            }
        }
        wire
    }

    fn check(text: &str, last: u8, expect: &str) {
        let mut skips = Vec::new();
        let mut result = match sets(&wire(text), last, &mut skips) {
            Ok(sets) => format!(
                "b{:x} e{:x} p{:x} i{:x} a{:x}",
                sets.bounding, sets.effective, sets.permitted, sets.inheritable, sets.ambient
            ),
            Err(error) => error.to_string(),
        };
        for skip in skips {
            result.push_str(&format!("\n{}: {}", skip.what, skip.reason));
        }
        assert_eq!(result, expect, "{text}");
    }

    #[test]
    fn five_sets() {
        check("", 40, "b0 e0 p0 i0 a0");
        check("b:CHOWN,KILL e:CHOWN p:CHOWN", 40, "b21 e1 p1 i0 a0");
        check("p:KILL i:KILL a:KILL", 40, "b0 e0 p20 i20 a20");
        check("b:CHECKPOINT_RESTORE", 40, "b10000000000 e0 p0 i0 a0");
    }

    #[test]
    fn unknown_and_newer_ones_are_left_out() {
        check(
            "b:NOSUCH,KILL",
            40,
            "b20 e0 p0 i0 a0\nprocess.capabilities.bounding[0]: \"CAP_NOSUCH\" is not a capability known here",
        );
        check(
            "b:BPF",
            37,
            "b0 e0 p0 i0 a0\nprocess.capabilities.bounding[0]: CAP_BPF is newer than this host's kernel",
        );
        let mut skips = Vec::new();
        let lower = Capabilities {
            bounding: vec!["cap_kill".to_owned()],
            ..Capabilities::default()
        };
        assert_eq!(sets(&lower, 40, &mut skips).unwrap().bounding, 0);
        assert_eq!(skips.len(), 1);
    }

    #[test]
    fn what_the_kernel_refuses() {
        check(
            "e:CHOWN,KILL p:KILL",
            40,
            "effective: CAP_CHOWN is not in the permitted set, so the kernel would refuse it",
        );
        check(
            "p:KILL a:KILL",
            40,
            "b0 e0 p20 i0 a0\nprocess.capabilities.ambient: CAP_KILL is not both permitted and inheritable, so it can't be ambient",
        );
    }

    #[test]
    fn masks() {
        assert_eq!(all(40), 0x1ff_ffff_ffff);
        assert_eq!(all(63), u64::MAX);
        assert_eq!(list(0x21), "CAP_CHOWN,CAP_KILL");
        assert_eq!(NAMES[usize::from(SYS_ADMIN)], "CAP_SYS_ADMIN");
        assert_eq!(NAMES[usize::from(SETGID)], "CAP_SETGID");
        assert_eq!(NAMES[usize::from(SETUID)], "CAP_SETUID");
        assert_eq!(NAMES[usize::from(SYS_RESOURCE)], "CAP_SYS_RESOURCE");
    }
}
