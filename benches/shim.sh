#!/usr/bin/env bash
# A container's life through our shim, through Debian's Go shim with runc, and through the Rust shim of containerd's authors with
# runc, by turns, as their client sees it; as root:
#   N=50 RESULTS=benches/results/DATE-shim benches/shim.sh
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || {
  echo "shims make containers with their own cgroups: run it as root" >&2
  exit 1
}
results=${RESULTS:-benches/results/$(date -u +%F)-shim}
.ci/toolchain
.ci/need busybox-static runc containerd
.ci/build.sh
cargo build --quiet -p tare-shim-conformance
target=${CARGO_TARGET_DIR:-target}
# Version 0.2.0 is the newest that its authors have published.
rust=$target/rivals/bin/containerd-shim-runc-v2-rs
[ -x "$rust" ] || cargo install --quiet --locked containerd-runc-shim --version 0.2.0 --root "$target/rivals"
mkdir -p "$results"
{
  printf '# Shims\n\nRevision %s, %s, %s, load before %s.\n`N=%s benches/shim.sh`: start (the program, to the address), create, begin (Start), exec (Exec, Start, Wait of `true`), delete (Kill, Wait, Delete).\nMilliseconds are medians; shares are medians of the rounds'"'"' ratios.\n\n' \
    "$(git describe --always --dirty --exclude='*')" "$(uname -sr)" "$(containerd --version | awk '{ print $1, $3 }'), $(runc --version | head -n 1)" \
    "$(cut -d' ' -f1 /proc/loadavg)" "${N:-50}"
  "$target/debug/shim-conformance" bench "${N:-50}" "$results/samples.csv" "$target/release/containerd-shim-tare-v2" "$(command -v containerd-shim-runc-v2)" "$rust" |
    sed '1 s/$/\n/; 2 a | --- | --- | --- | --- | --- |'
} >"$results/README.md"
cat "$results/README.md"
