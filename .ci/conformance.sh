#!/usr/bin/env bash
# The conformance suite against one runtime, as root: .ci/conformance.sh [trun|PROGRAM|PATH] [FILTER]
set -euo pipefail
cd "$(dirname "$0")/.."
runtime=${1:-trun} filter=${2:-}
[ "$(id -u)" = 0 ] || {
  echo "the conformance suite makes containers with their own cgroups and devices: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need libc6-dev busybox-static strace
target=${CARGO_TARGET_DIR:-target}
if [ "$runtime" = trun ]; then
  .ci/build.sh
  runtime=$target/release/trun
elif [ "${runtime#*/}" = "$runtime" ]; then
  .ci/need --tool "$runtime" "$runtime"
fi
cargo build --quiet -p tare-conformance
exec "$target/debug/conformance" --runtime "$runtime" ${filter:+--filter "$filter"}
