#!/usr/bin/env bash
# Real kernels in qemu: conformance/vm/run.sh [--gate] [FILTER] [CASES] [SUITES]
set -euo pipefail
cd "$(dirname "$0")/../.."
gate=
[ "${1:-}" != --gate ] || {
  gate=--gate
  shift
}
filter=${1:-} cases=${2:-} suites=${3:-}
[ "$(id -u)" = 0 ] || {
  echo "the guests' root file systems are made by root: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need libc6-dev busybox-static qemu-system-x86 mmdebstrap e2fsprogs kmod xz-utils
.ci/build.sh
[ -n "$gate" ] || .ci/build-proof.sh
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet -p tare-conformance -p tare-shim-conformance -p tare-vm

# The programs for the guest: runtime, suite, and the crates' tests, each named CRATE-TEST.
bin=$target/vm/bin
rm -rf "$bin"
mkdir -p "$bin"
cp "$target/release/trun" "$target/debug/conformance" "$bin/"
[ -n "$gate" ] || cp "$target/release/containerd-shim-tare-v2" "$target/debug/shim-conformance" "$bin/"
# With the hooks of the faults, which the gate's guests do not try.
[ -n "$gate" ] || objcopy --strip-debug "$target/proof/trun" "$bin/trun-proof"
tests() { # PACKAGE PREFIX
  cargo test --quiet --no-run --message-format=json -p "$1" |
    sed -n 's/.*"name":"\([^"]*\)","src_path".*"executable":"\([^"]*\)".*/\1 \2/p' |
    while read -r name path; do
      objcopy --strip-debug "$path" "$bin/$2-$name"
    done
}
tests tare-cgroup cgroup
tests tare-runtime runtime
tests tare-sys sys
exec "$target/debug/vm" --binaries "$bin" --guest conformance/vm/guest --logs "$target/vm" $gate ${filter:+--filter "$filter"} ${cases:+--cases "$cases"} ${suites:+--suites "$suites"}
