//! `cargo xtask tidy`: the rules of this project that no compiler lint knows. Each check is a function from the tree (or
//! from cargo's metadata) to findings; an empty list is a pass.

mod absences;
mod crates;
mod dependencies;
mod elf;
mod links;
mod mask;
mod promises;
mod source;
mod stage;
mod tree;
mod words;

use std::path::Path;
use tree::Tree;

/// Runs every check and prints the findings; an error if there is any.
pub fn run(root: &Path) -> Result<(), String> {
    let tree = Tree::read(root)?;
    let metadata = crates::Metadata::read(root)?;
    let checks: Vec<(&str, Vec<String>)> = vec![
        ("crate edges", crates::edges(&metadata)),
        ("crate roots", crates::roots(&metadata)),
        ("dependencies.md", dependencies::check(&tree, &metadata)),
        ("line 1", source::first_lines(&tree)),
        ("file budget", source::budget(&tree)),
        ("unfinished code", source::unfinished(&tree)),
        ("unsafe", source::unsafe_code(&tree)),
        ("absences", absences::check(&tree)),
        ("words", words::check(&tree)),
        ("links", links::check(&tree)),
        ("promises", promises::check(&tree)),
        ("stage-init", stage::check(root, &metadata)),
    ];
    let mut count = 0;
    for (name, findings) in &checks {
        for finding in findings {
            println!("{name}: {finding}");
        }
        count += findings.len();
    }
    if count > 0 {
        return Err(format!("tidy: {count} findings"));
    }
    println!(
        "tidy: {} checks, {} files, nothing found",
        checks.len(),
        tree.files.len()
    );
    Ok(())
}
