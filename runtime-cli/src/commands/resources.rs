//! From `update`'s flags to the document that `update --resources` reads, pure.
use super::number;
use crate::args::Matches;
use crate::error::Failure;
use tare_oci::{BlockIo, Cpu, Memory, Pids, Resources};

/// The flags as `linux.resources`.
pub fn from_flags(matches: &Matches) -> Result<Resources, Failure> {
    let mut resources = Resources::default();
    let cpu = Cpu {
        shares: number(matches, "cpu-share")?,
        quota: number(matches, "cpu-quota")?,
        burst: number(matches, "cpu-burst")?,
        period: number(matches, "cpu-period")?,
        realtime_runtime: number(matches, "cpu-rt-runtime")?,
        realtime_period: number(matches, "cpu-rt-period")?,
        cpus: matches.value("cpuset-cpus").unwrap_or_default().to_owned(),
        mems: matches.value("cpuset-mems").unwrap_or_default().to_owned(),
        idle: number(matches, "cpu-idle")?,
    };
    resources.cpu = (cpu != Cpu::default()).then_some(cpu);
    let memory = Memory {
        limit: bytes(matches, "memory")?,
        reservation: bytes(matches, "memory-reservation")?,
        swap: bytes(matches, "memory-swap")?,
        ..Memory::default()
    };
    resources.memory = (memory != Memory::default()).then_some(memory);
    if let Some(limit) = number(matches, "pids-limit")? {
        resources.pids = Some(pids(limit));
    }
    if let Some(weight) = number(matches, "blkio-weight")? {
        resources.block_io = Some(BlockIo {
            weight: Some(weight),
            ..BlockIo::default()
        });
    }
    Ok(resources)
}

fn pids(limit: i64) -> Pids {
    Pids { limit: Some(limit) }
}

/// A number of bytes: digits with an optional b, k, m, g, t (powers of 1024), or -1.
fn bytes(matches: &Matches, flag: &str) -> Result<Option<i64>, Failure> {
    let Some(text) = matches.value(flag) else {
        return Ok(None);
    };
    match parse_bytes(text) {
        Some(number) => Ok(Some(number)),
        None => Err(Failure::new(format!(
            "invalid value {text:?} for flag -{flag}: it must be bytes, such as 512m, or -1"
        ))),
    }
}

fn parse_bytes(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let power = match lower[digits.len()..]
        .trim_end_matches("ib")
        .trim_end_matches('b')
    {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<i64>().ok().filter(|_| plain)?;
    number.checked_mul(1024_i64.pow(power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Invocation, parse};

    fn check(line: &str, expect: &str) {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let (_, Ok(Invocation::Run { matches, .. })) = parse(&words) else {
            panic!("{line}")
        };
        let got = match from_flags(&matches) {
            Ok(resources) => serde_json::to_string(&resources).unwrap(),
            Err(failure) => failure.message,
        };
        assert_eq!(got, expect, "{line}");
    }

    #[test]
    fn flags_become_the_document() {
        check("update c1", "{}");
        check(
            "update --memory 32m --memory-swap -1 c1",
            r#"{"memory":{"limit":33554432,"swap":-1}}"#,
        );
        check(
            "update --cpu-quota -1 --cpu-share 100 c1",
            r#"{"cpu":{"shares":100,"quota":-1}}"#,
        );
        check(
            "update --pids-limit 10 --blkio-weight 500 c1",
            r#"{"pids":{"limit":10},"blockIO":{"weight":500}}"#,
        );
        check(
            "update --memory lots c1",
            "invalid value \"lots\" for flag -memory: it must be bytes, such as 512m, or -1",
        );
        check(
            "update --cpu-share x c1",
            "invalid value \"x\" for flag -cpu-share: it must be a number that fits",
        );
    }

    #[test]
    fn bytes_with_units() {
        for (text, expect) in [
            ("0", Some(0)),
            ("1k", Some(1024)),
            ("1KiB", Some(1024)),
            ("2G", Some(2 << 30)),
            ("3b", Some(3)),
            ("-1", Some(-1)),
            ("-2", None),
            ("", None),
            ("m", None),
            ("1x", None),
            ("9999999999999t", None),
        ] {
            assert_eq!(parse_bytes(text), expect, "{text:?}");
        }
    }
}
