//! The list of expected differences: which case fails with which runtime, and why that is right.

use std::path::Path;

const BUILT_IN: [&str; 2] = [
    include_str!("../expected-differences.toml"),
    include_str!("../expected-differences-crun.toml"),
];

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Difference {
    pub case: String,
    /// Names of runtimes, as `--runtime-name` has them.
    pub runtime: String,
    pub reason: String,
    /// A race: the case may pass too.
    pub sometimes: bool,
}

impl Difference {
    pub fn holds_for(&self, case: &str, runtime: &str) -> bool {
        self.case == case && self.runtime.split(' ').any(|name| name == runtime)
    }
}

/// Reads the list from `file`, or the one built in.
pub fn load(file: Option<&Path>) -> Result<Vec<Difference>, String> {
    match file {
        None => built_in(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            parse(&text).map_err(|error| format!("{}: {error}", path.display()))
        }
    }
}

fn built_in() -> Result<Vec<Difference>, String> {
    let lists: Result<Vec<_>, String> = BUILT_IN.iter().map(|text| parse(text)).collect();
    Ok(lists?.concat())
}

/// Reads the small part of TOML that the list uses: `[[difference]]` tables of `key = "text"`.
fn parse(text: &str) -> Result<Vec<Difference>, String> {
    let mut list: Vec<Difference> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "[[difference]]" {
            list.push(Difference::default());
            continue;
        }
        let entry = list
            .last_mut()
            .ok_or_else(|| format!("line {}: outside a [[difference]]", index + 1))?;
        let (key, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line {}: not key = \"text\"", index + 1))?;
        let value = value
            .trim()
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        let value = value
            .ok_or_else(|| format!("line {}: the value is not in quotes", index + 1))?
            .to_owned();
        match key.trim() {
            "case" => entry.case = value,
            "runtime" => entry.runtime = value,
            "reason" => entry.reason = value,
            "sometimes" => entry.sometimes = value == "yes",
            other => return Err(format!("line {}: unknown key {other}", index + 1)),
        }
    }
    match list
        .iter()
        .find(|entry| entry.case.is_empty() || entry.runtime.is_empty() || entry.reason.is_empty())
    {
        Some(entry) => Err(format!("{entry:?} lacks case, runtime or reason")),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_is_whole_and_names_real_cases() {
        for difference in built_in().unwrap() {
            assert!(
                crate::suites::all()
                    .iter()
                    .any(|case| case.name == difference.case),
                "{difference:?}"
            );
        }
    }

    #[test]
    fn no_case_is_listed_twice_for_one_runtime() {
        let mut seen = std::collections::BTreeSet::new();
        for difference in built_in().unwrap() {
            for runtime in difference.runtime.split(' ') {
                assert!(
                    seen.insert((difference.case.clone(), runtime.to_owned())),
                    "{difference:?}"
                );
            }
        }
    }

    #[test]
    fn an_entry_without_reason_is_refused() {
        assert!(parse("[[difference]]\ncase = \"a/b\"\nruntime = \"runc\"").is_err());
    }
}
