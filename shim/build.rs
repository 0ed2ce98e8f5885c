//! Links anew when the order of functions has changed, or how they are laid out: cargo can't know what a linker reads.

fn main() {
    for path in [
        "../runtime-cli/order.txt",
        "../.ci/cc-ordered",
        "../.ci/near.ld",
    ] {
        println!("cargo::rerun-if-changed={path}");
    }
}
