//! The built `stage-init`: small, static, and without a trace of panics or allocation.

use super::crates::Metadata;
use super::elf;
use crate::process;
use std::fs;
use std::path::Path;

const SIZE_LIMIT: u64 = 100 * 1024;

/// Parts of symbol names that show a panic path or an allocator. The panic handler itself is dropped by the linker when
/// nothing can reach it, so its symbol shows a path too.
const SYMBOLS: [&str; 7] = [
    "panicking",
    "rust_begin_unwind",
    "panic_fmt",
    "__rust_alloc",
    "__rust_realloc",
    "alloc_error",
    "unwrap_failed",
];

/// Messages that only a panic prints.
const MESSAGES: [&str; 5] = [
    "panicked at",
    "called `Option::",
    "called `Result::",
    "index out of bounds",
    "attempt to ",
];

/// Builds the binary twice, stripped for its size and with symbols for the scan.
pub fn check(root: &Path, metadata: &Metadata) -> Vec<String> {
    if metadata.target("tare-stage", "bin", "stage-init").is_none() {
        return vec!["tare-stage has no binary target stage-init".to_owned()];
    }
    let result = build(root, "symbols").and_then(|scan| Ok((scan, build(root, "none")?)));
    match result {
        Ok((stripped, with_symbols)) => findings(&stripped, &with_symbols),
        Err(message) => vec![message],
    }
}

fn findings(stripped: &[u8], with_symbols: &[u8]) -> Vec<String> {
    let mut findings = Vec::new();
    if stripped.len() as u64 > SIZE_LIMIT {
        findings.push(format!("{} bytes; at most {SIZE_LIMIT}", stripped.len()));
    }
    let elf = match elf::parse(with_symbols) {
        Ok(elf) => elf,
        Err(message) => return vec![message],
    };
    for (header, what) in [
        (elf::PT_INTERP, "names a dynamic loader"),
        (elf::PT_DYNAMIC, "is dynamically linked"),
    ] {
        if elf.program_headers.contains(&header) {
            findings.push(format!("it {what}"));
        }
    }
    if !elf.symbols.iter().any(|name| name == "_start") {
        findings.push("no symbol _start: the scan would see nothing".to_owned());
    }
    for name in elf
        .symbols
        .iter()
        .filter(|name| SYMBOLS.iter().any(|part| name.contains(part)))
    {
        findings.push(format!("symbol {name}"));
    }
    for message in MESSAGES
        .iter()
        .filter(|message| contains(with_symbols, message.as_bytes()))
    {
        findings.push(format!("the text \"{message}\""));
    }
    findings
}

fn build(root: &Path, strip: &str) -> Result<Vec<u8>, String> {
    let folder = std::env::var("CARGO_TARGET_DIR")
        .map_or_else(|_| root.join("target"), |path| root.join(path));
    let target = folder.join(format!("tidy-stage-{strip}"));
    let target_text = target.to_string_lossy().into_owned();
    let arguments = [
        "build",
        "--quiet",
        "--package",
        "tare-stage",
        "--bin",
        "stage-init",
        "--features",
        "init",
        "--profile",
        "stage",
        "--target-dir",
        &target_text,
    ];
    process::output(
        root,
        &process::cargo(),
        &arguments,
        &[("CARGO_PROFILE_STAGE_STRIP", strip)],
    )?;
    let path = target.join("stage/stage-init");
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_std_program_fails_every_check() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        let text = findings(&bytes, &bytes).join("\n");
        for part in [
            "at most",
            "dynamic loader",
            "panicking",
            "__rust_alloc",
            "panicked at",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
