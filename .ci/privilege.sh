#!/usr/bin/env bash
# What `make install` and `make dist` put down: no setuid or setgid bit, no file capability, writable by the owner alone and
# readable by all whatever the umask; the archive is the same each time, and what is in it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/toolchain
.ci/need libcap2-bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

verdict() { # verdict NAME FINDINGS
  if [ -z "$2" ]; then
    passed=$((passed + 1))
    echo "ok $1"
  else
    failed=$((failed + 1))
    echo "FAIL $1: $2"
  fi
}

# Prints what has more rights than it should, or fewer, below a directory.
rights() {
  find "$1" -mindepth 1 \( -perm /7000 -o -perm /022 -o ! -perm -444 -o -type d ! -perm -111 \) -printf '%M %p; '
  getcap -r "$1"
}

# What the checks are for is planted once: each has to be noticed.
plant() { # plant NAME COMMAND...
  rm -rf "$work/planted"
  mkdir -p "$work/planted"
  cp /bin/true "$work/planted/file"
  "${@:2}" "$work/planted/file"
  if [ -n "$(rights "$work/planted")" ]; then
    verdict "$1 is noticed" ""
  else
    verdict "$1 is noticed" "it was not"
  fi
}
plant setuid chmod u+s
plant setgid chmod g+s
plant others-may-write chmod o+w
plant nobody-may-read chmod 700
if [ "$(id -u)" = 0 ]; then
  plant capability setcap cap_net_raw+ep
fi

for mask in 000 022 077; do
  tree=$work/umask-$mask
  (umask $mask && DESTDIR=$tree .ci/install.sh) >"$work/log" || { cat "$work/log"; exit 1; }
  verdict "install with umask $mask" "$(rights "$tree/usr/local")"
  (umask $mask && DESTDIR=$tree .ci/install.sh --remove)
  verdict "uninstall leaves no file" "$(find "$tree" -type f)"
done

archive=
for round in 1 2; do
  cargo xtask dist >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  archive=$(ls target/dist/*.tar.gz)
  (cd target/dist && sha256sum --quiet -c ./*.sha256)
  cp "$archive" "$work/archive-$round"
done
# What cmp says is the finding; its status says no more.
verdict "the archive is the same each time" "$(cmp "$work/archive-1" "$work/archive-2" 2>&1 || true)" # what differs is the verdict
mkdir "$work/unpacked"
tar -xpf "$archive" -C "$work/unpacked"
verdict "the archive's rights" "$(rights "$work/unpacked")"
# One that does not run prints nothing, which the verdict tells with its name.
"$work"/unpacked/*/usr/local/bin/trun --version >"$work/log" || true # what it printed is judged next
verdict "the archive's trun runs" "$(grep -q '^spec: ' "$work/log" || echo "it printed: $(cat "$work/log")")"

echo "$passed passed, $failed failed"
[ $failed = 0 ]
