//! Device rules: from `linux.resources.devices` to what the kernel takes. Pure, but for [`attach`].
//!
//! The meaning, on every hierarchy: nothing is allowed at first; the rules are read in order and for each of read, write and
//! mknod the last rule that matches the device decides. The devices that every container needs are appended, as runc does.
pub(crate) mod bpf;
pub(crate) mod v1;

use crate::directory::Directory;
use crate::{Error, Refusal};
use rustix::fd::AsRawFd;
use std::fmt;
use tare_oci::DeviceRule;
use tare_sys::Fd;

/// Which device files a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both.
    Any,
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// Bit of [`Rule::access`]: mknod.
pub const MKNOD: u8 = 1;
/// Bit of [`Rule::access`]: read.
pub const READ: u8 = 2;
/// Bit of [`Rule::access`]: write.
pub const WRITE: u8 = 4;
const ALL: u8 = MKNOD | READ | WRITE;

/// A decided rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// Type.
    pub kind: Kind,
    /// None is any.
    pub major: Option<u32>,
    /// None is any.
    pub minor: Option<u32>,
    /// [`MKNOD`], [`READ`], [`WRITE`].
    pub access: u8,
    /// The bits of `access` that no later rule decides anyway.
    live: u8,
    /// Index in `linux.resources.devices`; None for the appended defaults.
    index: Option<usize>,
}

/// The rules in the form that a hierarchy takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Rules {
    /// Lines for `devices.deny` and `devices.allow`.
    V1(Vec<v1::Line>),
    /// For the eBPF program.
    V2(Vec<Rule>),
}

/// Most rules of a config: each is compared with all others. Docker's `--privileged` gives one, a host with all its disks some hundreds.
const MOST: usize = 8192;

/// Reads the rules, adds the default ones and drops what changes nothing. The first of the result is about every device.
pub(crate) fn effective(rules: &[DeviceRule]) -> Result<Vec<Rule>, Refusal> {
    if rules.len() > MOST {
        let why = format!("has {} rules, and at most {MOST} are read", rules.len());
        return Err(Refusal::new("linux.resources.devices".to_owned(), why));
    }
    let mut all = Vec::with_capacity(rules.len() + 13);
    all.push(Rule {
        allow: false,
        kind: Kind::Any,
        major: None,
        minor: None,
        access: ALL,
        live: ALL,
        index: None,
    });
    for (index, rule) in rules.iter().enumerate() {
        all.push(parse(index, rule)?);
    }
    all.extend(default_rules());
    for at in 0..all.len() {
        let rule = all[at];
        let later = all[at + 1..].iter().filter(|later| later.covers(&rule));
        all[at].live = rule.access & !later.fold(0, |bits, later| bits | later.access);
    }
    all.retain(|rule| rule.live != 0);
    let mut kept: Vec<Rule> = Vec::with_capacity(all.len());
    for rule in all {
        if !is_said(&kept, &rule) {
            kept.push(rule);
        }
    }
    Ok(kept)
}

/// Whether the rules before it say the same: one that covers it, and nothing to the contrary since.
fn is_said(before: &[Rule], rule: &Rule) -> bool {
    for earlier in before.iter().rev() {
        if earlier.allow != rule.allow && earlier.overlaps(rule) && earlier.access & rule.live != 0
        {
            return false;
        }
        if earlier.allow == rule.allow && earlier.covers(rule) && rule.live & !earlier.access == 0 {
            return true;
        }
    }
    false
}

/// mknod of anything, and use of null, random, full, tty, zero, urandom, pseudo-terminals, ptmx and tun.
fn default_rules() -> impl Iterator<Item = Rule> {
    let char = |major, minor, access| Rule {
        allow: true,
        kind: Kind::Char,
        major,
        minor,
        access,
        live: access,
        index: None,
    };
    let any_node = char(None, None, MKNOD);
    let nodes = [(1, 3), (1, 8), (1, 7), (5, 0), (1, 5), (1, 9)]
        .map(|(major, minor)| char(Some(major), Some(minor), ALL));
    let terminals = [
        char(Some(136), None, ALL),
        char(Some(5), Some(2), ALL),
        char(Some(10), Some(200), ALL),
    ];
    [
        any_node,
        Rule {
            kind: Kind::Block,
            ..any_node
        },
    ]
    .into_iter()
    .chain(nodes)
    .chain(terminals)
}

fn parse(index: usize, rule: &DeviceRule) -> Result<Rule, Refusal> {
    let refuse = |key: &str, why: String| {
        Refusal::new(format!("linux.resources.devices[{index}].{key}"), why)
    };
    let kind = match rule.kind.as_str() {
        "" | "a" => Kind::Any,
        "b" => Kind::Block,
        "c" => Kind::Char,
        other => {
            return Err(refuse(
                "type",
                format!("invalid cgroup device type {other:?}; a, b and c are the choices"),
            ));
        }
    };
    let number = |key: &str, value: Option<i64>| match value {
        None | Some(-1) => Ok(None),
        Some(value) if (0..=i64::from(i32::MAX)).contains(&value) => Ok(Some(value as u32)),
        Some(value) => Err(refuse(
            key,
            format!("{value} is no device number; -1 stands for any"),
        )),
    };
    let mut access = 0;
    for letter in rule.access.chars() {
        access |= match letter {
            'm' => MKNOD,
            'r' => READ,
            'w' => WRITE,
            other => {
                return Err(refuse(
                    "access",
                    format!("{other:?} in {:?}; r, w and m are the choices", rule.access),
                ));
            }
        };
    }
    let access = if access == 0 { ALL } else { access };
    let (major, minor) = (number("major", rule.major)?, number("minor", rule.minor)?);
    Ok(Rule {
        allow: rule.allow,
        kind,
        major,
        minor,
        access,
        live: access,
        index: Some(index),
    })
}

/// Loads the rules as a program and makes it the cgroup's only one.
pub(crate) fn attach(directory: &Directory, rules: &[Rule]) -> Result<(), Error> {
    let program = bpf::program(rules);
    let cgroup = Fd::new(directory.fd().as_raw_fd());
    tare_sys::bpf::set_cgroup_devices(cgroup, &program, &mut []).map_err(|errno| Error::Write {
        json: "linux.resources.devices".to_string(),
        value: format!("{} rules", rules.len()),
        path: format!("{} (eBPF)", directory.path()),
        errno: rustix::io::Errno::from_raw_os_error(errno.get()),
        hint: "; device rules on cgroup v2 need CAP_SYS_ADMIN on the host, before Linux 6.9 CAP_NET_ADMIN too, and a kernel with CONFIG_CGROUP_BPF".to_string(),
    })
}

impl Rule {
    /// Whether it matches every device that the other one matches.
    fn covers(&self, other: &Rule) -> bool {
        (self.kind == Kind::Any || self.kind == other.kind)
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    /// Whether there is a device that both match.
    fn overlaps(&self, other: &Rule) -> bool {
        let same =
            |one: Option<u32>, two: Option<u32>| one.is_none() || two.is_none() || one == two;
        (self.kind == Kind::Any || other.kind == Kind::Any || self.kind == other.kind)
            && same(self.major, other.major)
            && same(self.minor, other.minor)
    }

    fn is_everything(&self) -> bool {
        self.kind == Kind::Any && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }

    /// `rwm` letters of a set of bits.
    pub(crate) fn letters(access: u8) -> String {
        [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')]
            .iter()
            .filter(|(bit, _)| access & bit != 0)
            .map(|(_, letter)| *letter)
            .collect()
    }

    fn json(&self) -> String {
        self.index
            .map_or("linux.resources.devices".to_string(), |index| {
                format!("linux.resources.devices[{index}]")
            })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: Option<u32>| value.map_or("*".to_string(), |value| value.to_string());
        let kind = match self.kind {
            Kind::Any => 'a',
            Kind::Block => 'b',
            Kind::Char => 'c',
        };
        write!(
            out,
            "{kind} {}:{} {}",
            number(self.major),
            number(self.minor),
            Rule::letters(self.access)
        )
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rules::V1(lines) => write!(out, "{} rules", lines.len()),
            Rules::V2(rules) => write!(out, "{} rules in eBPF", rules.len()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
