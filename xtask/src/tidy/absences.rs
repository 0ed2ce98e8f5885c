//! Invariants of absence: what a folder's code never mentions. Tests, examples and build scripts may.

use super::mask::code_only;
use super::tree::Tree;

/// Folders, the words that their code never holds, and why.
const ABSENT: [(&[&str], &[&str], &str); 3] = [
    (
        &["runtime-core/", "shim/wire/"],
        &["print!", "println!", "eprint!", "eprintln!"],
        "the library never prints",
    ),
    (
        &["runtime-core/"],
        &[
            "env::var",
            "env::args",
            "env::home_dir",
            "env::temp_dir",
            "env::current_dir",
            "env::set_",
        ],
        "the library never reads or changes the environment, argv or the working directory",
    ),
    (
        &[
            "runtime-core/oci/",
            "runtime-core/seccomp/",
            "runtime-core/src/plan/",
            "shim/wire/",
        ],
        &[
            "std::fs",
            "std::net",
            "std::process",
            "std::thread",
            "std::time",
            "std::env",
            "rustix::",
        ],
        "pure code: no IO, no clock, no environment",
    ),
];

/// Searches the code of each folder, without comments and strings.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !is_test_or_build(&file.path)) {
        let words: Vec<(&str, &str)> = ABSENT
            .iter()
            .filter(|(folders, ..)| folders.iter().any(|folder| file.path.starts_with(folder)))
            .flat_map(|(_, words, why)| words.iter().map(|word| (*word, *why)))
            .collect();
        let code = code_only(&file.text);
        // A test module is the last item of its file.
        for (number, line) in code
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .enumerate()
        {
            for (word, why) in words.iter().filter(|(word, _)| holds(line, word)) {
                findings.push(format!("{}:{}: {word}: {why}", file.path, number + 1));
            }
        }
    }
    findings
}

fn is_test_or_build(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.contains("/tests/")
        || path.contains("_tests/")
        || path.contains("/examples/")
        || name == "build.rs"
        || name == "testing.rs"
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_quiet_and_its_plan_is_pure() {
        let count = |path: &str, text: &str| check(&Tree::of(&[(path, text)])).len();
        assert_eq!(
            count(
                "runtime-core/src/host.rs",
                "println!(\"x\"); std::env::var(\"HOME\");"
            ),
            2
        );
        assert_eq!(
            count("runtime-core/src/host.rs", "use std::fs; // println!"),
            0
        );
        assert_eq!(
            count(
                "runtime-core/src/plan/mounts.rs",
                "use std::fs;\nuse rustix::fs::stat;"
            ),
            2
        );
        assert_eq!(
            count(
                "runtime-core/src/plan/mounts.rs",
                "use std::fmt;\n#[cfg(test)]\nmod t { use std::fs; }"
            ),
            0
        );
        assert_eq!(count("runtime-core/cgroup/tests/x.rs", "println!()"), 0);
        assert_eq!(
            count("runtime-core/src/stage_tests/support.rs", "println!()"),
            0
        );
        assert_eq!(count("runtime-cli/src/main.rs", "println!()"), 0);
    }
}
