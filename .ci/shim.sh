#!/usr/bin/env bash
# The black-box suite of shims, as root: .ci/shim.sh [SHIM] [FILTER]. Without SHIM: ours, and Debian's Go shim, which shows that what
# the suite demands is what containerd is used to.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || {
  echo "the suite makes containers: run it as root" >&2
  exit 1
}
.ci/need busybox-static runc containerd
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet -p tare-shim-conformance
suite=$target/debug/shim-conformance
if [ -n "${1:-}" ]; then
  exec "$suite" --shim "$1" ${2:+"$2"}
fi
status=0
"$suite" --shim "$target/release/containerd-shim-tare-v2" || status=1
"$suite" --shim "$(command -v containerd-shim-runc-v2)" --expected conformance/shim/expected-go.toml || status=1
exit $status
