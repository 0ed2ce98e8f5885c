#!/usr/bin/env bash
# Every suite in its full form, as root; the gate runs a part of each. 10 to 20 minutes on two cores; `make vm` is apart.
# The last line sums the tests. A suite that fails lets the others run.
set -euo pipefail
cd "$(dirname "$0")/.."
logs=${CARGO_TARGET_DIR:-target}/proof-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0 summary=()

suite() { # suite NAME COMMAND...
  local name=$1 begin=$SECONDS status=0 p f s
  shift
  printf '\n== %s\n' "$name"
  "$@" </dev/null 2>&1 | tee "$logs/$name.log" || status=${PIPESTATUS[0]}
  read -r p f s < <(awk '/^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { p += $1; f += $3; s += $5 } END { print p + 0, f + 0, s + 0 }' "$logs/$name.log")
  if [ "$f" = 0 ] && { [ "$status" != 0 ] || [ "$p" = 0 ]; }; then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  summary+=("$(printf '%-14s %5d s  %d passed, %d failed, %d skipped' "$name" $((SECONDS - begin)) "$p" "$f" "$s")")
}

suite conformance .ci/conformance.sh trun
suite faults .ci/faults.sh --full
suite concurrency .ci/many.sh
suite cve .ci/cve.sh 1000
suite runtime-tools conformance/runtime-tools/run.sh trun
suite tools-on-runc conformance/runtime-tools/run.sh runc
suite callers conformance/callers/all.sh "$(realpath "${CARGO_TARGET_DIR:-target}/release/trun")"

printf '\n%s\n' "${summary[@]}"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]
