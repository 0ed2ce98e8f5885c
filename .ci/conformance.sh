#!/usr/bin/env bash
# The conformance suite against one runtime, as root: .ci/conformance.sh [trun|PROGRAM|PATH] [FILTER] [NAME]
# NAME says whose expected differences apply (runc, runc-1.3, crun, crun-1.28); by default it comes from the file's name.
set -euo pipefail
cd "$(dirname "$0")/.."
runtime=${1:-trun} filter=${2:-} name=${3:-}
[ "$(id -u)" = 0 ] || {
  echo "the conformance suite makes containers with their own cgroups and devices: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need libc6-dev busybox-static strace uidmap util-linux
target=${CARGO_TARGET_DIR:-target}
if [ "$runtime" = trun ]; then
  .ci/build.sh
  runtime=$target/release/trun
elif [ "${runtime#*/}" = "$runtime" ]; then
  .ci/need --tool "$runtime" "$runtime"
fi
cargo build --quiet -p tare-conformance
run=("$target/debug/conformance" --runtime "$runtime" ${filter:+--filter "$filter"} ${name:+--runtime-name "$name"})
[[ ${name:-$(basename "$runtime")} != crun* ]] || run=(conformance/without-unified.sh "${run[@]}")
exec "${run[@]}"
