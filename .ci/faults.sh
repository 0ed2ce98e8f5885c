#!/usr/bin/env bash
# Every step of many plans fails or dies, and nothing may be left: .ci/faults.sh [--full] [--filter TEXT]
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || {
  echo "the faults need containers with their own cgroups and devices: run them as root" >&2
  exit 1
}
.ci/toolchain
.ci/need libc6-dev busybox-static util-linux uidmap strace iproute2 systemd dbus dbus-user-session btrfs-progs
.ci/build-proof.sh
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet -p tare-conformance
# What a release must not have.
if [ -x "$target/release/trun" ] && grep -qa -e TARE_FAULT -e tare-parked "$target/release/trun"; then
  echo "$target/release/trun has the hooks of the tests"
  exit 1
fi
exec "$target/debug/conformance" faults --runtime "$target/proof/trun" "$@"
