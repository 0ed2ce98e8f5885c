//! Device rules as lines for v1's `devices.deny` and `devices.allow`. Pure.
//!
//! The kernel keeps a default and a list of exceptions from it, and takes an exception away only if it is named exactly.
//! So the rules are folded into that form here; what the form can't express is refused.
use super::{Kind, MKNOD, Rule};
use crate::Refusal;

/// One line for one of the two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `devices.allow` or else `devices.deny`.
    pub allow: bool,
    /// Such as `c 1:3 rwm`, or `a`.
    pub text: String,
    /// JSON path of the rule it comes from.
    pub json: String,
}

/// Turns [`super::effective`] rules into lines for a fresh cgroup.
pub(crate) fn lines(rules: &[Rule]) -> Result<Vec<Line>, Refusal> {
    let (allow, exceptions, json) = fold(rules)?;
    let mut lines = vec![Line {
        allow,
        text: "a".to_string(),
        json,
    }];
    lines.extend(exceptions.iter().map(|rule| Line {
        allow: !allow,
        text: rule.to_string(),
        json: rule.json(),
    }));
    Ok(lines)
}

/// The default, the exceptions from it, and the JSON path that the default comes from.
pub(crate) fn fold(rules: &[Rule]) -> Result<(bool, Vec<Rule>, String), Refusal> {
    let mut allow = false;
    let mut exceptions: Vec<Rule> = Vec::new();
    let mut reset_json = "linux.resources.devices".to_string();
    for rule in rules {
        if rule.is_everything() {
            allow = rule.allow;
            exceptions.clear();
            reset_json = rule.json();
            continue;
        }
        for part in split(rule) {
            if part.allow == allow {
                take_away(&mut exceptions, &part)?;
            } else {
                add(&mut exceptions, part);
            }
        }
    }
    widen(&mut exceptions);
    Ok((allow, exceptions, reset_json))
}

/// The files know `a` only as everything: a narrower rule for both types is two.
fn split(rule: &Rule) -> impl Iterator<Item = Rule> {
    let kinds: &[Kind] = match rule.kind {
        Kind::Any => &[Kind::Char, Kind::Block],
        Kind::Block => &[Kind::Block],
        Kind::Char => &[Kind::Char],
    };
    let rule = *rule;
    kinds.iter().map(move |kind| Rule {
        kind: *kind,
        ..rule
    })
}

fn add(exceptions: &mut Vec<Rule>, rule: Rule) {
    let same = |known: &&mut Rule| {
        (known.kind, known.major, known.minor) == (rule.kind, rule.major, rule.minor)
    };
    match exceptions.iter_mut().find(same) {
        Some(known) => known.access |= rule.access,
        None => exceptions.push(rule),
    }
}

fn take_away(exceptions: &mut Vec<Rule>, rule: &Rule) -> Result<(), Refusal> {
    for known in exceptions.iter_mut() {
        if rule.covers(known) {
            // All of it: of two that say the same the later one was dropped, and the bits that it decides are not live in this one.
            known.access &= !rule.access;
        } else if rule.overlaps(known) && rule.live & known.access != 0 {
            let (verb, opposite) = if rule.allow {
                ("allow", "deny")
            } else {
                ("deny", "allow")
            };
            let why = format!(
                "cgroup v1 can't {verb} {rule} out of the wider rule that {opposite}s {known}; name the devices of that rule one by one"
            );
            return Err(Refusal::new(rule.json(), why));
        }
    }
    exceptions.retain(|known| known.access != 0);
    Ok(())
}

/// An open for reading and writing is matched against one exception only: each gets what wider ones add to it, and where `1:*` and
/// `*:2` cross, `1:2` becomes one of its own. Making a node is never asked for together with either, so that bit stays where it was.
fn widen(exceptions: &mut Vec<Rule>) {
    let mut crossings = Vec::new();
    for rule in exceptions.iter().filter(|rule| rule.minor.is_none()) {
        for other in exceptions.iter().filter(|other| other.major.is_none()) {
            let crossing = Rule {
                major: rule.major,
                minor: other.minor,
                access: (rule.access | other.access) & !MKNOD,
                ..*rule
            };
            if crossing.access != 0
                && rule.overlaps(other)
                && !rule.covers(other)
                && !other.covers(rule)
            {
                crossings.push(crossing);
            }
        }
    }
    crossings
        .into_iter()
        .for_each(|crossing| add(exceptions, crossing));
    for at in 0..exceptions.len() {
        let rule = exceptions[at];
        let wider = exceptions.iter().filter(|wider| wider.covers(&rule));
        exceptions[at].access =
            wider.fold(rule.access, |bits, wider| bits | (wider.access & !MKNOD));
    }
}
