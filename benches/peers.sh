#!/usr/bin/env bash
# Makes the rivals ready and prints them, one NAME=PATH a line: Debian 12's runc and crun, and newer ones.
#   benches/peers.sh [SUITE...]     SUITE: a newer Debian release to take runc and crun from (default: sid)
# The newer ones are unpacked below ${XDG_CACHE_HOME:-/var/cache}/tare-bench, with the libraries they were built against,
# from the mirror that this machine's own apt sources name. Remove that folder to fetch them anew.
set -euo pipefail
cd "$(dirname "$0")/.."
cache=${XDG_CACHE_HOME:-/var/cache}/tare-bench
[ $# -gt 0 ] || set -- sid

.ci/need runc crun

name() { # PROGRAM PATH: the name with the version that the program itself reports
  local version
  version=$("$2" --version | awk -v name="$1" '$1 == name && $2 == "version" { print $3; exit }')
  printf '%s-%s=%s\n' "$1" "${version%%[+~]*}" "$2"
}

newer() { # SUITE: unpack once
  local suite=$1 tree=$cache/$1
  [ -e "$tree/ready" ] && return
  .ci/need mmdebstrap patchelf >&2
  local mirror
  # shellcheck disable=SC2016 # apt expands these
  mirror=$(apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian/Debian" && $2 == "main" { print $3; exit }')
  [ -n "$mirror" ] || {
    echo "no Debian mirror among this machine's apt sources" >&2
    exit 1
  }
  echo "unpacking runc and crun of $suite" >&2
  rm -rf "$tree"
  mkdir -p "$cache"
  # A mirror that stands still for some weeks is good enough for a benchmark; its signatures are checked all the same.
  mmdebstrap --quiet --variant=extract --include=runc,crun --aptopt='Acquire::Check-Valid-Until "false"' \
    "$suite" "$tree" "$mirror" >&2
  # They must run outside their own root: each gets its own loader and libraries by path.
  local loader libraries program
  libraries=$tree/usr/lib/$(uname -m)-linux-gnu
  loader=$(readlink -f "$(find "$tree/usr/lib" "$tree/usr/lib64" -name 'ld-linux-*.so.*' | head -n 1)")
  for program in runc crun; do
    install -D -m 755 "$(find "$tree/usr/bin" "$tree/usr/sbin" -name $program | head -n 1)" "$tree/bench/$program"
    patchelf --set-interpreter "$loader" --set-rpath "$libraries" "$tree/bench/$program"
    "$tree/bench/$program" --version >/dev/null
  done
  touch "$tree/ready"
}

for program in runc crun; do
  name $program "$(command -v $program)"
done
for suite in "$@"; do
  newer "$suite"
  for program in runc crun; do
    name $program "$cache/$suite/bench/$program"
  done
done
