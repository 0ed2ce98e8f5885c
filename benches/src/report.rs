//! The report: how each section's part looks, the table of goals, and the files of one run.

use crate::arguments::Options;
use crate::samples::{Sample, csv};
use crate::statistics::Estimate;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

/// What a section has to say, made of samples alone.
pub struct Part {
    /// The heading.
    pub title: &'static str,
    /// Markdown.
    pub text: String,
    /// The figures that have a goal.
    pub goals: Vec<Goal>,
    /// File names and SVG.
    pub plots: Vec<(String, String)>,
}

/// Where a figure should be.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Limit {
    /// Not above.
    AtMost(f64),
    /// Not below.
    AtLeast(f64),
}

/// A figure with its goal.
pub struct Goal {
    figure: String,
    limit: Limit,
    unit: &'static str,
    value: Estimate,
}

impl Goal {
    /// `unit` is `x` for a ratio.
    pub fn new(figure: String, limit: Limit, unit: &'static str, value: Estimate) -> Goal {
        Goal {
            figure,
            limit,
            unit,
            value,
        }
    }

    fn verdict(&self) -> &'static str {
        let within = |value: f64| match self.limit {
            Limit::AtMost(most) => value <= most,
            Limit::AtLeast(least) => value >= least,
        };
        let ends = [self.value.low, self.value.high].map(within);
        match (within(self.value.value), ends) {
            (true, [true, true]) => "yes",
            (true, _) => "yes, but the interval holds the limit",
            (false, [false, false]) => "NO",
            (false, _) => "no, but the interval holds the limit",
        }
    }
}

/// A figure that has no interval.
pub fn exact(value: f64) -> Estimate {
    Estimate {
        value,
        low: value,
        high: value,
    }
}

/// `0.23 [0.21, 0.44]`, or nothing where nothing was measured.
pub fn estimate(figure: Estimate) -> String {
    if figure.value.is_nan() {
        return String::new();
    }
    if figure.low == figure.value && figure.high == figure.value {
        return short(figure.value);
    }
    format!(
        "{} [{}, {}]",
        short(figure.value),
        short(figure.low),
        short(figure.high)
    )
}

/// Two digits behind the point where they say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count that is only worth a look when there is something.
pub fn unless_zero(count: usize) -> String {
    if count == 0 {
        String::new()
    } else {
        count.to_string()
    }
}

/// The goals of all parts, then each part.
pub fn markdown(parts: &[Part]) -> String {
    let mut out = String::new();
    let goals = parts.iter().flat_map(|part| &part.goals);
    let known: Vec<&Goal> = goals.filter(|goal| !goal.value.value.is_nan()).collect();
    if !known.is_empty() {
        out.push_str("## Goals\n\n| figure | goal | measured [95 %] | met |\n|---|---|---|---|\n");
    }
    for goal in known {
        let (sign, limit) = match goal.limit {
            Limit::AtMost(most) => ("<=", most),
            Limit::AtLeast(least) => (">=", least),
        };
        let _ = writeln!(
            out,
            "| {} | {sign} {limit} {} | {} | {} |",
            goal.figure,
            goal.unit,
            estimate(goal.value),
            goal.verdict()
        );
    }
    for part in parts {
        let _ = write!(out, "\n## {}\n\n{}", part.title, part.text);
        for (file, _) in &part.plots {
            let _ = write!(out, "\n![{}]({file})\n", part.title);
        }
    }
    out
}

/// Writes `samples.csv`, `machine.json`, `README.md` and the plots to the folder of this run.
pub fn write(
    options: &Options,
    samples: &[Sample],
    machine: &Value,
    parts: &[Part],
) -> Result<(), String> {
    let notes = format!(
        "# Bench of {}\n\n{}\nMachine: [machine.json](machine.json). Raw data: [samples.csv](samples.csv).\n",
        machine["date"].as_str().unwrap_or_default(),
        markdown(parts)
    );
    let folder = &options.results;
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files = vec![
        ("samples.csv".to_owned(), csv(samples)),
        ("machine.json".to_owned(), format!("{machine:#}\n")),
        ("README.md".to_owned(), notes),
    ];
    files.extend(parts.iter().flat_map(|part| part.plots.clone()));
    for (name, content) in files {
        let path = folder.join(name);
        fs::write(&path, content).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    eprintln!("raw data: {}", folder.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(limit: Limit, low: f64, value: f64, high: f64) -> &'static str {
        Goal::new(String::new(), limit, "x", Estimate { value, low, high }).verdict()
    }

    #[test]
    fn a_verdict_says_how_sure_it_is() {
        let most = Limit::AtMost(0.5);
        assert_eq!(verdict(most, 0.3, 0.4, 0.45), "yes");
        assert!(verdict(most, 0.3, 0.4, 0.6).starts_with("yes, but"));
        assert!(verdict(most, 0.4, 0.6, 0.7).starts_with("no, but"));
        assert_eq!(verdict(most, 0.55, 0.6, 0.7), "NO");
        assert_eq!(verdict(Limit::AtLeast(2.0), 2.1, 2.5, 3.0), "yes");
        assert_eq!(verdict(Limit::AtLeast(2.0), 1.0, 1.5, 1.9), "NO");
    }

    #[test]
    fn what_was_not_measured_has_no_goal_and_the_rest_is_a_row() {
        let goal = |value| Goal::new("size".to_owned(), Limit::AtMost(2.0), "MB", exact(value));
        let part = Part {
            title: "Sizes",
            text: "words\n".to_owned(),
            goals: vec![goal(1.5), goal(f64::NAN)],
            plots: vec![("a.svg".to_owned(), String::new())],
        };
        assert_eq!(
            markdown(&[part]),
            "## Goals\n\n| figure | goal | measured [95 %] | met |\n|---|---|---|---|\n\
             | size | <= 2 MB | 1.50 | yes |\n\n## Sizes\n\nwords\n\n![Sizes](a.svg)\n"
        );
    }
}
