#!/usr/bin/env bash
# The black-box suite of shims, as root: .ci/shim.sh [SHIM] [FILTER] [ARGUMENTS of `shim-conformance`]. Without SHIM: ours, and Debian's Go shim, which shows that what
# the suite demands is what containerd is used to.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || {
  echo "the suite makes containers: run it as root" >&2
  exit 1
}
.ci/need busybox-static runc containerd
target=${CARGO_TARGET_DIR:-target}
[ -n "${1:-}" ] || .ci/build.sh
cargo build --quiet -p tare-shim-conformance
suite=$target/debug/shim-conformance
go=$(command -v containerd-shim-runc-v2)
shim=${1:-} filter=${2:-}
shift $(($# < 2 ? $# : 2))
# on SHIM: with what is known to differ.
on() {
  local known=() name=io.containerd.runc.v2
  case $(basename "$1") in
    containerd-shim-tare-v2) name=io.containerd.tare.v2 ;;
    *) [ "$(readlink -f "$1")" != "$(readlink -f "$go")" ] || known=(--expected conformance/shim/expected-go.toml) ;;
  esac
  "$suite" --shim "$1" --name "$name" "${known[@]}" "${@:2}" ${filter:+"$filter"}
}
if [ -n "$shim" ]; then
  on "$shim" "$@"
  exit
fi
status=0
on "$target/release/containerd-shim-tare-v2" "$@" || status=1
on "$go" "$@" || status=1
exit $status
