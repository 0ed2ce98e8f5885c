//! Compiles the inspector, the static program that cases run inside containers, and hands its path to the crate.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=inspector");
    println!("cargo::rerun-if-env-changed=CC");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("inspector");
    let sources = ["main", "json", "report", "probes", "modes", "attacks"]
        .map(|name| format!("inspector/{name}.c"));
    let status = Command::new(&compiler)
        .args(["-static", "-O1", "-s", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&output)
        .args(sources)
        .status()
        .unwrap_or_else(|error| {
            panic!("{compiler} did not start ({error}): install a C compiler, gcc on Debian")
        });
    assert!(
        status.success(),
        "{compiler} could not build the inspector: it needs a static libc (libc6-dev on Debian)"
    );
    println!("cargo::rustc-env=INSPECTOR={}", output.display());
}
