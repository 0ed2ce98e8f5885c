#!/usr/bin/env bash
# What one call of each verb needs, for docker's default spec: peak memory and its parts, page faults, system calls; medians.
#   N=5 benches/footprint.sh [NAME=RUNTIME]...
# Counted are the runtime's own process and no child. The programs must lie on a disk, not be just written: the kernel maps
# what is in its page cache, in pieces whose size depends on how the file came there.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d "${TMPDIR:-/tmp}/tare-footprint.XXXXXX")
trap 'rm -rf "$work"' EXIT
if [ $# = 0 ]; then
  .ci/build.sh
  set -- "trun=$target/release/trun"
fi
export FOOTPRINTS=$work/lines
N=${N:-5} benches/lives.sh benches/footprint.c "$@"

printf '| program | verb | peak KiB | anonymous | file | page faults | system calls |\n|---|---|---|---|---|---|---|\n'
cut -d' ' -f1,2 "$work/lines" | sort -u | while read -r program verb; do
  printf '| %s | %s |' "$program" "$verb"
  for column in 3 4 5 6 7; do
    awk -v program="$program" -v verb="$verb" -v column="$column" '$1 == program && $2 == verb { print $column }' "$work/lines" |
      sort -n | awk '{ value[NR] = $1 } END { printf " %d |", value[int((NR + 1) / 2)] }'
  done
  echo
done
