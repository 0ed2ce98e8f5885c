#!/usr/bin/env bash
# Where the time of `run`, `create` and `exec` goes: the median of each step over N lives of docker's default spec.
#   N=60 benches/steps.sh
# The steps are timed by a trun of its own, built with the feature `proof`: the host's by its clock, the child's by the page that
# both share. A step of the one lane may be a wait for the other.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d "${TMPDIR:-/tmp}/tare-steps.XXXXXX")
trap 'rm -rf "$work"' EXIT
CARGO_TARGET_DIR=$target/steps .ci/build.sh --features proof
export TARE_TIMES=$work/times
N=${N:-60} benches/lives.sh benches/measure.c "trun=$target/steps/release/trun" >&2

# VERB LANE NUMBER NANOSECONDS TEXT -> the median, in the order of the steps.
sort -t "$(printf '\t')" -k1,1 -k2,2r -k3,3n -k4,4n "$work/times" | awk -F '\t' '
  function tell(   middle) {
    middle = (times[int((count + 1) / 2)] + times[int(count / 2) + 1]) / 2000
    if (count) printf "%-7s %-6s %3d %8.1f us  %s\n", verb, lane, number, middle, text
  }
  { name = $1 FS $2 FS $3 }
  name != last { tell(); count = 0; last = name; verb = $1; lane = $2; number = $3; text = $5 }
  { gsub(/(tare-bench|tare-lives)\.[A-Za-z0-9]+/, "WORK", text); times[++count] = $4 }
  END { tell() }'
