//! The list of expected differences: which case fails with a shim, and why that is right.

use std::path::Path;

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Difference {
    pub case: String,
    pub reason: String,
    /// A race: the case may pass too.
    pub sometimes: bool,
}

pub fn load(file: Option<&Path>) -> Result<Vec<Difference>, String> {
    let Some(path) = file else {
        return Ok(Vec::new());
    };
    let wrong = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    parse(&text).map_err(wrong)
}

/// Reads the small part of TOML that the list uses: `[[difference]]` tables of `key = "text"`.
fn parse(text: &str) -> Result<Vec<Difference>, String> {
    let mut list: Vec<Difference> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |what: &str| format!("line {}: {what}", index + 1);
        match (line, list.last_mut()) {
            ("", _) => {}
            (line, _) if line.starts_with('#') => {}
            ("[[difference]]", _) => list.push(Difference::default()),
            (_, None) => return Err(wrong("outside a [[difference]]")),
            (line, Some(entry)) => {
                let pair = line.split_once('=');
                let pair = pair.map(|(key, value)| (key.trim(), value.trim()));
                let quoted = pair.and_then(|(key, value)| {
                    Some((key, value.strip_prefix('"')?.strip_suffix('"')?))
                });
                match quoted.ok_or_else(|| wrong("not key = \"text\""))? {
                    ("case", value) => entry.case = value.to_owned(),
                    ("reason", value) => entry.reason = value.to_owned(),
                    ("sometimes", value) => entry.sometimes = value == "yes",
                    (other, _) => return Err(wrong(&format!("unknown key {other}"))),
                }
            }
        }
    }
    let known = |entry: &Difference| {
        let mut all = crate::cases::all().into_iter();
        all.any(|case| case.name == entry.case)
    };
    match list
        .iter()
        .find(|entry| entry.reason.is_empty() || !known(entry))
    {
        Some(entry) => Err(format!("{entry:?} has no reason, or names no case")),
        None => Ok(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_real_cases_once() {
        let list = parse(include_str!("../expected-go.toml")).unwrap();
        let mut names: Vec<&str> = list.iter().map(|entry| entry.case.as_str()).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn an_entry_without_reason_or_case_is_refused() {
        let name = &crate::cases::all()[0].name;
        assert!(parse(&format!("[[difference]]\ncase = \"{name}\"")).is_err());
        assert!(parse("[[difference]]\ncase = \"no/such\"\nreason = \"x\"").is_err());
    }
}
