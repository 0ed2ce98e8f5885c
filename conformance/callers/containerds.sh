#!/usr/bin/env bash
# callers/shim.sh, cri.sh, and docker.sh with the shim as dockerd's runtime, with those of other Debian releases, each in a root of its own:
#   callers/containerds.sh [SUITE...]
#   SHIM=target/release/containerd-shim-tare-v2 CRI=path/of/cri-caller conformance/callers/containerds.sh trixie sid
# The roots are unpacked below ${XDG_CACHE_HOME:-/var/cache}/tare-callers from the mirror that this machine's apt sources name.
set -euo pipefail
SHIM=$(readlink -f "${SHIM:?SHIM is the path of the shim to test}")
CRI=$(readlink -f "${CRI:?CRI is the path of cri-caller, which conformance/cri builds}")
cd "$(dirname "$0")"
../../.ci/need mmdebstrap >&2
cache=${XDG_CACHE_HOME:-/var/cache}/tare-callers
[ $# -gt 0 ] || set -- trixie sid

mirror=$(
  # shellcheck disable=SC2016 # apt expands these
  apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk '$1 == "Debian/Debian" && $2 == "main" { print $3; exit }'
)
[ -n "$mirror" ] || {
  echo "no Debian mirror among this machine's apt sources" >&2
  exit 1
}

passed=0 failed=0
for suite in "$@"; do
  root=$cache/$suite
  if [ ! -e "$root/ready-3" ]; then
    echo "unpacking containerd of $suite" >&2
    rm -rf "$root"
    mkdir -p "$cache"
    mmdebstrap --quiet --variant=apt --include=containerd,runc,docker.io,docker-cli,iptables,busybox-static,procps,bsdutils,util-linux,findutils,mount,iproute2,containernetworking-plugins \
      --aptopt='Acquire::Check-Valid-Until "false"' "$suite" "$root" "$mirror" >&2
    touch "$root/ready-3"
  fi
  log=$(mktemp)
  # A mount namespace of its own: whatever is mounted for the root goes with it.
  timeout -k 20 700 unshare --mount --propagation private bash -c '
    root=$1
    # Left by pivot_root, for which the new root has to be a mount: who is in a chroot may make no user namespace, and a pod can have one.
    mount --bind "$root" "$root"
    for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
    mount -t tmpfs tmpfs "$root/run"
    mount -t tmpfs tmpfs "$root/tmp"
    mkdir -p "$root/run/callers" "$root/run/old"
    cp "$2" "$root/run/callers/containerd-shim-tare-v2"
    cp "$3" "$root/run/callers/cri-caller"
    cp ./*.sh "$root/run/callers/"
    cd "$root"
    pivot_root . run/old
    umount -l /run/old
    exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
      SHIM=/run/callers/containerd-shim-tare-v2 CRI=/run/callers/cri-caller RUNTIME=/usr/sbin/runc SHIM_RUNTIME=io.containerd.tare.v2 \
      bash -c "PATH=\$PATH:/run/callers; bash /run/callers/shim.sh; bash /run/callers/cri.sh; bash /run/callers/docker.sh"' bash "$root" "$SHIM" "$CRI" 2>&1 | tee "$log" || true # counted below
  version=$(chroot "$root" containerd --version | awk '{ print $3 }')
  ends=0
  while read -r name p f; do
    echo "$name of $suite (containerd $version): $p passed, $f failed"
    passed=$((passed + p)) failed=$((failed + f)) ends=$((ends + 1))
  done < <(sed -nE 's/^caller ([a-z]+): ([0-9]+) passed, ([0-9]+) failed$/\1 \2 \3/p' "$log")
  rm -f "$log"
  if [ $ends != 3 ]; then
    echo "FAIL $suite: $ends of 3 scripts came to their end"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
