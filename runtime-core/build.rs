//! Builds `stage-init` with a nested cargo, always optimised, and leaves it where `image.rs` embeds it.
use std::path::PathBuf;
use std::process::Command;

fn main() {
    for path in [
        "stage/src",
        "stage/Cargo.toml",
        "stage/build.rs",
        "stage/no-tables.ld",
        "sys/src",
        "sys/Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    // A target directory of its own: the outer cargo holds the lock of the usual one.
    let nested = out.join("stage");
    let mut flags = "-C relocation-model=static -C panic=abort".to_owned();
    if target.ends_with("-musl") {
        // rustc adds start files of its own for this target.
        flags += " -C link-self-contained=no";
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .args([
            "build",
            "--quiet",
            "--profile",
            "stage",
            "--package",
            "tare-stage",
            "--bin",
            "stage-init",
            "--features",
            if std::env::var_os("CARGO_FEATURE_PROOF").is_some() {
                "init,proof"
            } else {
                "init"
            },
        ])
        .args(["--target", &target])
        .arg("--target-dir")
        .arg(&nested)
        // The outer build's flags are for programs with a libc.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env("RUSTFLAGS", flags);
    let status = cargo.status().expect("cargo can be run");
    assert!(
        status.success(),
        "stage-init could not be built: a panic path left in it shows as an undefined symbol"
    );
    let built = nested.join(&target).join("stage").join("stage-init");
    std::fs::copy(&built, out.join("stage-init")).expect("stage-init was built");
}
