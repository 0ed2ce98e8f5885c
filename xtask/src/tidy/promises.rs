//! Every promise and every claim on safety names what holds it: a test that exists, or in words why there is none yet.

use super::dependencies::{code_spans, table_rows};
use super::tree::Tree;

/// The documents whose tables are held to this; the first must be there.
const PATHS: [&str; 3] = [
    "docs/promises.md",
    "docs/threat-model.md",
    "docs/rootless.md",
];
const NO_TEST: &str = "no test: ";

/// The last cell of each row holds code spans, each a test function, a conformance case or a file of the project; or it
/// begins with `no test: ` and gives the reason.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for path in PATHS {
        let Some(file) = tree.get(path) else {
            if path == PATHS[0] {
                findings.push(format!("{path} is missing"));
            }
            continue;
        };
        let rows = table_rows(&file.text);
        if rows.is_empty() {
            findings.push(format!("{path} has no table"));
        }
        let wrong = rows.iter().flat_map(|cells| row(tree, cells));
        findings.extend(wrong.map(|finding| format!("{path}: {finding}")));
    }
    findings
}

fn row(tree: &Tree, cells: &[String]) -> Vec<String> {
    let promise = cells.first().map(String::as_str).unwrap_or_default();
    let holder = cells.last().map(String::as_str).unwrap_or_default();
    if holder
        .strip_prefix(NO_TEST)
        .is_some_and(|reason| reason.len() >= 10)
    {
        return Vec::new();
    }
    let names = code_spans(holder);
    if names.is_empty() {
        return vec![format!(
            "\"{promise}\" names no test; write one, or `{NO_TEST}` and why"
        )];
    }
    names
        .iter()
        .filter(|name| !exists(tree, name))
        .map(|name| format!("\"{promise}\": there is no test, case or file {name}"))
        .collect()
}

fn exists(tree: &Tree, name: &str) -> bool {
    // `crate::module::test` is looked up by its last part.
    let function = name.rsplit("::").next().unwrap_or(name);
    let declared = [format!("fn {function}("), format!("\"{name}\"")];
    tree.paths.iter().any(|path| path == name)
        || tree.rust().any(|file| {
            !file.path.starts_with("xtask/src/tidy/promises")
                && declared.iter().any(|form| file.text.contains(form))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_names_its_holder() {
        let findings = |cell: &str| {
            let table =
                format!("| promise | figure | held by |\n|---|---|---|\n| small | 1 | {cell} |\n");
            let of = |path| {
                check(&Tree::of(&[
                    (
                        PATHS[0],
                        "| promise | held by |\n|---|---|\n| one | `stays_small` |\n",
                    ),
                    (path, &table),
                    ("a/tests/x.rs", "fn stays_small() {}\ncase(\"exec-tty\")"),
                ]))
                .len()
            };
            assert_eq!(of(PATHS[1]), of(PATHS[2]));
            of(PATHS[1])
        };
        assert_eq!(findings("`stays_small`"), 0);
        assert_eq!(findings("`a::stays_small`, `exec-tty`, `a/tests/x.rs`"), 0);
        assert_eq!(findings("no test: needs a second machine"), 0);
        assert_eq!(findings("`grows`"), 1);
        assert_eq!(findings("no test: "), 1);
        assert_eq!(findings("yes"), 1);
    }
}
