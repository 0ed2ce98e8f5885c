//! Compiles storm.c, which is loaded before the test program in the cases about signals, and hands its path to the crate.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=storm.c");
    println!("cargo::rerun-if-env-changed=CC");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let output =
        PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("storm.so");
    let status = Command::new(&compiler)
        .args([
            "-shared", "-fPIC", "-O1", "-pthread", "-Wall", "-Wextra", "-Werror", "-o",
        ])
        .arg(&output)
        .arg("storm.c")
        .status()
        .unwrap_or_else(|error| {
            panic!("{compiler} did not start ({error}): install a C compiler, gcc on Debian")
        });
    assert!(status.success(), "{compiler} could not build storm.c");
    println!("cargo::rustc-env=STORM={}", output.display());
}
