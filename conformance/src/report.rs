//! What the run prints: one line a case, the totals, and JUnit XML.

use crate::case::Verdict;
use crate::expected::Difference;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// A case as it ended, after the list of expected differences was applied.
pub struct Line {
    pub name: String,
    pub kind: Kind,
    pub detail: String,
    pub took: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Passed,
    Failed,
    Skipped,
    /// Failed as the list says it does.
    Expected,
}

/// Judges a verdict by the reason listed for this case and runtime, if any.
pub fn judge(name: &str, verdict: Verdict, listed: Option<&Difference>, took: Duration) -> Line {
    let (kind, detail) = match (verdict, listed) {
        (
            Verdict::Passed,
            None
            | Some(Difference {
                sometimes: true, ..
            }),
        ) => (Kind::Passed, String::new()),
        (Verdict::Passed, Some(Difference { reason, .. })) => (
            Kind::Failed,
            format!(
                "passes, but is listed as an expected difference ({reason}): remove it from the list"
            ),
        ),
        (Verdict::Harmed(what), _) => (Kind::Failed, format!("harm: {what}")),
        (Verdict::Failed(_), Some(listed)) => (Kind::Expected, listed.reason.clone()),
        (Verdict::Failed(message), None) => (Kind::Failed, message),
        (Verdict::Skipped(reason), _) => (Kind::Skipped, reason),
    };
    Line {
        name: name.to_owned(),
        kind,
        detail,
        took,
    }
}

impl Line {
    pub fn text(&self) -> String {
        match self.kind {
            Kind::Passed => format!("ok {} ({} ms)", self.name, self.took.as_millis()),
            Kind::Failed => format!(
                "FAIL {}: {}",
                self.name,
                self.detail.replace('\n', "\n     ")
            ),
            Kind::Expected => format!("expected difference {}: {}", self.name, self.detail),
            Kind::Skipped => format!("skipped {}: {}", self.name, self.detail),
        }
    }
}

/// The last line. An expected difference is neither a failure nor a pass: it counts as skipped.
pub fn totals(lines: &[Line]) -> String {
    let count = |kinds: &[Kind]| {
        lines
            .iter()
            .filter(|line| kinds.contains(&line.kind))
            .count()
    };
    format!(
        "{} passed, {} failed, {} skipped",
        count(&[Kind::Passed]),
        count(&[Kind::Failed]),
        count(&[Kind::Skipped, Kind::Expected])
    )
}

pub fn write_junit(path: &Path, runtime: &str, lines: &[Line]) -> std::io::Result<()> {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let failed = lines
        .iter()
        .filter(|line| line.kind == Kind::Failed)
        .count();
    let _ = writeln!(
        xml,
        "<testsuite name=\"conformance {runtime}\" tests=\"{}\" failures=\"{failed}\">",
        lines.len()
    );
    for line in lines {
        let (class, name) = line.name.split_once('/').unwrap_or(("", &line.name));
        let _ = write!(
            xml,
            "  <testcase classname=\"{class}\" name=\"{name}\" time=\"{:.3}\"",
            line.took.as_secs_f64()
        );
        let tag = match line.kind {
            Kind::Passed => {
                xml.push_str("/>\n");
                continue;
            }
            Kind::Failed => "failure",
            Kind::Skipped | Kind::Expected => "skipped",
        };
        let _ = writeln!(
            xml,
            "><{tag} message=\"{}\"/></testcase>",
            escape(&line.detail)
        );
    }
    xml.push_str("</testsuite>\n");
    std::fs::write(path, xml)
}

fn escape(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            '"' => "&quot;".to_owned(),
            '\n' => "&#10;".to_owned(),
            c if c.is_control() => "?".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_case_that_passes_fails_the_run() {
        let line = judge(
            "a/b",
            Verdict::Passed,
            Some(&Difference {
                reason: "old".to_owned(),
                ..Difference::default()
            }),
            Duration::ZERO,
        );
        assert_eq!(line.kind, Kind::Failed);
        assert_eq!(totals(&[line]), "0 passed, 1 failed, 0 skipped");
    }
}
