#!/usr/bin/env bash
# What idle shims hold and do: ours, Debian's Go shim with runc, and the Rust shim of containerd's authors with runc, by turns; as root:
#   ROUNDS=5 RESULTS=benches/results/DATE-shim-memory benches/shim-memory.sh
# A round takes a minute and a half, of which nearly all is waiting.
set -euo pipefail
cd "$(dirname "$0")/.."
. benches/rivals.sh
results=${RESULTS:-benches/results/$(date -u +%F)-shim-memory}
rounds=${ROUNDS:-5}
mkdir -p "$results"
{
  printf '# Memory of idle shims\n\n'
  revision
  printf '`ROUNDS=%s benches/shim-memory.sh`: one container of `sleep` and a connection, five seconds after its Start; then how often any of the shim'"'"'s threads was switched to or from within ten seconds; ten further containers in the same pod; then ten pods beside it.\nResident, proportional and private memory are those of smaps_rollup; medians of the rounds, and of each quantity what our shim takes of the others.\nRaw data: samples.csv.\n\n' "$rounds"
  "$suite" idle "$rounds" "$results/samples.csv" "${shims[@]}" | sed '1 s/$/\n/; 2 a | --- | --- | --- | --- | --- |'
} >"$results/README.md"
cat "$results/README.md"
