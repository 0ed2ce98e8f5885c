#!/usr/bin/env bash
# Writes runtime-cli/order.txt anew: the functions that trun enters in a container's life, those of most verbs first.
#   benches/order.sh
# The list makes a program small in memory, not right: an old one costs 64 KB for each function that it lacks. Before a release.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
work=$(mktemp -d "${TMPDIR:-/tmp}/tare-order.XXXXXX")
trap 'rm -rf "$work"' EXIT

# The very program that is to be laid out, only with its symbols.
CARGO_PROFILE_RELEASE_STRIP=none .ci/build.sh
cp "$target/release/trun" "$work/trun"
nm --defined-only "$work/trun" >"$work/symbols"
export TRACED=$work/trun SYMBOLS=$work/symbols ENTERED=$work/entered
N=1 benches/lives.sh benches/entries.c "trun=$work/trun"

# The same as a user types it and as containerd calls: a bundle at a relative path, a log in JSON.
mkdir -p "$work/bundle/rootfs/bin"
cp /bin/busybox "$work/bundle/rootfs/bin/true"
(
  cd "$work/bundle"
  "$work/trun" spec
  sed -i 's/"terminal": true/"terminal": false/; s|"sh"|"/bin/true"|' config.json
  "$target/bench-lives/measure" "$work/out" "$work/trun" --root "$work/state" --log "$work/log" --log-format json run order-$$
)

# First what `run` and `create` enter, which need most, and of that the functions of most calls; each call begins with _start.
.ci/symbols <"$work/entered" | awk '
  function keep(i) {
    for (i = 1; i <= many; i++) { uses[call[i]]++; if (run) of_run[call[i]] = 1 }
    many = run = 0
  }
  $1 == "_start" { keep() }
  $1 ~ /8commands(3run|6create)3run$/ { run = 1 }
  { call[++many] = $1; if (!($1 in first)) first[$1] = NR }
  END { keep(); for (name in uses) print !(name in of_run), uses[name], first[name], name }' |
  sort -k1,1n -k2,2nr -k3,3n | awk '{ print $4 }' >"$work/order"
cp "$work/order" runtime-cli/order.txt
wc -l runtime-cli/order.txt
