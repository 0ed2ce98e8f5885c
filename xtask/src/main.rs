//! `cargo xtask`: the chores that need more than a shell line. `tidy` holds the project's own rules, `goldens` writes the
//! golden plans anew, `trace` compares a strace of a real run with its plan, `dist` packs a release.
#![forbid(unsafe_code)]

mod dist;
mod goldens;
mod process;
mod tidy;
mod trace;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy | goldens [NAME] | trace | dist";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = workspace_root();
    let result = match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["goldens", names @ ..] => goldens::bless(&root, names),
        ["trace"] => trace::run(&root),
        ["dist"] => dist::run(&root),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The folder above this crate's own.
fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
