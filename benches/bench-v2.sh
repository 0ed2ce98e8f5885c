#!/usr/bin/env bash
# The bench on cgroup v2 alone, in a virtual machine (conformance/vm), against Debian 13's runc and crun.
#   N=20 benches/bench-v2.sh [--only SECTION,...]      (default: lifecycle,embed,memory)
# qemu translates every instruction, so a millisecond there is no millisecond: only ratios say something.
# RESULTS names the folder for the raw data; the default is benches/results/DATE-v2.
set -euo pipefail
cd "$(dirname "$0")/.."
results=${RESULTS:-benches/results/$(date -u +%F)-v2}
[ $# -gt 0 ] || set -- --only lifecycle,embed,memory
[ "$(id -u)" = 0 ] || {
  echo "the guest's root file system is made by root: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need busybox-static qemu-system-x86 mmdebstrap e2fsprogs kmod xz-utils
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$(benches/tools.sh)
.ci/build.sh
cargo build --quiet -p tare-vm

logs=$target/vm-bench
rm -rf "$logs"
mkdir -p "$logs/bin" "$results"
cp "$tools"/* "$target/release/trun" "$logs/bin/"
echo "--rounds ${N:-20} --barerun-flags v --revision $(git describe --always --dirty --exclude='*') $*" >"$logs/bin/bench.options"
status=0
"$target/debug/vm" --binaries "$logs/bin" --guest conformance/vm/guest --logs "$logs" --filter bench |
  sed '/^guest: file /,/^guest: files end/d' || status=$?
tr -d '\r' <"$logs/bench.results" | awk -v folder="$results" '
  /^guest: files end/ { file = "" }
  /^guest: file / { file = folder "/" $3; printf "" >file; next }
  file != "" { print >>file }'
echo "raw data: $results"
exit $status
