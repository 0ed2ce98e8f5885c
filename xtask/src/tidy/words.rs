//! Words that no file of ours may hold: paths of one machine and host names of package registries.

use super::tree::Tree;

/// Written by cargo, not by us.
const GENERATED: [&str; 4] = [
    "Cargo.lock",
    "benches/compare/Cargo.lock",
    "conformance/cri/Cargo.lock",
    "shim/wire/oracle/Cargo.lock",
];

/// Searches every text file.
pub fn check(tree: &Tree) -> Vec<String> {
    let forbidden = forbidden();
    let mut findings = Vec::new();
    for file in tree
        .files
        .iter()
        .filter(|file| !GENERATED.contains(&file.path.as_str()))
    {
        for (number, line) in file.text.lines().enumerate() {
            for (word, why) in &forbidden {
                if line.contains(word.as_str()) {
                    findings.push(format!("{}:{}: {why}: {word}", file.path, number + 1));
                }
            }
        }
    }
    findings
}

/// Put together from halves, so that this file passes its own check.
fn forbidden() -> Vec<(String, &'static str)> {
    const MACHINE: &str = "a path of one machine";
    const HOST: &str = "a host name of a package registry";
    let halves = [
        ("/work", "/main", MACHINE),
        ("/work", "/shared", MACHINE),
        ("/work", "/.", MACHINE),
        ("/tmp", "/tare/", MACHINE),
        ("/root", "/.", MACHINE),
        ("/home", "/runner", MACHINE),
        ("crates", ".io", HOST),
        ("pypi", ".org", HOST),
        ("pythonhosted", ".org", HOST),
        ("npmjs", ".org", HOST),
        ("deb.debian", ".org", HOST),
        ("security.debian", ".org", HOST),
        ("snapshot.debian", ".org", HOST),
        ("proxy.golang", ".org", HOST),
        ("static.rust-lang", ".org", HOST),
    ];
    halves
        .iter()
        .map(|(left, right, why)| (format!("{left}{right}"), *why))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_found_and_this_file_holds_none() {
        for (word, _) in forbidden() {
            let line = format!("see {word} for more\n");
            assert_eq!(check(&Tree::of(&[("docs/a.md", &line)])).len(), 1, "{word}");
            assert!(check(&Tree::of(&[("Cargo.lock", &line)])).is_empty());
        }
        assert!(
            check(&Tree::of(&[(
                "xtask/src/tidy/words.rs",
                include_str!("words.rs")
            )]))
            .is_empty()
        );
    }
}
