#!/usr/bin/env bash
# Lets another program than measure.c run each verb of a container's life, with docker's default spec; N rounds.
#   N=5 benches/lives.sh SOURCE.c NAME=RUNTIME...
# SOURCE.c takes the arguments of measure.c, writes the same line, and keeps what it has found wherever it likes.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$1
shift
.ci/need libc6-dev busybox-static libseccomp-dev
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo build --quiet --release -p tare-benches
tools=$target/bench-lives
mkdir -p "$tools"
cp benches/docker-spec.json "$tools/"
cc -O2 -static -Wall -Wextra -o "$tools/measure" "$source"
for program in barerun barestate; do
  cc -O2 -static -Wall -Wextra -o "$tools/$program" "benches/$program.c"
done
cc -O2 -Wall -Wextra -o "$tools/filter" benches/filter.c -lseccomp

work=$(mktemp -d "${TMPDIR:-/tmp}/tare-lives.XXXXXX")
trap 'rm -rf "$work"' EXIT
flags=k
[ -d /sys/fs/cgroup/memory ] || flags=c
benches/rt.sh "$target/release/tare-benches" --work "$work" --results "$work/results" --tools "$tools" --bundle docker \
  --docker-spec benches/docker-spec.json --busybox /bin/busybox --barerun-flags "$flags" --only lifecycle \
  --revision - --rounds "${N:-5}" "$@" >"$work/report" || {
  tail -n 5 "$work/log" >&2
  exit 1
}
