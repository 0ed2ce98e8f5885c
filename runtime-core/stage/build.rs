//! Link arguments of `stage-init`: no libc, no start files, static.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-tables.ld");
    if std::env::var_os("CARGO_FEATURE_INIT").is_some() {
        for argument in [
            "-nostartfiles",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-Wl,--gc-sections",
            "-Wl,--build-id=none",
            "-Wl,-z,noexecstack",
            // Written to a memfd at each start of a runtime: two segments instead of four, no tables for unwinding, no padding.
            "-Wl,-z,noseparate-code",
            "-Wl,-z,norelro",
            "-Wl,--no-eh-frame-hdr",
            concat!("-Wl,-T,", env!("CARGO_MANIFEST_DIR"), "/no-tables.ld"),
        ] {
            println!("cargo::rustc-link-arg-bin=stage-init={argument}");
        }
    }
}
