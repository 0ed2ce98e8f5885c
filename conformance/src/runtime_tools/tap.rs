//! Reads what a program of the validation suite wrote: the Test Anything Protocol. Pure text to results.

/// Everything that one program said.
#[derive(Debug, Default, PartialEq)]
pub struct Report {
    pub results: Vec<TapResult>,
    /// The `error` of an explanation that no result stands before: how some programs tell of a failure.
    pub complaint: Option<String>,
    /// What the stream promised and did not keep.
    pub broken: Option<String>,
}

#[derive(Debug, Default, PartialEq, Clone)]
pub struct TapResult {
    pub passed: bool,
    /// Marked SKIP or TODO: the suite itself does not hold it against a runtime.
    pub left_out: bool,
    pub description: String,
    /// Explanations and comments that follow, one line.
    pub detail: String,
}

pub fn parse(text: &str) -> Report {
    let mut report = Report::default();
    let mut stream = Stream::default();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line.trim()) {
            (Some(body), "...") => {
                let body = std::mem::take(body);
                block = None;
                explain(&mut report, &body);
            }
            (Some(body), inner) => body.push_str(inner),
            (None, "---") => block = Some(String::new()),
            (None, trimmed) => stream.line(&mut report, trimmed),
        }
    }
    if block.is_some() {
        report.broken = Some("an explanation has no end".to_owned());
    }
    stream.end(&mut report);
    report
}

/// One program may write several streams, each with its header and plan.
#[derive(Default)]
struct Stream {
    begun: bool,
    seen: usize,
    planned: Option<usize>,
}

impl Stream {
    fn line(&mut self, report: &mut Report, line: &str) {
        if line.starts_with("TAP version ") {
            self.end(report);
            *self = Self {
                begun: true,
                ..Self::default()
            };
        } else if let Some(count) = line.strip_prefix("1..") {
            self.planned = count.parse().ok();
        } else if let Some(comment) = line.strip_prefix("# ") {
            append(report.results.last_mut(), comment);
        } else if let Some(result) = result(line) {
            self.seen += 1;
            report.results.push(result);
        }
    }

    fn end(&self, report: &mut Report) {
        let broken = match self.planned {
            Some(planned) if planned != self.seen => {
                Some(format!("{planned} results planned, {} written", self.seen))
            }
            None if self.begun => Some("no plan: the program stopped before its end".to_owned()),
            _ => None,
        };
        report.broken = report.broken.take().or(broken);
    }
}

/// `ok 3 - text`, `not ok 3 # TODO text`, `ok 3 # SKIP why`.
fn result(line: &str) -> Option<TapResult> {
    let (passed, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    let rest = rest.strip_prefix(' ').or(rest.is_empty().then_some(""))?;
    let rest = rest
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start();
    let description = rest.strip_prefix("- ").unwrap_or(rest);
    let directive = rest
        .trim_start_matches('#')
        .trim_start()
        .to_ascii_uppercase();
    Some(TapResult {
        passed,
        left_out: rest.starts_with('#')
            && (directive.starts_with("SKIP") || directive.starts_with("TODO")),
        description: description.to_owned(),
        detail: String::new(),
    })
}

fn explain(report: &mut Report, body: &str) {
    match report.results.last_mut() {
        None => {
            let value: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
            if let Some(error) = value["error"].as_str() {
                report.complaint = Some(error.replace('\n', " "));
            }
        }
        last => append(last, body),
    }
}

fn append(result: Option<&mut TapResult>, text: &str) {
    if let Some(result) = result {
        if !result.detail.is_empty() {
            result.detail.push_str("; ");
        }
        result.detail.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, results: &[(bool, bool, &str)], complaint: Option<&str>, broken: bool) {
        let report = parse(text);
        let seen: Vec<(bool, bool, &str)> = report
            .results
            .iter()
            .map(|r| (r.passed, r.left_out, r.description.as_str()))
            .collect();
        assert_eq!(seen, results, "{text}");
        assert_eq!(report.complaint.as_deref(), complaint, "{text}");
        assert_eq!(
            report.broken.is_some(),
            broken,
            "{text}: {:?}",
            report.broken
        );
    }

    #[test]
    fn results_and_directives() {
        check(
            "TAP version 13\nok 1 - has a name\nnot ok 2 - has a home\nok 3 # SKIP no linux\nnot ok 4 # TODO later\n1..4\n",
            &[
                (true, false, "has a name"),
                (false, false, "has a home"),
                (true, true, "# SKIP no linux"),
                (false, true, "# TODO later"),
            ],
            None,
            false,
        );
    }

    #[test]
    fn words_that_only_begin_like_results_are_none() {
        check(
            "TAP version 13\nokay\nnot okay\nnothing\n1..0\n",
            &[],
            None,
            false,
        );
    }

    #[test]
    fn a_result_without_number_or_text_counts() {
        check(
            "ok\nnot ok\n",
            &[(true, false, ""), (false, false, "")],
            None,
            false,
        );
    }

    #[test]
    fn a_hash_inside_a_description_is_no_directive() {
        check(
            "ok 1 - hook #0 ran # SKIP\n1..1\n",
            &[(true, false, "hook #0 ran # SKIP")],
            None,
            false,
        );
    }

    #[test]
    fn an_explanation_belongs_to_the_result_before_it() {
        let report = parse(
            "not ok 1 - a\n  ---\n  {\n    \"error\": \"not ok 7 - x\"\n  }\n  ...\n# told\n1..1\n",
        );
        assert_eq!(report.results.len(), 1);
        assert_eq!(
            report.results[0].detail,
            "{\"error\": \"not ok 7 - x\"}; told"
        );
        assert_eq!(report.complaint, None);
    }

    #[test]
    fn an_error_without_a_result_is_a_complaint() {
        check(
            "TAP version 13\n  ---\n  {\n    \"error\": \"hooks in order\"\n  }\n  ...\n1..0\n",
            &[],
            Some("hooks in order"),
            false,
        );
    }

    #[test]
    fn an_explanation_before_the_first_result_need_not_be_an_error() {
        check(
            "TAP version 13\n  ---\n  {\"stdout\": \"x\"}\n  ...\nok 1 - a\n1..1\n",
            &[(true, false, "a")],
            None,
            false,
        );
    }

    #[test]
    fn plans_are_kept_or_broken() {
        check(
            "TAP version 13\nok 1 - a\n1..2\n",
            &[(true, false, "a")],
            None,
            true,
        );
        check(
            "TAP version 13\nok 1 - a\n",
            &[(true, false, "a")],
            None,
            true,
        );
        check(
            "TAP version 13\nok 1 - a\n  ---\n  {\n",
            &[(true, false, "a")],
            None,
            true,
        );
        check("", &[], None, false);
    }

    #[test]
    fn two_streams_of_one_program_are_added() {
        check(
            "TAP version 13\nok 1 - a\n1..1\nTAP version 13\nok 1 - b\n1..1\n",
            &[(true, false, "a"), (true, false, "b")],
            None,
            false,
        );
        check(
            "TAP version 13\nok 1 - a\nTAP version 13\nok 1 - b\n1..1\n",
            &[(true, false, "a"), (true, false, "b")],
            None,
            true,
        );
    }
}
