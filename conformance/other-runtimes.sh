#!/usr/bin/env bash
# other-runtimes.sh [SUITE]: runc and crun of another Debian suite (default: sid), runnable here, below target/runtimes/SUITE.
# Prints their versions and paths; then for example
#   make conformance RUNTIME=target/runtimes/sid/runc NAME=runc-1.3
#   make conformance RUNTIME=target/runtimes/sid/crun NAME=crun-1.28
# mmdebstrap checks the archive's signatures as apt does; a mirror that stands still is no error. The programs find their own suite's libraries by path.
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:-sid}
[ "$(id -u)" = 0 ] || {
  echo "mmdebstrap makes a root file system here: run it as root" >&2
  exit 1
}
.ci/need mmdebstrap patchelf debian-archive-keyring
target=${CARGO_TARGET_DIR:-target}/runtimes/$suite
if [ ! -x "$target/crun" ]; then
  mirror=$(.ci/debian-mirror)
  rm -rf "$target"
  mkdir -p "$target"
  nice mmdebstrap --quiet --variant=essential --aptopt='Acquire::Check-Valid-Until "false"' \
    --aptopt='APT::Install-Recommends "false"' --keyring=/usr/share/keyrings --include=runc,crun "$suite" "$target/root" "deb $mirror $suite main"
  library=$(cd "$target" && pwd)/root/usr/lib/$(uname -m)-linux-gnu
  loader=$(find "$library" -name 'ld-linux-*.so.*' | head -n 1)
  for program in sbin/runc bin/crun; do
    cp "$target/root/usr/$program" "$target/.new"
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$library" "$target/.new"
    mv "$target/.new" "$target/${program##*/}"
  done
fi
for program in runc crun; do
  echo "$("$target/$program" --version | head -n 1): $target/$program"
done
