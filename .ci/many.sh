#!/usr/bin/env bash
# Many containers at once, and many actors on one: .ci/many.sh [ARGUMENTS of `many`]; as root.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || {
  echo "many containers with their own cgroups are made: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need libc6-dev busybox-static
.ci/build.sh
target=${CARGO_TARGET_DIR:-target}
cargo build --quiet -p tare-many
exec "$target/debug/many" --trun "$target/release/trun" "$@"
