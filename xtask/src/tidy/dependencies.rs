//! docs/dependencies.md names every foreign crate that one of ours imports directly, with its importers, and no other.

use super::crates::Metadata;
use super::tree::Tree;
use std::collections::BTreeMap;

const PATH: &str = "docs/dependencies.md";

/// Compares the table's first two columns (crate, used by) with cargo's metadata.
pub fn check(tree: &Tree, metadata: &Metadata) -> Vec<String> {
    let Some(file) = tree.get(PATH) else {
        return vec![format!("{PATH} is missing")];
    };
    let documented: BTreeMap<String, Vec<String>> = table_rows(&file.text)
        .into_iter()
        .filter_map(|cells| {
            Some((
                code_spans(cells.first()?).into_iter().next()?,
                sorted(code_spans(cells.get(1)?)),
            ))
        })
        .collect();
    let mut imported: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in &metadata.packages {
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| !dependency.local)
        {
            imported
                .entry(dependency.name.clone())
                .or_default()
                .push(package.name.clone());
        }
    }
    let mut findings = Vec::new();
    for (name, users) in imported {
        let users = sorted(users);
        match documented.get(&name) {
            None => findings.push(format!(
                "{name} (used by {}) has no line in {PATH}",
                users.join(", ")
            )),
            Some(listed) if *listed != users => {
                findings.push(format!(
                    "{name} is used by {}; {PATH} says {}",
                    users.join(", "),
                    listed.join(", ")
                ));
            }
            Some(_) => {}
        }
    }
    for name in documented.keys() {
        let used = metadata
            .packages
            .iter()
            .any(|package| package.dependencies.iter().any(|other| other.name == *name));
        if !used {
            findings.push(format!("{PATH} names {name}, which nobody imports"));
        }
    }
    findings
}

/// The cells of each row of every table in a Markdown text, without header rows and rules.
pub fn table_rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut in_body = false;
    for line in text.lines() {
        let Some(inner) = line
            .trim()
            .strip_prefix('|')
            .and_then(|rest| rest.strip_suffix('|'))
        else {
            in_body = false;
            continue;
        };
        if inner.chars().all(|character| "-:| ".contains(character)) {
            in_body = true;
        } else if in_body {
            rows.push(
                inner
                    .split('|')
                    .map(|cell| cell.trim().to_owned())
                    .collect(),
            );
        }
    }
    rows
}

/// What stands between backquotes in a cell.
pub fn code_spans(cell: &str) -> Vec<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::super::crates::tests::workspace;
    use super::*;

    const TABLE: &str =
        "| crate | used by | for |\n|---|---|---|\n| `serde` | `tare-oci`, `trun` | wire types |\n";

    fn findings(packages: &[(&str, &[&str])]) -> usize {
        check(&Tree::of(&[(PATH, TABLE)]), &workspace(packages)).len()
    }

    #[test]
    fn the_table_equals_the_metadata() {
        assert_eq!(
            findings(&[
                ("tare-oci", &["serde"]),
                ("trun", &["serde", "+tare-runtime"])
            ]),
            0
        );
        assert_eq!(findings(&[("tare-oci", &["serde"])]), 1, "a user too many");
        assert_eq!(
            findings(&[("tare-oci", &["serde", "log"]), ("trun", &["serde"])]),
            1,
            "log has no line"
        );
        assert_eq!(findings(&[("tare-oci", &[])]), 1, "serde is not used");
    }
}
