#!/usr/bin/env bash
# The gate, the same here and in CI: every step runs, each with its name and duration; the last line sums the tests.
# A step that fails, hangs or prints no test count where it should makes the whole gate fail.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=5100 # seconds for everything
target=${CARGO_TARGET_DIR:-target}
logs=$target/gate
failed=() summary=() passed=0 failures=0 skipped=0
mkdir -p "$logs"

# step NAME KIND COMMAND...: KIND says what the output counts: `check` nothing, `cargo` libtest's lines and
# the goldens', `plain` a last line.
step() {
  local name=$1 kind=$2 begin=$SECONDS status=0 counts
  shift 2
  printf '\n== %s\n' "$name"
  local left=$((limit - SECONDS))
  [ $left -gt 0 ] || left=1
  timeout --kill-after=30 "$left" "$@" </dev/null 2>&1 | tee "$logs/$name.log" || status=${PIPESTATUS[0]}
  counts=$(count "$kind" "$logs/$name.log")
  if [ "$status" = 0 ] && [ "$kind" != check ] && [ "${counts%% *}" = 0 ]; then
    echo "$name: not one test passed"
    status=1
  fi
  local p f s
  read -r p f s <<<"$counts"
  [ "$status" = 0 ] || [ "$f" != 0 ] || f=1
  [ "$f" = 0 ] || status=${status/#0/1}
  passed=$((passed + p)) failures=$((failures + f)) skipped=$((skipped + s))
  local took=$((SECONDS - begin)) verdict=ok
  if [ "$status" != 0 ]; then
    failed+=("$name")
    verdict="FAILED, status $status"
    [ "$status" != 124 ] || verdict="FAILED, out of time"
  fi
  local ran=""
  [ "$kind" = check ] || ran=", $p passed, $f failed, $s skipped"
  summary+=("$(printf '%-14s %5d s  %s' "$name" "$took" "$verdict$ran")")
  printf '== %s: %s after %d s\n' "$name" "$verdict" "$took"
}

# Prints "PASSED FAILED SKIPPED" as a log has them.
count() {
  case $1 in
    cargo) awk '/^test result: / { p += $4; f += $6; s += $8 } /^[0-9]+ goldens, [0-9]+ differ$/ { p += $1 - $3; f += $3 } END { print p + 0, f + 0, s + 0 }' "$2" ;;
    plain) awk '/^[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$/ { p += $1; f += $3; s += $5 } END { print p + 0, f + 0, s + 0 }' "$2" ;;
    *) echo 0 0 0 ;;
  esac
}

.ci/toolchain
.ci/need libc6-dev busybox-static strace systemd dbus dbus-user-session uidmap util-linux libseccomp2

step format check cargo fmt --all --check
step clippy check cargo clippy --workspace --all-targets --quiet -- -D warnings
step tidy check cargo xtask tidy
step deny plain .ci/deny.sh
step tests cargo cargo test --workspace --no-fail-fast --quiet
step fuzz cargo .ci/fuzz.sh
step memory cargo .ci/memory.sh
step wire-oracle cargo .ci/wire-oracle.sh
step release check .ci/build.sh
step release-tare check .ci/build-tare.sh
step demo check .ci/demo.sh
step privilege plain .ci/privilege.sh
if [ "$(id -u)" = 0 ]; then
  step demo-as-user check .ci/demo-as-user.sh
  step conformance plain .ci/conformance.sh trun
  step faults plain .ci/faults.sh
  step concurrency plain .ci/many.sh --rounds 150 --limit 120
  step cve plain .ci/cve.sh 50
  step suite-on-runc plain .ci/conformance.sh runc
  step runtime-tools plain conformance/runtime-tools/run.sh trun
  step vm plain conformance/vm/run.sh --gate
  step shim plain .ci/shim.sh
  step images plain conformance/image/run.sh
  step callers plain conformance/callers/all.sh "$target/release/trun"
else
  printf '\nnot root: conformance and the real callers did not run\n'
  skipped=$((skipped + 2))
fi

printf '\nstep            took\n'
printf '%s\n' "${summary[@]}"
[ ${#failed[@]} = 0 ] || printf 'failed: %s\n' "${failed[*]}"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failures" "$skipped"
[ ${#failed[@]} = 0 ]
