#!/usr/bin/env bash
# Measures trun against runc and crun (Debian 12's and newer ones) and the kernel's own limit, interleaved.
#   N=50 BUNDLE=docker benches/bench.sh [--only SECTION,...] [--runs N] [--idle N,...] [NAME=RUNTIME]...
# Without NAME=RUNTIME: this tree's trun first, then the rivals of peers.sh. Ratios refer to the first runtime named.
# RESULTS names the folder for the raw data; the default is benches/results/DATE-HOST.
set -euo pipefail
cd "$(dirname "$0")/.."
bundle=${BUNDLE:-docker}
results=${RESULTS:-benches/results/$(date -u +%F)-$(uname -n)}
options=(--rounds "${N:-50}") runtimes=()
while [ $# -gt 0 ]; do
  case $1 in
    --*) options+=("$1" "${2:?$1 needs a value}") && shift 2 ;;
    *) runtimes+=("$1") && shift ;;
  esac
done

[ "$(id -u)" = 0 ] || {
  echo "make bench makes containers with their own cgroups and devices: run it as root" >&2
  exit 1
}
.ci/toolchain
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

if [ ${#runtimes[@]} = 0 ]; then
  rivals=$(benches/peers.sh)
  .ci/build.sh
  mapfile -t runtimes <<<"trun=$target/release/trun
$rivals"
fi

tools=$(benches/tools.sh)
work=$(mktemp -d "${TMPDIR:-/tmp}/tare-bench.XXXXXX")
# Where runtimes keep their state, /run, is a tmpfs wherever systemd boots.
state=
if [ "$(stat -f -c %T /dev/shm)" = tmpfs ]; then
  state=$(mktemp -d /dev/shm/tare-bench.XXXXXX)
  ln -s "$state" "$work/state"
fi
cleanup() {
  # A run cut short may leave a container; each runtime knows its own.
  local runtime name path id
  for runtime in "${runtimes[@]}"; do
    name=${runtime%%=*} path=${runtime#*=}
    for id in "$work/state/$name"/*/; do
      [ ! -d "$id" ] || "$path" --root "$work/state/$name" delete --force "$(basename "$id")" || true # said on stderr
    done
  done
  runtime=$work/state/tare-runtime
  for id in "$runtime"/*/; do # made in-process; trun reads the same state
    [ ! -d "$id" ] || "${runtimes[0]#*=}" --root "$runtime" delete --force "$(basename "$id")" || true # said on stderr
  done
  [ ! -d "$work/state/libcontainer" ] || "$tools/compare" clean "$work/state/libcontainer" || true # said on stderr; the rest is still to be cleaned
  rm -rf "$work" ${state:+"$state"}
}
trap cleanup EXIT

# barerun on cgroup v1, on v2 alone, or without any.
if [ -d /sys/fs/cgroup/memory ]; then
  flags=k
elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  flags=v
else
  flags=c
fi

benches/rt.sh "$tools/tare-benches" --work "$work" --results "$results" --tools "$tools" --bundle "$bundle" \
  --docker-spec benches/docker-spec.json --busybox /bin/busybox --barerun-flags "$flags" \
  --revision "$(git describe --always --dirty --exclude='*')" "${options[@]}" "${runtimes[@]}" || {
  tail -n 5 "$work/log" >&2
  exit 1
}
