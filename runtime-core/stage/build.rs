//! Link arguments of `stage-init`: no libc, no start files, static.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_INIT").is_some() {
        for argument in [
            "-nostartfiles",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--gc-sections",
            "-Wl,--build-id=none",
            "-Wl,-z,noexecstack",
        ] {
            println!("cargo::rustc-link-arg-bin=stage-init={argument}");
        }
    }
}
