//! Rules for Rust files: the module doc on line 1, the file budget, no unfinished code, unsafe only at its address.

use super::mask::code_only;
use super::tree::Tree;

const BUDGET: usize = 500;
const LONG_FILES: &str = "xtask/long-files.txt";

/// The only places where the keyword may stand; a trailing slash means the folder.
const UNSAFE_ADDRESSES: [&str; 3] = [
    "runtime-core/sys/",
    "runtime-core/src/spawn.rs",
    "bindings/",
];

/// The one attribute that names a symbol for the linker; it holds no unsafe code, but the keyword.
const SYMBOL: (&str, &str) = (
    "runtime-core/stage/src/bin/stage-init.rs",
    "#[unsafe(no_mangle)]",
);

/// Line 1 of every Rust file is its `//!` doc.
pub fn first_lines(tree: &Tree) -> Vec<String> {
    tree.rust()
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| format!("{}: line 1 is not a `//!` module doc", file.path))
        .collect()
}

/// A file over the budget needs a line `PATH: REASON` in the list, and the list names no file that does not need it.
pub fn budget(tree: &Tree) -> Vec<String> {
    let listed: Vec<(&str, &str)> = tree
        .get(LONG_FILES)
        .map(|file| {
            file.text
                .lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| line.split_once(": "))
                .collect()
        })
        .unwrap_or_default();
    let long: Vec<(&str, usize)> = tree
        .rust()
        .map(|file| (file.path.as_str(), file.text.lines().count()))
        .filter(|(_, lines)| *lines > BUDGET)
        .collect();
    let unlisted = long
        .iter()
        .filter(|(path, _)| {
            !listed
                .iter()
                .any(|(name, reason)| name == path && reason.trim().len() >= 10)
        })
        .map(|(path, lines)| {
            format!("{path}: {lines} lines; split it by job, or give the reason in {LONG_FILES}")
        });
    let stale = listed
        .iter()
        .filter(|(name, _)| !long.iter().any(|(path, _)| path == name))
        .map(|(name, _)| format!("{LONG_FILES}: {name} is not over {BUDGET} lines"));
    unlisted.chain(stale).collect()
}

/// No macro that stands for code to be written, and no ignored test without its reason.
pub fn unfinished(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (number, line) in code_only(&file.text).lines().enumerate() {
            for name in ["todo", "unimplemented", "dbg"] {
                if has_macro(line, name) {
                    findings.push(format!("{}:{}: {name}!", file.path, number + 1));
                }
            }
            if line.contains("#[ignore]") {
                findings.push(format!(
                    "{}:{}: an ignored test without `= \"reason\"`",
                    file.path,
                    number + 1
                ));
            }
        }
    }
    findings
}

/// The keyword `unsafe` stands only at its addresses.
pub fn unsafe_code(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| !may_be_unsafe(&file.path)) {
        for (number, line) in code_only(&file.text).lines().enumerate() {
            let is_symbol = (file.path.as_str(), line) == SYMBOL;
            if !is_symbol && words(line).any(|word| word == "unsafe") {
                findings.push(format!(
                    "{}:{}: unsafe outside {}",
                    file.path,
                    number + 1,
                    UNSAFE_ADDRESSES.join(", ")
                ));
            }
        }
    }
    findings
}

/// Whether a path lies at one of the addresses of unsafe code.
pub fn may_be_unsafe(path: &str) -> bool {
    UNSAFE_ADDRESSES.iter().any(|address| {
        if address.ends_with('/') {
            path.starts_with(address)
        } else {
            path == *address
        }
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|character: char| !character.is_alphanumeric() && character != '_')
}

fn has_macro(line: &str, name: &str) -> bool {
    let call = format!("{name}!");
    line.match_indices(&call).any(|(at, _)| {
        !line[..at].ends_with(|character: char| character.is_alphanumeric() || character == '_')
            && !line[at + call.len()..].starts_with('=')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Tree {
        Tree::of(&[("engine/src/lib.rs", text)])
    }

    #[test]
    fn line_one_is_a_doc() {
        assert!(first_lines(&one("//! Words.\n")).is_empty());
        assert_eq!(first_lines(&one("#![no_std]\n//! Words.\n")).len(), 1);
        assert_eq!(first_lines(&one("")).len(), 1);
    }

    #[test]
    fn unfinished_code_is_found_and_its_name_in_a_string_is_not() {
        assert_eq!(unfinished(&one("fn f() { todo!() }")).len(), 1);
        assert_eq!(
            unfinished(&one("fn f() { dbg!(1); std::unimplemented!() }")).len(),
            2
        );
        assert!(
            unfinished(&one(
                "// todo!()\nlet a = \"dbg!(1)\"; my_todo!(); if todo!=3 {}"
            ))
            .is_empty()
        );
        assert_eq!(unfinished(&one("#[ignore]\nfn f() {}")).len(), 1);
        assert!(unfinished(&one("#[ignore = \"needs cgroup v2\"]\nfn f() {}")).is_empty());
    }

    #[test]
    fn unsafe_has_an_address() {
        assert_eq!(unsafe_code(&one("let x = unsafe { y };")).len(), 1);
        assert!(unsafe_code(&one("#![forbid(unsafe_code)] // unsafe")).is_empty());
        assert!(unsafe_code(&Tree::of(&[SYMBOL])).is_empty());
        assert_eq!(unsafe_code(&one(SYMBOL.1)).len(), 1);
        assert!(
            unsafe_code(&Tree::of(&[("runtime-core/sys/src/clone.rs", "unsafe {}")])).is_empty()
        );
        assert_eq!(
            unsafe_code(&Tree::of(&[("runtime-core/src/spawn.rs.rs", "unsafe {}")])).len(),
            1
        );
    }

    #[test]
    fn a_long_file_needs_a_reason_and_a_reason_needs_a_long_file() {
        let long = "//! x\n".repeat(501);
        assert_eq!(budget(&one(&long)).len(), 1);
        let list = "# why\nengine/src/lib.rs: one table of system calls\n";
        assert!(
            budget(&Tree::of(&[
                ("engine/src/lib.rs", &long),
                (LONG_FILES, list)
            ]))
            .is_empty()
        );
        assert_eq!(
            budget(&Tree::of(&[
                ("engine/src/lib.rs", "//! x\n"),
                (LONG_FILES, list)
            ]))
            .len(),
            1
        );
    }
}
