//! A plan as text: what `trun plan` prints, what the goldens hold, what an error message calls a step.
//!
//! One step a line, verb first; `$name` is a slot, `->` what a step fills, `# path` where in config.json it comes from, and
//! `or on ERRNO: ...` the alternative. Bulky values (filters) are told by their size.
use super::ir::{ChildOp, ChildStep, HostOp, Plan, Slot, SlotInfo};
use super::{render_child, render_host};
use std::fmt::{self, Write};
use tare_sys::Errno;

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.title)?;
        writeln!(out, "host")?;
        for (index, step) in self.host.iter().enumerate() {
            line(out, index, &self.host_text(&step.op), &step.from)?;
        }
        writeln!(out, "child")?;
        for (index, step) in self.child.iter().enumerate() {
            line(out, index, &self.child_text(step), &step.from)?;
        }
        for (index, skip) in self.skips.iter().enumerate() {
            if index == 0 {
                writeln!(out, "skip")?;
            }
            writeln!(out, "  {}: {}", skip.what, skip.reason)?;
        }
        Ok(())
    }
}

fn line(out: &mut fmt::Formatter<'_>, index: usize, text: &str, from: &str) -> fmt::Result {
    write!(out, "  {:02} {text}", index + 1)?;
    if from.is_empty() {
        writeln!(out)
    } else {
        writeln!(out, "  # {from}")
    }
}

impl Plan {
    /// One step of the host lane, like `write maps uid 0:100000:65536 gid 0:100000:65536`.
    pub fn host_text(&self, op: &HostOp) -> String {
        let mut text = String::new();
        render_host::write(op, &Names(&self.slots), &mut text);
        text
    }

    /// One step of the child lane with its alternative, like `mount proc on /proc nosuid,nodev,noexec`.
    pub fn child_text(&self, step: &ChildStep) -> String {
        let mut text = self.child_op_text(&step.op);
        if let Some(alternative) = &step.alternative {
            let on: Vec<String> = alternative
                .on
                .iter()
                .map(|errno| Errno::new(*errno).to_string())
                .collect();
            let _ = write!(
                text,
                " | or on {}: {}",
                on.join(","),
                self.child_op_text(&alternative.op)
            );
        }
        text
    }

    /// One operation of the child lane: what an error message names.
    pub fn child_op_text(&self, op: &ChildOp) -> String {
        let mut text = String::new();
        render_child::write(op, &Names(&self.slots), &mut text);
        text
    }
}

/// Slots by name.
pub(super) struct Names<'a>(&'a [SlotInfo]);

impl Names<'_> {
    pub(super) fn of(&self, slot: Slot) -> String {
        match self.0.get(usize::from(slot.0)) {
            Some(info) => format!("${}", info.name),
            None => format!("${}", slot.0),
        }
    }
}

/// A text as it is where that can't be misread, else quoted and escaped.
pub(super) fn word(text: &str) -> String {
    let plain = |character: char| {
        character.is_ascii_graphic() && !matches!(character, '"' | '\\' | '#' | '|')
    };
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("{text:?}")
    }
}

/// Words separated by spaces.
pub(super) fn words(texts: &[String]) -> String {
    texts
        .iter()
        .map(|text| word(text))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A mask in 64-bit words as a list of its bits: `0-3,7`.
pub(super) fn bits(mask: &[u64]) -> String {
    let set = |bit: usize| {
        mask.get(bit / 64)
            .is_some_and(|word| word >> (bit % 64) & 1 == 1)
    };
    let mut ranges = Vec::new();
    let mut bit = 0;
    while bit < mask.len() * 64 {
        if !set(bit) {
            bit += 1;
            continue;
        }
        let first = bit;
        while set(bit + 1) {
            bit += 1;
        }
        ranges.push(if first == bit {
            first.to_string()
        } else {
            format!("{first}-{bit}")
        });
        bit += 1;
    }
    if ranges.is_empty() {
        "none".to_owned()
    } else {
        ranges.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_could_be_misread_are_quoted() {
        for (text, expect) in [
            ("/bin/sh", "/bin/sh"),
            ("a=b,c:d", "a=b,c:d"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a\nb", "\"a\\nb\""),
            ("#x", "\"#x\""),
            ("é", "\"é\""),
        ] {
            assert_eq!(word(text), expect);
        }
    }

    #[test]
    fn masks() {
        for (mask, expect) in [
            (vec![], "none"),
            (vec![0], "none"),
            (vec![0x8f], "0-3,7"),
            (vec![1 << 63, 1], "63-64"),
            (vec![0, u64::MAX], "64-127"),
        ] {
            assert_eq!(bits(&mask), expect);
        }
    }
}
