//! Block IO. Pure.
use super::{Current, Out};
use crate::{Refusal, Setting, Skip};
use tare_oci::{BlockIo, Resources, ThrottleDevice};

const JSON: &str = "linux.resources.blockIO";

pub(super) fn v1(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(io) = &resources.block_io else {
        return Ok(());
    };
    if let Some(weight) = weight(io.weight, "weight")? {
        out.settings.push(
            Setting::new("blkio.weight", weight, format!("{JSON}.weight"))
                .or("blkio.bfq.weight", weight),
        );
    }
    if let Some(weight) = weight(io.leaf_weight, "leafWeight")? {
        out.settings.push(Setting::new(
            "blkio.leaf_weight",
            weight,
            format!("{JSON}.leafWeight"),
        ));
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        let number = number(
            device.major,
            device.minor,
            &format!("weightDevice[{index}]"),
        )?;
        if let Some(weight) = weight(device.weight, &format!("weightDevice[{index}].weight"))? {
            let value = format!("{number} {weight}");
            let setting = Setting::new(
                "blkio.weight_device",
                &value,
                format!("{JSON}.weightDevice[{index}].weight"),
            );
            out.settings
                .push(setting.or("blkio.bfq.weight_device", value));
        }
        if let Some(weight) = weight(
            device.leaf_weight,
            &format!("weightDevice[{index}].leafWeight"),
        )? {
            let json = format!("{JSON}.weightDevice[{index}].leafWeight");
            out.settings.push(Setting::new(
                "blkio.leaf_weight_device",
                format!("{number} {weight}"),
                json,
            ));
        }
    }
    for throttle in throttles(io) {
        for (index, device) in throttle.devices.iter().enumerate() {
            let at = format!("{}[{index}]", throttle.key);
            let value = format!(
                "{} {}",
                number(device.major, device.minor, &at)?,
                device.rate
            );
            out.settings
                .push(Setting::new(throttle.v1, value, format!("{JSON}.{at}")));
        }
    }
    Ok(())
}

pub(super) fn v2(resources: &Resources, _: &Current, out: &mut Out) -> Result<(), Refusal> {
    let Some(io) = &resources.block_io else {
        return Ok(());
    };
    let leaf = io.leaf_weight.is_some_and(|weight| weight != 0)
        || io
            .weight_device
            .iter()
            .any(|device| device.leaf_weight.is_some_and(|weight| weight != 0));
    if leaf {
        out.skips.push(Skip::new(
            format!("{JSON}.leafWeight"),
            "cgroup v2 has no leaf weight; runc ignores it there too",
        ));
    }
    if let Some(weight) = weight(io.weight, "weight")? {
        out.settings.push(
            Setting::new("io.bfq.weight", weight, format!("{JSON}.weight"))
                .or("io.weight", converted(weight)),
        );
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        let number = number(
            device.major,
            device.minor,
            &format!("weightDevice[{index}]"),
        )?;
        if let Some(weight) = weight(device.weight, &format!("weightDevice[{index}].weight"))? {
            let setting = Setting::new(
                "io.bfq.weight",
                format!("{number} {weight}"),
                format!("{JSON}.weightDevice[{index}].weight"),
            );
            out.settings
                .push(setting.or("io.weight", format!("{number} {}", converted(weight))));
        }
    }
    for throttle in throttles(io) {
        for (index, device) in throttle.devices.iter().enumerate() {
            let at = format!("{}[{index}]", throttle.key);
            // v1 lifts a limit by 0, v2 by a word.
            let rate = if device.rate == 0 {
                "max".to_string()
            } else {
                device.rate.to_string()
            };
            let value = format!(
                "{} {}={rate}",
                number(device.major, device.minor, &at)?,
                throttle.v2
            );
            out.settings
                .push(Setting::new("io.max", value, format!("{JSON}.{at}")));
        }
    }
    Ok(())
}

struct Throttle<'a> {
    key: &'static str,
    v1: &'static str,
    v2: &'static str,
    devices: &'a [ThrottleDevice],
}

fn throttles(io: &BlockIo) -> [Throttle<'_>; 4] {
    [
        Throttle {
            key: "throttleReadBpsDevice",
            v1: "blkio.throttle.read_bps_device",
            v2: "rbps",
            devices: &io.throttle_read_bps_device,
        },
        Throttle {
            key: "throttleWriteBpsDevice",
            v1: "blkio.throttle.write_bps_device",
            v2: "wbps",
            devices: &io.throttle_write_bps_device,
        },
        Throttle {
            key: "throttleReadIOPSDevice",
            v1: "blkio.throttle.read_iops_device",
            v2: "riops",
            devices: &io.throttle_read_iops_device,
        },
        Throttle {
            key: "throttleWriteIOPSDevice",
            v1: "blkio.throttle.write_iops_device",
            v2: "wiops",
            devices: &io.throttle_write_iops_device,
        },
    ]
}

/// io.weight's 1 to 10000 from 10 to 1000, linearly.
pub(crate) fn converted(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

fn weight(value: Option<u16>, key: &str) -> Result<Option<u16>, Refusal> {
    match value {
        None | Some(0) => Ok(None),
        Some(value) if (10..=1000).contains(&value) => Ok(Some(value)),
        Some(value) => Err(Refusal::new(
            format!("{JSON}.{key}"),
            format!("{value} is outside of 10 to 1000"),
        )),
    }
}

fn number(major: i64, minor: i64, key: &str) -> Result<String, Refusal> {
    if major < 0 || minor < 0 {
        return Err(Refusal::new(
            format!("{JSON}.{key}"),
            format!("{major}:{minor} is no device number"),
        ));
    }
    Ok(format!("{major}:{minor}"))
}
