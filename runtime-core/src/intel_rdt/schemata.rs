//! Whether a group's schemata are those that were asked for, whatever the spelling. Pure.

/// The first share of `asked` that `found` (the text of a `schemata` file) doesn't give, in words.
///
/// The kernel writes spaces and leading zeros, orders the domains itself and rounds memory bandwidth up to the step that
/// `step` gives for a resource; a domain that isn't asked for may have any value. Of a share that is asked for twice the last
/// counts, as it would when written.
pub(crate) fn difference(
    asked: &[String],
    found: &str,
    step: impl Fn(&str) -> Option<u64>,
) -> Option<String> {
    let have: Vec<_> = found.lines().flat_map(shares).collect();
    let wanted: Vec<_> = asked.iter().flat_map(|line| shares(line)).collect();
    for (index, want) in wanted.iter().enumerate() {
        if wanted[index + 1..].iter().any(|later| later.is_of(want)) {
            continue;
        }
        let Share {
            resource,
            domain,
            value,
        } = want;
        let Some(has) = have.iter().find(|has| has.is_of(want)) else {
            return Some(format!(
                "it has no {resource}:{domain}, {value} is asked for"
            ));
        };
        if !is_same(resource, value, has.value, &step) {
            return Some(format!(
                "{resource}:{domain} is {}, {value} is asked for",
                has.value
            ));
        }
    }
    None
}

/// One `DOMAIN=VALUE` of a line.
#[derive(Debug, Clone, Copy)]
struct Share<'a> {
    resource: &'a str,
    domain: &'a str,
    value: &'a str,
}

impl Share<'_> {
    fn is_of(&self, other: &Share<'_>) -> bool {
        let number = |text: &str| text.parse::<u64>().ok();
        self.resource == other.resource
            && (self.domain == other.domain
                || number(self.domain).is_some() && number(self.domain) == number(other.domain))
    }
}

fn shares(line: &str) -> impl Iterator<Item = Share<'_>> {
    let (resource, list) = line.split_once(':').unwrap_or((line, ""));
    list.split(';')
        .filter(|text| !text.trim().is_empty())
        .map(move |text| {
            let (domain, value) = text.split_once('=').unwrap_or((text, ""));
            Share {
                resource: resource.trim(),
                domain: domain.trim(),
                value: value.trim(),
            }
        })
}

fn is_same(resource: &str, want: &str, has: &str, step: impl Fn(&str) -> Option<u64>) -> bool {
    if want == has {
        return true;
    }
    // Bandwidth is a decimal number (MB, SMBA); all else is a mask.
    if resource.ends_with("MB") || resource.ends_with("MBA") {
        let (Ok(want), Ok(has)) = (want.parse::<u64>(), has.parse::<u64>()) else {
            return false;
        };
        let rounded = step(resource)
            .filter(|step| *step > 0)
            .and_then(|step| want.checked_next_multiple_of(step));
        return want == has || rounded == Some(has);
    }
    let mask = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        u64::from_str_radix(digits, 16).ok()
    };
    mask(want).is_some() && mask(want) == mask(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an 11-bit, two-socket machine writes it.
    const FOUND: &str = "    MB:0= 30;1=100\n    L3:0=7f0;1=01f\n";

    fn check(asked: &str, expect: &str) {
        let lines: Vec<_> = asked.split(' ').map(str::to_owned).collect();
        let step = |resource: &str| (resource == "MB").then_some(10);
        assert_eq!(
            difference(&lines, FOUND, step).unwrap_or_default(),
            expect,
            "{asked}"
        );
    }

    #[test]
    fn the_same_in_another_spelling() {
        check("L3:0=7f0;1=1f", "");
        check("L3:1=0x1F;0=7F0", "");
        check("MB:0=30", "");
        check("MB:0=25;1=100", "");
        check("L3:0=1;1=1f L3:0=7f0", "");
        check("L3:00=7f0", "");
        check("L3:", "");
    }

    #[test]
    fn others() {
        check("L3:0=7f0;1=f", "L3:1 is 01f, f is asked for");
        check("L3:2=f", "it has no L3:2, f is asked for");
        check("L2:0=f", "it has no L2:0, f is asked for");
        check("MB:0=31", "MB:0 is 30, 31 is asked for");
        check("MB:0=x", "MB:0 is 30, x is asked for");
        check("L3:0=7f0 L3:0=1", "L3:0 is 7f0, 1 is asked for");
        check("L3:0=", "L3:0 is 7f0,  is asked for");
    }

    #[test]
    fn without_a_step_bandwidth_is_exact() {
        assert!(difference(&["MB:0=25".to_owned()], FOUND, |_| None).is_some());
        assert!(difference(&["MB:0=25".to_owned()], FOUND, |_| Some(0)).is_some());
    }
}
