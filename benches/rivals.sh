# Sourced by shim.sh and shim-memory.sh: our shim, Debian's Go shim, and the Rust shim of containerd's authors, as `shims`; what drives them, as `suite`.
[ "$(id -u)" = 0 ] || {
  echo "shims make containers with their own cgroups: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need busybox-static runc containerd
.ci/build.sh
cargo build --quiet -p tare-shim-conformance
target=${CARGO_TARGET_DIR:-target}
suite=$target/debug/shim-conformance
# Version 0.2.0 is the newest that its authors have published.
rust=$target/rivals/bin/containerd-shim-runc-v2-rs
[ -x "$rust" ] || cargo install --quiet --locked containerd-runc-shim --version 0.2.0 --root "$target/rivals"
shims=("$target/release/containerd-shim-tare-v2" "$(command -v containerd-shim-runc-v2)" "$rust")
# What was measured, and where.
revision() {
  printf 'Revision %s, %s, %s, load before %s.\n' "$(git describe --always --dirty --exclude='*')" "$(uname -sr)" \
    "$(containerd --version | awk '{ print $1, $3 }'), $(runc --version | head -n 1)" "$(cut -d' ' -f1 /proc/loadavg)"
}
