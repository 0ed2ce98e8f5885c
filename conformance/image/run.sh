#!/usr/bin/env bash
# Images against a real registry, as root: conformance/image/run.sh [PART...], of basic, uploads, referrers, windows, logins, kills, places, archives, containers, kept, roots, rootless
# Without -e: each check notes its own outcome.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
[ "$(id -u)" = 0 ] || {
  echo "layers have owners and devices: run it as root" >&2
  exit 1
}
.ci/toolchain
.ci/need docker-registry busybox-static openssl apache2-utils skopeo umoci libarchive-tools attr xz-utils bzip2 zstd util-linux
.ci/need --tool python3 python3
.ci/build-tare.sh || exit
tare=$(realpath "${CARGO_TARGET_DIR:-target}/release/tare")
here=$PWD/conformance/image
# shellcheck source=conformance/image/registry.sh
. "$here/registry.sh"
# On the disk: a tmpfs would take what a layer has, and hide what a disk does.
work=$(mktemp -d /var/tmp/tare-image.XXXXXX)
passed=0 failed=0
registry=''
cleanup() {
  [ -z "$registry" ] || stop_registry
  rm -rf "$work"
}
trap cleanup EXIT
export TARE_ROOT=$work/root DOCKER_CONFIG=$work/docker

note() { # note STATUS NAME [WHY]
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    echo "ok $2"
  else
    failed=$((failed + 1))
    echo "FAIL $2: ${3:-}"
  fi
}

# check NAME STATUS PATTERN COMMAND...: how it ends, and what it says on either stream.
check() {
  local name=$1 expected=$2 pattern=$3 status=0 said
  shift 3
  said=$(timeout 60 "$@" 2>&1 </dev/null) || status=$?
  if [ "$status" = "$expected" ] && grep -qE -- "$pattern" <<<"$said"; then
    note 0 "$name"
  else
    note 1 "$name" "status $status, not $expected with /$pattern/: $(tail -c 400 <<<"$said")"
  fi
}

same() { # same NAME ONE OTHER
  [ "$2" = "$3" ]
  note $? "$1" "$2 is not $3"
}

# Files that are not all alike: $1 directories of $2 files.
make_tree() {
  python3 - "$work/tree" "$1" "$2" <<'PY'
import os, random, sys
root, folders, files = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random.seed(folders * 1000 + files)
for folder in range(folders):
    path = "%s/d%d/e" % (root, folder)
    os.makedirs(path, exist_ok=True)
    for number in range(files):
        with open("%s/f%d" % (path, number), "wb") as file:
            file.write(random.randbytes(random.randrange(1, 6000)) + b"a" * random.randrange(6000))
PY
}

# An image of busybox and LAYERS further layers with files, pushed as NAME; nothing of it stays in the store.
push_image() { # push_image NAME LAYERS
  local name=$1 layers=$2 n
  rm -rf "$work/oci" "$work/tree"
  umoci init --layout "$work/oci"
  umoci new --image "$work/oci:i"
  mkdir -p "$work/tree/bin" "$work/tree/etc" "$work/tree/tmp"
  cp /bin/busybox "$work/tree/bin/"
  for n in sh ls cat id pwd env true sleep touch hostname stty tty; do ln -sf busybox "$work/tree/bin/$n"; done
  printf 'root:x:0:0::/:/bin/sh\nme:x:1000:100::/home/me:/bin/sh\n' >"$work/tree/etc/passwd"
  printf 'root:x:0:\nusers:x:100:\nwheel:x:10:me\n' >"$work/tree/etc/group"
  umoci insert --image "$work/oci:i" "$work/tree" / >/dev/null
  for n in $(seq "$layers"); do
    rm -rf "$work/tree"
    make_tree "$((n % 3 + 1))" 40
    umoci insert --image "$work/oci:i" "$work/tree" "/layer-$n" >/dev/null
  done
  umoci config --image "$work/oci:i" --config.cmd /bin/sh --config.env X=image
  rm -rf "$work/tree"
  skopeo copy --quiet --dest-tls-verify=false "oci:$work/oci:i" "docker://$name"
}

quietly() { "$@" >/dev/null 2>&1; }

parts=("${@:-}")
[ -n "${parts[0]}" ] || parts=(basic uploads referrers windows logins kills places archives containers kept roots rootless)
start_registry "$work/registry"
image=127.0.0.1:$port/some/image:1
push_image "$image" 6
for part in "${parts[@]}"; do
  # Each begins with nothing.
  quietly "$tare" image prune --all --force
  # shellcheck source=/dev/null
  . "$here/$part.sh"
done
left=$(find /run/tare/containers /run/tare/runtime -mindepth 1 2>/dev/null | head -n 3)
[ -z "$left" ]; note $? leaves-nothing "$left"
left=$(find /sys/fs/cgroup -maxdepth 2 -type d -regextype posix-extended -regex '.*/tare-[0-9a-f]{64}' | head -n 3; grep -F "$work" /proc/self/mountinfo | head -n 3)
[ -z "$left" ]; note $? leaves-no-cgroup-and-no-mount "$left"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
