#!/usr/bin/env bash
# Attacks on the runtime (conformance/cve), as root: .ci/cve.sh [STARTS] [FILTER]
# Each must do harm to a plan without its defence and none to the release binary. All run in a mount namespace of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
starts=${1:-50} filter=${2:-}
[ "$(id -u)" = 0 ] || {
  echo "the attacks make containers and mounts: run them as root" >&2
  exit 1
}
.ci/toolchain
.ci/need libc6-dev busybox-static util-linux coreutils strace
.ci/build.sh
.ci/build-proof.sh
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet -p tare-conformance
exec unshare --mount --propagation private "$target/debug/conformance" cve \
  --runtime "$target/release/trun" --proof "$target/proof/trun" --starts "$starts" ${filter:+--filter "$filter"}
