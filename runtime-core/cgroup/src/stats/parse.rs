//! Parsers of statistics files. Pure; a line that makes no sense is left out.
use super::{BlkioEntry, Pressure, RdmaCounts, RdmaDevice, Stall};
use std::collections::BTreeMap;

/// `key value` lines.
pub(super) fn pairs(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_string(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// One number; `max` is u64::MAX.
pub(super) fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or(0),
    }
}

/// Numbers separated by spaces.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_ascii_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect()
}

/// `0-2,7`. The kernel lists upwards; what goes back is left out, so that no text gives more than there are numbers.
pub(super) fn list(text: &str) -> Vec<u16> {
    let mut all: Vec<u16> = Vec::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse::<u16>(), last.parse::<u16>())
            && all.last().is_none_or(|before| *before < first)
        {
            all.extend(first..=last);
        }
    }
    all
}

/// The table of cpuacct.usage_all: `cpu user system`; gives user and system by CPU.
pub(super) fn usage_all(text: &str) -> (Vec<u64>, Vec<u64>) {
    let row = |line: &str| match numbers(line).as_slice() {
        [_, user, system] => Some((*user, *system)),
        _ => None,
    };
    text.lines().skip(1).filter_map(row).unzip()
}

/// `some avg10=0.00 avg60=0.00 avg300=0.00 total=0` and `full ...`.
pub(super) fn pressure(text: &str) -> Option<Pressure> {
    let mut pressure = Pressure::default();
    let mut found = false;
    for line in text.lines() {
        let mut words = line.split(' ');
        let stall = match words.next() {
            Some("some") => &mut pressure.some,
            Some("full") => &mut pressure.full,
            _ => continue,
        };
        *stall = words.fold(Stall::default(), |mut stall, word| {
            match word.split_once('=') {
                Some(("avg10", value)) => stall.avg10 = value.parse().unwrap_or(0.0),
                Some(("avg60", value)) => stall.avg60 = value.parse().unwrap_or(0.0),
                Some(("avg300", value)) => stall.avg300 = value.parse().unwrap_or(0.0),
                Some(("total", value)) => stall.total = value.parse().unwrap_or(0),
                _ => {}
            }
            stall
        });
        found = true;
    }
    found.then_some(pressure)
}

/// v1: `8:0 Read 4096` or `8:0 4096`; the line `Total N` has no device and is left out.
pub(super) fn blkio(text: &str) -> Vec<BlkioEntry> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (device, op, value) = match words.as_slice() {
            [device, value] => (device, "", value),
            [device, op, value] => (device, *op, value),
            _ => return None,
        };
        let (major, minor) = device_number(device)?;
        Some(BlkioEntry {
            major,
            minor,
            op: op.to_string(),
            value: value.parse().ok()?,
        })
    };
    text.lines().filter_map(entry).collect()
}

/// v2: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`; gives bytes and operations.
pub(super) fn io(text: &str) -> (Vec<BlkioEntry>, Vec<BlkioEntry>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some((major, minor)) = words.next().and_then(device_number) else {
            continue;
        };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (to, op) = match key {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "dbytes" => (&mut bytes, "Discard"),
                "rios" => (&mut operations, "Read"),
                "wios" => (&mut operations, "Write"),
                "dios" => (&mut operations, "Discard"),
                _ => continue,
            };
            if let Ok(value) = value.parse() {
                to.push(BlkioEntry {
                    major,
                    minor,
                    op: op.to_string(),
                    value,
                });
            }
        }
    }
    (bytes, operations)
}

fn device_number(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// rdma.current and rdma.max: `mlx4_0 hca_handle=2 hca_object=2000`, `max` for no limit.
pub(super) fn rdma(current: &str, limit: &str) -> Vec<RdmaDevice> {
    let limits = rdma_lines(limit);
    let device = |(device, current): (String, RdmaCounts)| RdmaDevice {
        limit: limits.get(&device).copied().unwrap_or_default(),
        device,
        current,
    };
    rdma_lines(current).into_iter().map(device).collect()
}

fn rdma_lines(text: &str) -> BTreeMap<String, RdmaCounts> {
    let count = |value: &str| {
        if value == "max" {
            u32::MAX
        } else {
            value.parse().unwrap_or(0)
        }
    };
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let device = words.next()?.to_string();
        let counts = words.filter_map(|word| word.split_once('=')).fold(
            RdmaCounts::default(),
            |mut counts, (key, value)| {
                match key {
                    "hca_handle" => counts.hca_handles = count(value),
                    "hca_object" => counts.hca_objects = count(value),
                    _ => {}
                }
                counts
            },
        );
        Some((device, counts))
    };
    text.lines().filter_map(line).collect()
}

/// `hugepages-2048kB` is `2MB`.
pub(super) fn huge_page_size(directory: &str) -> Option<String> {
    let mut size: u64 = directory
        .strip_prefix("hugepages-")?
        .strip_suffix("kB")?
        .parse()
        .ok()
        .filter(|size| *size > 0)?;
    let mut units = ["KB", "MB", "GB", "TB"].iter();
    let mut unit = units.next()?;
    while size.is_multiple_of(1024) {
        let Some(larger) = units.next() else { break };
        (size, unit) = (size / 1024, larger);
    }
    Some(format!("{size}{unit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: std::fmt::Debug>(got: T, expect: &str) {
        assert_eq!(format!("{got:?}"), expect);
    }

    fn entries(all: &[BlkioEntry]) -> String {
        all.iter()
            .map(|entry| {
                format!(
                    "{}:{} {} {};",
                    entry.major, entry.minor, entry.op, entry.value
                )
            })
            .collect()
    }

    #[test]
    fn files() {
        check(pairs("a 1\nb x\n\nc 3 \n"), "{\"a\": 1, \"c\": 3}");
        check(number("max\n"), "18446744073709551615");
        check(list("0-2,7\n"), "[0, 1, 2, 7]");
        check(list("3-1,x,99999999\n"), "[]");
        check(list("4-5,4,5-6,6"), "[4, 5, 6]");
        check(list(&"0-65535,".repeat(100)).len(), "65536");
        check(
            usage_all("cpu user system\n0 10 20\n1 30 40\nbad\n"),
            "([10, 30], [20, 40])",
        );
        check(pressure(""), "None");
        let pressure = pressure("some avg10=1.50 avg60=0.00 avg300=0.25 total=42\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n").unwrap();
        check(
            (
                pressure.some.avg10,
                pressure.some.avg300,
                pressure.some.total,
                pressure.full.total,
            ),
            "(1.5, 0.25, 42, 7)",
        );
    }

    #[test]
    fn devices() {
        assert_eq!(
            entries(&blkio(
                "8:0 Read 4096\n8:0 Total 4096\nTotal 9\n8:16 7\n8 Read 1\n"
            )),
            "8:0 Read 4096;8:0 Total 4096;8:16  7;"
        );
        let (bytes, operations) =
            io("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=9\nx rbytes=1\n");
        assert_eq!(entries(&bytes), "8:0 Read 1;8:0 Write 2;8:0 Discard 5;");
        assert_eq!(
            entries(&operations),
            "8:0 Read 3;8:0 Write 4;8:0 Discard 6;"
        );
        let rdma = rdma(
            "m0 hca_handle=1 hca_object=2\n",
            "m0 hca_handle=5 hca_object=max\nm1 hca_handle=1\n",
        );
        check(
            rdma[0].limit,
            "RdmaCounts { hca_handles: 5, hca_objects: 4294967295 }",
        );
        check(rdma.len(), "1");
    }

    #[test]
    fn page_sizes() {
        check(huge_page_size("hugepages-2048kB"), "Some(\"2MB\")");
        check(huge_page_size("hugepages-1048576kB"), "Some(\"1GB\")");
        check(huge_page_size("hugepages-64kB"), "Some(\"64KB\")");
        check(huge_page_size("hugepages-0kB"), "None");
        check(huge_page_size("x"), "None");
    }
}
