//! `process.rlimits`: names to numbers.
use super::ir::Rlimit;
use crate::config::{At, ConfigError, invalid};

/// Every limit with its number on x86-64, arm64, riscv64, s390x and powerpc64 (asm-generic/resource.h).
const NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// The limits in their order.
///
/// # Errors
/// An unknown name, a name given twice (the spec demands an error), or a soft limit above the hard one.
pub fn rlimits(wire: &[tare_oci::Rlimit]) -> Result<Vec<Rlimit>, ConfigError> {
    let mut decided: Vec<Rlimit> = Vec::with_capacity(wire.len());
    for (index, limit) in wire.iter().enumerate() {
        let limit = rlimit(limit).index(index)?;
        if decided.iter().any(|known| known.resource == limit.resource) {
            return invalid(format!("{} is given twice", limit.name))
                .field("type")
                .index(index);
        }
        decided.push(limit);
    }
    Ok(decided)
}

fn rlimit(wire: &tare_oci::Rlimit) -> Result<Rlimit, ConfigError> {
    let Some(resource) = NAMES.iter().position(|name| *name == wire.kind) else {
        return invalid(format!(
            "{:?} is not a limit; the limits are {}",
            wire.kind,
            NAMES.join(", ")
        ))
        .field("type");
    };
    if wire.soft > wire.hard {
        return invalid(format!(
            "{} is above the hard limit of {}",
            wire.soft, wire.hard
        ))
        .field("soft");
    }
    Ok(Rlimit {
        resource: resource as u32,
        name: NAMES[resource],
        soft: wire.soft,
        hard: wire.hard,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let wire: Vec<tare_oci::Rlimit> = text
            .split_whitespace()
            .map(|word| {
                let parts: Vec<&str> = word.split(':').collect();
                let number = |text: &str| {
                    if text == "max" {
                        u64::MAX
                    } else {
                        text.parse().unwrap()
                    }
                };
                tare_oci::Rlimit {
                    kind: parts[0].to_owned(),
                    soft: number(parts[1]),
                    hard: number(parts[2]),
                }
            })
            .collect();
        let result = match rlimits(&wire) {
            Ok(limits) => {
                let words = limits.iter().map(|limit| {
                    format!(
                        "{}={}:{}:{}",
                        limit.resource, limit.name, limit.soft, limit.hard
                    )
                });
                words.collect::<Vec<_>>().join(" ")
            }
            Err(error) => error.to_string(),
        };
        assert!(result.starts_with(expect), "{text}: {result}");
    }

    #[test]
    fn limits() {
        check("RLIMIT_NOFILE:1024:4096", "7=RLIMIT_NOFILE:1024:4096");
        check(
            "RLIMIT_CPU:0:0 RLIMIT_RTTIME:1:max",
            "0=RLIMIT_CPU:0:0 15=RLIMIT_RTTIME:1:18446744073709551615",
        );
        check(
            "RLIMIT_CORE:max:max",
            "4=RLIMIT_CORE:18446744073709551615:18446744073709551615",
        );
    }

    #[test]
    fn refused() {
        check(
            "NOFILE:1:1",
            "[0].type: \"NOFILE\" is not a limit; the limits are RLIMIT_CPU,",
        );
        check(
            "rlimit_nofile:1:1",
            "[0].type: \"rlimit_nofile\" is not a limit",
        );
        check(
            "RLIMIT_CPU:1:1 RLIMIT_AS:1:1 RLIMIT_CPU:2:2",
            "[2].type: RLIMIT_CPU is given twice",
        );
        check(
            "RLIMIT_NOFILE:2:1",
            "[0].soft: 2 is above the hard limit of 1",
        );
    }

    #[test]
    fn numbers_are_the_kernels() {
        use rustix::process::Resource;
        for (name, resource) in [
            ("RLIMIT_CPU", Resource::Cpu),
            ("RLIMIT_NOFILE", Resource::Nofile),
            ("RLIMIT_NPROC", Resource::Nproc),
            ("RLIMIT_MEMLOCK", Resource::Memlock),
            ("RLIMIT_AS", Resource::As),
            ("RLIMIT_RTTIME", Resource::Rttime),
        ] {
            assert_eq!(
                NAMES.iter().position(|known| *known == name),
                Some(resource as usize),
                "{name}"
            );
        }
    }
}
