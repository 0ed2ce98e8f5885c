#!/usr/bin/env bash
# Builds trun of two revisions in git worktrees and measures them in the same rounds.
#   N=50 BASE=HEAD~1 TIP=HEAD benches/bench-ab.sh [--only SECTION,...]      (default: lifecycle)
# An interval of the ratio that leaves out 1 is a difference; one that holds 1 is not known to be any.
set -euo pipefail
cd "$(dirname "$0")/.."
base=${BASE:-HEAD~1} tip=${TIP:-HEAD}
[ $# -gt 0 ] || set -- --only lifecycle
.ci/toolchain
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/bench-ab
trees=$(mktemp -d "${TMPDIR:-/tmp}/tare-ab.XXXXXX")
cleanup() {
  for side in base tip; do
    [ ! -d "$trees/$side" ] || git worktree remove --force "$trees/$side"
  done
  rm -rf "$trees"
}
trap cleanup EXIT

build() { # SIDE REVISION: prints NAME=PATH
  local side=$1 revision
  revision=$(git rev-parse --short "$2")
  git worktree add --quiet --detach "$trees/$side" "$revision"
  (cd "$trees/$side" && CARGO_TARGET_DIR=$target/$side .ci/build.sh) >&2
  printf '%s-%s=%s\n' "$side" "$revision" "$target/$side/release/trun"
}
first=$(build base "$base")
second=$(build tip "$tip")
RESULTS=${RESULTS:-$target/results} benches/bench.sh "$@" "$first" "$second"
