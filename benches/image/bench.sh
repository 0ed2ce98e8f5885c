#!/usr/bin/env bash
# Pull and unpack of images from a registry on the loopback by tare and its rivals, in turns whose order is drawn; as root:
#   N=10 RESULTS=benches/results/DATE-image benches/image/bench.sh [--only CASE,...] [--subjects NAME,...]
# A subject NAME=PATH is another build of tare. What is made once (two Debian roots, the images) stays below ${XDG_CACHE_HOME:-/var/cache}/tare-bench.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
only='' subjects=''
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=$2 ;;
    --subjects) subjects=$2 ;;
    *)
      sed -n '2,4s/^# //p' "$0" >&2
      exit 64
      ;;
  esac
  shift 2
done
[ "$(id -u)" = 0 ] || {
  echo "unpacking images takes root" >&2
  exit 1
}
results=$(realpath -m "${RESULTS:-benches/results/$(date -u +%F)-image}")
tare=$(realpath -m "${TARE:-${CARGO_TARGET_DIR:-target}/release/tare}")
cache=${XDG_CACHE_HOME:-/var/cache}/tare-bench
.ci/need mmdebstrap zstd util-linux e2fsprogs libc6-dev >&2
.ci/need --tool cc gcc --tool python3 python3 >&2
mkdir -p "$cache" "$results"
exec 9>"$cache/lock"
flock -n 9 || {
  echo "another benchmark of images runs: $cache/lock is held" >&2
  exit 1
}

# unpack SUITE VERSION PACKAGES: a Debian root in the cache; another VERSION is another root.
unpack() {
  local root=$cache/$1 mark=$cache/$1-$2.ready
  [ ! -e "$mark" ] || return 0
  echo "unpacking $1" >&2
  rm -rf "$root" "$cache/$1"-*.ready
  mmdebstrap --quiet --variant=apt --include="$3" --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$root" "$(.ci/debian-mirror)" >&2
  touch "$mark"
}
unpack bookworm 2 docker-registry,python3,perl,gcc
unpack sid 1 docker.io,docker-cli,containerd,runc,podman,skopeo,umoci,iptables,ca-certificates,pigz,isal
# Debian's docker.io, containerd, and podman use pigz and igzip where PATH has them, but do not recommend them: only the tuned subjects have them.
mkdir -p "$cache/sid/opt/fast"
for program in pigz unpigz igzip; do
  [ ! -e "$cache/sid/usr/bin/$program" ] || mv "$cache/sid/usr/bin/$program" "$cache/sid/opt/fast/"
done

recipe=$({
  basename -a "$cache"/bookworm-*.ready
  cat "$here/layers.py" "$here/images.py" "$here/registry.py"
} | sha256sum | cut -c1-12)
images=$cache/images/$recipe
for old in "$cache/images"/*; do
  [ "$old" = "$images" ] || rm -rf "$old"
done
data=$cache/image-data
rm -rf "$data"
mkdir -p "$images/registry" "$data/work"
case $(stat -f -c %T "$data") in
  tmpfs | overlayfs)
    echo "$data is not on a file system of a disk: set XDG_CACHE_HOME" >&2
    exit 1
    ;;
esac
cc -O2 -static -o "$data/work/measure" benches/measure.c

inside=''
cleanup() {
  # Its end kills the first process of the namespace of pids (--kill-child), hence all of them, and the mounts go with the last one.
  if [ -n "$inside" ]; then
    kill -KILL "$inside" 2>/dev/null || true
    wait "$inside" 2>/dev/null || true
  fi
  for _ in 1 2 3 4 5; do
    rm -rf "$data" 2>/dev/null && break
    sleep 1
  done
}
trap cleanup EXIT
trap 'exit 130' INT TERM
revision=$(git describe --always --dirty --exclude='*')
unshare --mount --pid --fork --kill-child --mount-proc --propagation private \
  env PYTHONDONTWRITEBYTECODE=1 CACHE="$cache" IMAGES="$images" DATA="$data" RESULTS="$results" TARE="$tare" N="${N:-10}" ONLY="$only" SUBJECTS="$subjects" REVISION="$revision" \
  bash "$here/inside.sh" 9>&- &
inside=$!
wait "$inside"
inside=''
cat "$results/README.md"
