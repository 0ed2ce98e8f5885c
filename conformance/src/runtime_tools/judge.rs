//! From what a program wrote and how it ended to lines and counts, by the list of expected failures. Pure.

use super::expected::Failure;
use super::tap;

/// A program of the suite, ended.
pub struct Ended {
    pub name: String,
    /// None: it was killed at the time limit.
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, Default, PartialEq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub expected: usize,
    /// Results that the suite itself marks as skipped or to do.
    pub left_out: usize,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.expected += other.expected;
        self.left_out += other.left_out;
    }
}

/// Lines to print and what they count.
pub fn judge(ended: &Ended, list: &[Failure]) -> (Vec<String>, Counts) {
    let entries: Vec<&Failure> = list.iter().filter(|e| e.test == ended.name).collect();
    let mut used = vec![false; entries.len()];
    let mut counts = Counts::default();
    let mut lines = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for outcome in outcomes(ended, &mut counts.left_out) {
        let nth = 1 + seen
            .iter()
            .filter(|text| **text == outcome.description)
            .count();
        seen.push(outcome.description.clone());
        let listed = entries
            .iter()
            .position(|e| e.matches(&outcome.description, nth));
        let name = format!("{}: {}", ended.name, outcome.description);
        match (outcome.failure, listed.map(|at| (at, entries[at]))) {
            (None, Some((at, entry))) if entry.sometimes => {
                used[at] = true;
                counts.passed += 1;
            }
            (None, Some((at, entry))) => {
                used[at] = true;
                counts.failed += 1;
                lines.push(format!(
                    "FAIL {name}: passes, but is listed ({}): remove it from the list",
                    entry.reason
                ));
            }
            (None, None) => counts.passed += 1,
            (Some(_), Some((at, entry))) => {
                used[at] = true;
                counts.expected += 1;
                lines.push(format!("expected failure {name}: {}", entry.reason));
            }
            (Some(why), None) => {
                counts.failed += 1;
                lines.push(format!("FAIL {name}: {why}"));
            }
        }
    }
    for (entry, _) in entries
        .iter()
        .zip(used)
        .filter(|(entry, used)| !used && !entry.sometimes)
    {
        counts.failed += 1;
        lines.push(format!(
            "FAIL {}: {}: listed, but there is no such result",
            ended.name, entry.result
        ));
    }
    (lines, counts)
}

struct Outcome {
    description: String,
    failure: Option<String>,
}

/// The results, and one for the program's own end. A program that writes no result at all fails by its exit status
/// or by an error that it explains: many of the suite's programs do just that.
fn outcomes(ended: &Ended, left_out: &mut usize) -> Vec<Outcome> {
    let report = tap::parse(&ended.stdout);
    let silent = report.results.is_empty();
    let mut found = Vec::new();
    for result in report.results {
        if result.left_out {
            *left_out += 1;
            continue;
        }
        found.push(Outcome {
            failure: (!result.passed).then_some(result.detail),
            description: result.description,
        });
    }
    let told = short(&ended.stderr);
    let end = match (
        ended.status,
        report.complaint.filter(|_| silent),
        report.broken,
    ) {
        (None, ..) => Some(format!("still running at the time limit; stderr: {told}")),
        (Some(0), Some(complaint), _) => Some(complaint),
        (Some(0), None, Some(broken)) => Some(broken),
        (Some(0), None, None) => None,
        (Some(status), complaint, _) => Some(format!(
            "status {status}; {}{told}",
            complaint.unwrap_or_default()
        )),
    };
    if silent || end.is_some() {
        found.push(Outcome {
            description: "ends well".to_owned(),
            failure: end,
        });
    }
    found
}

fn short(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(result: &str) -> Failure {
        Failure {
            test: "t".to_owned(),
            result: result.to_owned(),
            runtime: "any".to_owned(),
            reason: "why".to_owned(),
            ..Failure::default()
        }
    }

    /// Passed, failed, expected and left out of a program `t`.
    fn check(
        stdout: &str,
        status: Option<i32>,
        list: &[Failure],
        expect: (usize, usize, usize, usize),
    ) {
        let ended = Ended {
            name: "t".to_owned(),
            status,
            stdout: stdout.to_owned(),
            stderr: "oh".to_owned(),
        };
        let (lines, counts) = judge(&ended, list);
        let seen = (
            counts.passed,
            counts.failed,
            counts.expected,
            counts.left_out,
        );
        assert_eq!(seen, expect, "{stdout} {status:?}: {lines:?}");
        assert_eq!(lines.len(), counts.failed + counts.expected, "{lines:?}");
    }

    const TWO: &str = "TAP version 13\nok 1 - a\nnot ok 2 - a\nok 3 # SKIP b\n1..3\n";

    #[test]
    fn results_are_counted() {
        check(TWO, Some(0), &[], (1, 1, 0, 1));
    }

    #[test]
    fn a_listed_failure_is_expected_and_a_listed_pass_is_stale() {
        check(TWO, Some(0), &[entry("a")], (0, 1, 1, 1));
        check(
            TWO,
            Some(0),
            &[Failure {
                nth: 2,
                ..entry("a")
            }],
            (1, 0, 1, 1),
        );
        check(
            TWO,
            Some(0),
            &[Failure {
                nth: 1,
                ..entry("a")
            }],
            (0, 2, 0, 1),
        );
    }

    #[test]
    fn a_race_may_pass() {
        let race = Failure {
            sometimes: true,
            ..entry("a")
        };
        check(TWO, Some(0), std::slice::from_ref(&race), (1, 0, 1, 1));
        check("TAP version 13\n1..0\n", Some(0), &[race], (1, 0, 0, 0));
    }

    #[test]
    fn an_entry_without_its_result_is_stale() {
        check(TWO, Some(0), &[entry("c")], (1, 2, 0, 1));
    }

    #[test]
    fn another_programs_entries_are_none_of_its_business() {
        let other = Failure {
            test: "u".to_owned(),
            ..entry("a")
        };
        check(TWO, Some(0), &[other], (1, 1, 0, 1));
    }

    #[test]
    fn silence_is_success_only_with_status_0_and_no_complaint() {
        check("TAP version 13\n1..0\n", Some(0), &[], (1, 0, 0, 0));
        check("", Some(0), &[], (1, 0, 0, 0));
        check("", Some(1), &[], (0, 1, 0, 0));
        check("", None, &[], (0, 1, 0, 0));
        check(
            "TAP version 13\n  ---\n  {\"error\": \"x\"}\n  ...\n1..0\n",
            Some(0),
            &[],
            (0, 1, 0, 0),
        );
        check(
            "TAP version 13\n  ---\n  {\"error\": \"x\"}\n  ...\n1..0\n",
            Some(0),
            &[entry("ends well")],
            (0, 0, 1, 0),
        );
    }

    #[test]
    fn good_results_do_not_hide_a_bad_end() {
        check(
            "TAP version 13\nok 1 - a\n1..1\n",
            Some(1),
            &[],
            (1, 1, 0, 0),
        );
        check("TAP version 13\nok 1 - a\n", Some(0), &[], (1, 1, 0, 0));
        check("TAP version 13\nok 1 - a\n1..1\n", None, &[], (1, 1, 0, 0));
    }
}
