#!/usr/bin/env bash
# A container's life through our shim, through Debian's Go shim with runc, and through the Rust shim of containerd's authors with
# runc, by turns, as their client sees it; as root:
#   N=50 RESULTS=benches/results/DATE-shim benches/shim.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/rivals.sh
results=${RESULTS:-benches/results/$(date -u +%F)-shim}
mkdir -p "$results"
{
  printf '# Shims\n\n'
  revision
  printf '`N=%s benches/shim.sh`: start (the program, to the address), create, begin (Start), exec (Exec, Start, Wait of `true`), delete (Kill, Wait, Delete).\nMilliseconds are medians; shares are medians of the rounds'"'"' ratios.\n\n' "${N:-50}"
  "$suite" bench "${N:-50}" "$results/samples.csv" "${shims[@]}" |
    sed '1 s/$/\n/; 2 a | --- | --- | --- | --- | --- |'
} >"$results/README.md"
cat "$results/README.md"
