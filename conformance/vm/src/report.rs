//! What a guest wrote on its second serial line: counts, and how it ended. No IO.

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn one_failure() -> Counts {
        Counts {
            failed: 1,
            ..Counts::default()
        }
    }

    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    pub fn shown(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// How a guest's last line says that all its suites ran: `guest: done`.
pub const END: &str = "guest: done";

/// Sums up; whatever is odd is a reason to fail. With a filter of cases a suite may have none.
pub fn judge(text: &str, suites: &[&str], filtered: bool) -> (Counts, Vec<String>) {
    let mut sum = Counts::default();
    let mut wrong = Vec::new();
    for suite in suites {
        let mark = format!("guest: suite {suite} exited ");
        let Some(status) = text.lines().find_map(|line| line.strip_prefix(&mark)) else {
            wrong.push(format!("the suite {suite} did not end"));
            continue;
        };
        let begin = format!("guest: suite {suite}");
        let lines = text
            .lines()
            .skip_while(|line| **line != *begin)
            .take_while(|line| !line.starts_with(&mark));
        let mut counts = Counts::default();
        lines.filter_map(count).for_each(|found| counts.add(found));
        if counts == Counts::default() {
            if filtered {
                continue;
            }
            wrong.push(format!("the suite {suite} printed no count"));
        } else if status.trim() != "0" && counts.failed == 0 {
            wrong.push(format!(
                "the suite {suite} exited {status} without a failed test"
            ));
        }
        sum.add(counts);
    }
    if !text.lines().any(|line| line == END) {
        wrong.push("the guest did not come to its end".into());
    }
    sum.failed += wrong.len() as u64;
    (sum, wrong)
}

/// `N passed, N failed, N skipped`, or libtest's `test result: ok. N passed; N failed; N ignored; ...`.
/// A test of ours that finds itself on the wrong host prints `skipped: REASON` and passes: it is no passed one.
fn count(line: &str) -> Option<Counts> {
    if line.starts_with("skipped: ") {
        return Some(Counts {
            skipped: 1,
            ..Counts::default()
        });
    }
    let line = line.strip_prefix("test result: ").map_or(line, |rest| {
        rest.split_once(". ").map_or(rest, |(_, counts)| counts)
    });
    let mut found = Counts::default();
    let mut seen = 0;
    for part in line.split([',', ';']) {
        let (number, word) = part.trim().split_once(' ')?;
        let Ok(number) = number.parse::<u64>() else {
            break;
        };
        match word {
            "passed" => found.passed = number,
            "failed" => found.failed = number,
            "skipped" | "ignored" => found.skipped = number,
            _ => break,
        }
        seen += 1;
    }
    (seen >= 2).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: (u64, u64, u64), reasons: &[&str]) {
        let (counts, wrong) = judge(text, &["a", "b"], false);
        assert_eq!((counts.passed, counts.failed, counts.skipped), expect);
        assert_eq!(wrong, reasons);
    }

    #[test]
    fn counts_of_both_kinds_are_summed() {
        check(
            "guest: suite a\n3 passed, 1 failed, 2 skipped\nguest: suite a exited 1\nguest: suite b\ntest result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\nguest: suite b exited 0\nguest: done\n",
            (7, 1, 3),
            &[],
        );
    }

    #[test]
    fn a_guest_that_stops_early_fails() {
        check(
            "guest: suite a\n3 passed, 0 failed\nguest: suite a exited 0\nguest: suite b\n1 pas",
            (3, 2, 0),
            &[
                "the suite b did not end",
                "the guest did not come to its end",
            ],
        );
    }

    #[test]
    fn a_suite_without_tests_fails() {
        check(
            "guest: suite a\nguest: suite a exited 0\nguest: suite b\n1 passed, 0 failed\nguest: suite b exited 2\nguest: done\n",
            (1, 2, 0),
            &[
                "the suite a printed no count",
                "the suite b exited 2 without a failed test",
            ],
        );
    }

    #[test]
    fn a_test_that_skips_itself_is_counted() {
        assert_eq!(count("skipped: no v2").unwrap().skipped, 1);
        assert_eq!(count("ok 12 passed, things"), None);
        assert_eq!(count("test a ... ok"), None);
    }
}
