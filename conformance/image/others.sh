#!/usr/bin/env bash
# What tare pushes and saves is read by dockerd, containerd, podman, skopeo and umoci of Debian releases, and the reverse, with equal
# digests; as root: conformance/image/others.sh [SUITE...]
# The roots are unpacked below ${XDG_CACHE_HOME:-/var/cache}/tare-callers from the mirror that this machine's apt sources name.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
.ci/toolchain
.ci/need mmdebstrap docker-registry busybox-static umoci skopeo util-linux --tool python3 python3
.ci/build-tare.sh || exit
tare=$(realpath "${CARGO_TARGET_DIR:-target}/release/tare")
# shellcheck source=conformance/image/registry.sh
. conformance/image/registry.sh
cache=${XDG_CACHE_HOME:-/var/cache}/tare-callers
[ $# -gt 0 ] || set -- bookworm sid
work=$(mktemp -d /var/tmp/tare-others.XXXXXX)
registry=''
cleanup() {
  [ -z "$registry" ] || stop_registry
  rm -rf "$work"
}
trap cleanup EXIT
export TARE_ROOT=$work/root
start_registry "$work/registry" || exit
at=127.0.0.1:$port

# An image of three layers that begins as ours.
mkdir -p "$work/tree/bin" "$work/tree/etc" "$work/tree/srv"
echo gone >"$work/tree/srv/gone"
cp /bin/busybox "$work/tree/bin/"
umoci init --layout "$work/oci" && umoci new --image "$work/oci:1"
umoci insert --image "$work/oci:1" "$work/tree" / >/dev/null
echo two >"$work/tree/etc/two"
umoci insert --image "$work/oci:1" "$work/tree/etc" /etc >/dev/null
umoci insert --image "$work/oci:1" --whiteout /etc/two >/dev/null
umoci config --image "$work/oci:1" --config.cmd /bin/busybox
skopeo copy --quiet --format v2s2 --dest-tls-verify=false "oci:$work/oci:1" "docker://$at/begin:1"
"$tare" pull --quiet "$at/begin:1" >/dev/null && "$tare" tag "$at/begin:1" "$at/ours:1" && "$tare" push --quiet "$at/ours:1" >/dev/null || exit
"$tare" save -o "$work/ours.tar" "$at/ours:1"
id=$("$tare" images -q --no-trunc "$at/ours" | head -n 1)
digest_of() { "$tare" images --digests --format json "$1" | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["Digest"])'; }
digest=$(digest_of "$at/ours:1")
# One that is ours from the beginning: a container's changes, on layers that the registry has.
"$tare" run --name made "$at/ours:1" /bin/busybox sh -c 'echo made >/made; /bin/busybox rm -r /srv; /bin/busybox mkdir /srv; echo three >/srv/three' || exit
committed=$("$tare" commit --message made -c 'CMD ["/bin/busybox", "cat", "/made"]' made "$at/made:1") && "$tare" rm made >/dev/null || exit
"$tare" push --quiet "$at/made:1" >/dev/null && "$tare" save -o "$work/made.tar" "$at/made:1" || exit
# Its new layer is compressed for the registry, which gives it another manifest there.
made=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$at/made:1")

passed=0 failed=0
for suite in "$@"; do
  root=$cache/engines-$suite
  if [ ! -e "$root/ready-1" ]; then
    echo "unpacking the engines of $suite" >&2
    rm -rf "$root"
    mkdir -p "$cache"
    more=$([ "$suite" = bookworm ] || echo ,docker-cli)
    mmdebstrap --quiet --variant=apt --include="docker.io,containerd,runc,podman,skopeo,umoci,iptables,busybox-static,ca-certificates$more" \
      --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$root" "$(.ci/debian-mirror)" >&2 || exit
    touch "$root/ready-1"
  fi
  rm -rf "$work/shared"
  mkdir -p "$work/shared/data"
  cp "$work/ours.tar" "$work/made.tar" "$work/shared/"
  # What is mounted and started goes with the two namespaces.
  timeout -k 20 400 unshare --mount --pid --fork --kill-child --mount-proc --propagation private bash -c '
    root=$1
    mount --bind "$root" "$root"
    for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mkdir -p "$root/run/shared"
    mount --bind "$2" "$root/run/shared"
    cp conformance/image/others-inside.sh "$root/run/inside.sh"
    exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root AT="$3" ID="$4" DIGEST="$5" MADE="$6" PUSHED="$7" bash /run/inside.sh
  ' bash "$root" "$work/shared" "$at" "$id" "$digest" "$committed" "$made" >"$work/said" 2>&1
  grep -E '^(ok|FAIL) ' "$work/said" | sed "s/^\(ok\|FAIL\) /\1 $suite\//"
  passed=$((passed + $(grep -c '^ok ' "$work/said"))) failed=$((failed + $(grep -c '^FAIL ' "$work/said")))
  grep -q '^done$' "$work/said" || {
    echo "FAIL $suite: it did not come to its end: $(tail -n 5 "$work/said")"
    failed=$((failed + 1))
  }
  # The reverse: what each of them saved and pushed.
  for file in "$work/shared"/from-*.tar; do
    name=$(basename "$file" .tar)
    TARE_ROOT=$work/reverse "$tare" load -q -i "$file" >"$work/error" 2>&1
    found=$(TARE_ROOT=$work/reverse "$tare" images -q --no-trunc)
    rm -rf "$work/reverse"
    if [ "$found" = "$id" ]; then passed=$((passed + 1)) && echo "ok $suite/load-$name"; else
      failed=$((failed + 1))
      echo "FAIL $suite/load-$name: $found is not $id: $(cat "$work/error")"
    fi
  done
  while read -r name pushed; do
    TARE_ROOT=$work/reverse "$tare" pull -q "$at/$name" >"$work/error" 2>&1
    found=$(TARE_ROOT=$work/reverse "$tare" images -q --no-trunc)
    at_registry=$(TARE_ROOT=$work/reverse "$tare" images --digests --format json | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline() or "{\"Digest\": 0}")["Digest"])')
    rm -rf "$work/reverse"
    if [ "$found" = "$id" ] && [ "$at_registry" = "$pushed" ]; then passed=$((passed + 1)) && echo "ok $suite/pull-$name"; else
      failed=$((failed + 1))
      echo "FAIL $suite/pull-$name: $found, $at_registry, not $id, $pushed: $(cat "$work/error")"
    fi
  done <"$work/shared/pushed"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
