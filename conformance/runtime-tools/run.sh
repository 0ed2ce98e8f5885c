#!/usr/bin/env bash
# The validation suite of OCI runtime-tools against one runtime, as root: run.sh [trun|PROGRAM|PATH] [NAME] [FILTER]
# NAME says whose expected failures apply (trun, runc, runc-1.3, crun, crun-1.28); by default it comes from the file's name.
set -euo pipefail
cd "$(dirname "$0")/../.."
runtime=${1:-trun} name=${2:-} filter=${3:-}
[ "$(id -u)" = 0 ] || {
  echo "the suite makes containers with their own cgroups and devices: run it as root" >&2
  exit 1
}
# The suite brings its root file system for these only.
case $(uname -m) in x86_64 | i?86) ;; *)
  echo "skipped: runtime-tools has no root file system for $(uname -m)"
  echo "0 passed, 0 failed, 1 skipped"
  exit 0
  ;;
esac
.ci/toolchain
.ci/need libc6-dev util-linux
suite=$(conformance/runtime-tools/build.sh)
target=${CARGO_TARGET_DIR:-target}
if [ "$runtime" = trun ]; then
  .ci/build.sh
  runtime=$target/release/trun
elif [ "${runtime#*/}" = "$runtime" ]; then
  .ci/need --tool "$runtime" "$runtime"
fi
cargo build --quiet -p tare-conformance
run=("$target/debug/conformance" runtime-tools --suite "$suite" --runtime "$runtime" ${name:+--runtime-name "$name"}
  --expected conformance/runtime-tools/expected-failures.toml ${filter:+--filter "$filter"})
[[ ${name:-$(basename "$runtime")} != crun* ]] || run=(conformance/without-unified.sh "${run[@]}")
# Two runs at once would meet in the control groups that the suite names.
exec 8>"$target/runtime-tools/running"
flock -w 300 8 || {
  echo "another run holds $target/runtime-tools/running" >&2
  exit 1
}
"${run[@]}" 8>&-
