//! Writes settings and device rules into an open cgroup; a refusal of the kernel names the value, the file and, where it is known, what
//! to do.
use crate::directory::Directory;
use crate::step::{Missing, Setting};
use crate::{Error, devices};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;

/// Writes settings in order; those that may have to wait for a later one are tried again at the end.
pub(crate) fn write_settings(
    directory: &Directory,
    settings: &[Setting],
    not_enabled: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let mut again = Vec::new();
    for setting in settings {
        match write_one(directory, setting) {
            Err(Error::Write {
                errno: Errno::INVAL,
                ..
            }) if setting.again => again.push(setting),
            Err(error) => return Err(explain(error, setting, not_enabled)),
            Ok(()) => {}
        }
    }
    again
        .into_iter()
        .try_for_each(|setting| write_one(directory, setting))
}

fn write_one(directory: &Directory, setting: &Setting) -> Result<(), Error> {
    let errno = match (
        directory.write(&setting.file, &setting.value),
        &setting.missing,
    ) {
        (Ok(()), _) | (Err(Errno::NOENT), Missing::Skip) => return Ok(()),
        (Err(Errno::NOENT), Missing::Instead { file, value }) => match directory.write(file, value)
        {
            Ok(()) => return Ok(()),
            Err(errno) => errno,
        },
        (Err(errno), _) => errno,
    };
    Err(Error::Write {
        json: setting.json.clone(),
        value: setting.value.clone(),
        path: directory.file(&setting.file),
        errno,
        hint: hint(directory, setting, errno),
    })
}

fn hint(directory: &Directory, setting: &Setting, errno: Errno) -> String {
    match (setting.file.as_ref(), errno) {
        ("memory.limit_in_bytes" | "memory.max", Errno::BUSY) => {
            let number = |file: &str| directory.read(file).unwrap_or_default().trim().to_string();
            let (usage, peak) = (
                number("memory.usage_in_bytes"),
                number("memory.max_usage_in_bytes"),
            );
            format!(
                "; unable to set memory limit to {} (current usage: {usage}, peak usage: {peak})",
                setting.value
            )
        }
        ("memory.memsw.limit_in_bytes" | "memory.swap.max", Errno::NOENT) => {
            "; this kernel doesn't account swap (swapaccount=1)".to_string()
        }
        ("memory.memsw.limit_in_bytes", Errno::INVAL) => {
            "; memory plus swap can't be below the memory limit".to_string()
        }
        ("cpu.rt_runtime_us", Errno::INVAL) => {
            "; the parent cgroup has no realtime runtime to give".to_string()
        }
        ("cpuset.cpus" | "cpuset.mems", Errno::INVAL | Errno::RANGE | Errno::ACCESS) => {
            "; not within what the parent cgroup or the machine has".to_string()
        }
        ("cpu.cfs_quota_us" | "cpu.cfs_period_us", Errno::INVAL) => {
            "; out of the kernel's range (1ms to 1s) or more than the parent cgroup has".to_string()
        }
        (_, Errno::ACCESS | Errno::PERM) => {
            "; this cgroup isn't delegated to the caller".to_string()
        }
        _ => String::new(),
    }
}

/// An absent v2 file often means that its controller could not be enabled: says so.
fn explain(error: Error, setting: &Setting, not_enabled: &BTreeMap<String, String>) -> Error {
    match error {
        Error::Write {
            json,
            value,
            path,
            errno: errno @ (Errno::NOENT | Errno::ACCESS | Errno::PERM),
            hint,
        } => {
            let controller = setting.file.split('.').next().unwrap_or("");
            let hint = match not_enabled.get(controller) {
                Some(why) => {
                    format!("; the controller {controller} could not be enabled above it: {why}")
                }
                None => hint,
            };
            Error::Write {
                json,
                value,
                path,
                errno,
                hint,
            }
        }
        other => other,
    }
}

pub(crate) fn apply_devices(directory: &Directory, rules: &devices::Rules) -> Result<(), Error> {
    match rules {
        devices::Rules::V1(lines) => {
            let mut opened = None;
            for line in lines {
                let file = if line.allow {
                    "devices.allow"
                } else {
                    "devices.deny"
                };
                write_kept(directory, file, &mut opened, &line.text).map_err(|errno| {
                    Error::Write {
                        json: line.json.clone(),
                        value: line.text.clone(),
                        path: directory.file(file),
                        errno,
                        hint: if errno == Errno::PERM {
                            "; the parent cgroup doesn't allow that device".to_string()
                        } else {
                            String::new()
                        },
                    }
                })?;
            }
            Ok(())
        }
        devices::Rules::V2(rules) => devices::attach(directory, rules),
    }
}

/// Writes to a file that stays open for the next line: there are a dozen of them, and opening costs more than writing.
fn write_kept<'a>(
    directory: &Directory,
    name: &'a str,
    opened: &mut Option<(&'a str, OwnedFd)>,
    text: &str,
) -> Result<(), Errno> {
    // One at a time: there may be no descriptor left for a second one.
    opened.take_if(|(open, _)| *open != name);
    let (_, fd) = match opened {
        Some(opened) => opened,
        None => opened.insert((name, directory.open_file(name, OFlags::WRONLY)?)),
    };
    rustix::io::retry_on_intr(|| rustix::io::write(&*fd, text.as_bytes())).map(drop)
}
