#!/usr/bin/env bash
# The shim with real containerds, as root: this machine's through CRI, then those of other Debian releases: .ci/cri.sh [SUITE...]
# The client is a workspace of its own, so that gRPC stays out of ours. A minute to build.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/toolchain
.ci/need protobuf-compiler containernetworking-plugins iproute2 containerd busybox-static
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export SHIM=$target/release/containerd-shim-tare-v2 CRI=$target/cri/debug/cri-caller
(
  export CARGO_TARGET_DIR=$target/cri
  cd conformance/cri
  cargo fmt --check
  cargo clippy --quiet --locked -- -D warnings
  cargo build --quiet --locked
)
status=0
conformance/callers/cri.sh || status=1
conformance/callers/containerds.sh "$@" || status=1
exit $status
