//! Writes the golden plans anew: the test that compares them runs with `TARE_BLESS=1` and writes instead.

use crate::process;
use std::path::Path;

/// Blesses all goldens, or those whose name contains one of `names`; the diff is then for a person to review.
pub fn bless(root: &Path, names: &[&str]) -> Result<(), String> {
    let mut arguments = vec![
        "test",
        "--package",
        "tare-runtime",
        "--test",
        "goldens",
        "--",
    ];
    arguments.extend(names);
    process::run(root, &process::cargo(), &arguments, &[("TARE_BLESS", "1")])?;
    let changed = process::output(
        root,
        "git",
        &["status", "--short", "--", "runtime-core/tests/goldens"],
        &[],
    )?;
    let count = changed.lines().count();
    println!(
        "{changed}{count} golden files changed; read `git diff runtime-core/tests/goldens` before you commit them"
    );
    Ok(())
}
