//! config.json to the end: read, planned, checked, rendered, lowered, decoded, and every failure of its steps worded.
//!
//! The first line names a host of the goldens and options; what isn't a host or an option is passed over.
use crate::hosts;
use tare_runtime::plan::facts::{HostFacts, PlanOptions};
use tare_runtime::plan::ir::Plan;
use tare_runtime::plan::{check, plan};
use tare_runtime::{config, doors};

/// Runs one document.
pub fn run(bytes: &[u8]) {
    planned(bytes);
}

/// Runs one document; gives the number of steps of the plan that was made of it.
pub fn planned(bytes: &[u8]) -> Option<usize> {
    let (line, document) = super::head(bytes);
    let (facts, options) = surroundings(&line);
    let spec = match config::load(document) {
        Ok(spec) => spec,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    match plan(&spec, &facts, &options) {
        Err(error) => {
            assert!(
                !error.reason.is_empty() && !error.path.is_empty(),
                "{error:?}"
            );
            None
        }
        Ok(made) => {
            assert_eq!(plan(&spec, &facts, &options).as_ref(), Ok(&made));
            proved(&made, document.len());
            Some(made.host.len() + made.child.len())
        }
    }
}

/// A host and options from words.
pub fn surroundings(line: &str) -> (HostFacts, PlanOptions) {
    let words = || line.split_whitespace();
    let mut facts = words()
        .find_map(hosts::host)
        .or_else(|| hosts::host("v2"))
        .expect("v2 is a host of the list");
    let known: Vec<&str> = words()
        .filter(|word| hosts::options(word).is_ok())
        .collect();
    let options = hosts::options(&known.join(" ")).expect("each word is known");
    if words().any(|word| word == "everything") {
        (facts.apparmor, facts.selinux) = (true, true);
        facts.resctrl = Some("/sys/fs/resctrl".to_owned());
    }
    (facts, options)
}

/// What holds for every plan that was made of this many bytes.
pub fn proved(made: &Plan, length: usize) {
    assert_eq!(check(made), Ok(()), "{made}");
    let steps = made.host.len() + made.child.len();
    // A document's shortest entry that is a step of its own is a character of a list; some entries are a dozen steps.
    assert!(steps <= 256 + length, "{steps} steps of {length} bytes");
    let text = made.to_string();
    let lines = text.lines().filter(|line| line.starts_with("  ")).count();
    assert_eq!(lines, steps + made.skips.len(), "{text}");
    assert!(
        text.len() <= (64 << 10) + 64 * length,
        "a text of {} bytes from {length}",
        text.len()
    );
    let program = doors::round_trip(made);
    assert!(
        program <= (128 << 10) + 64 * length,
        "a program of {program} bytes from {length}"
    );
    for step in [0, 1, made.child.len() / 2, made.child.len(), usize::MAX - 1] {
        for (errno, detail) in [(2, 0), (13, 1), (1, 0xff01), (0, u32::MAX), (4095, 128)] {
            assert!(!doors::failure(made, step, errno, detail).is_empty());
        }
    }
}
