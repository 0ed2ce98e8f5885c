#!/usr/bin/env bash
# kubelet's part, played to the CRI of a real containerd with the shim SHIM as its runtime: with a pause container, and from 2.0 on without.
#   SHIM=target/release/containerd-shim-tare-v2 CRI=path/of/cri-caller callers/cri.sh
NAME=cri
SHIM=$(readlink -f "${SHIM:?SHIM is the path of the shim to test}")
CRI=$(readlink -f "${CRI:?CRI is the path of cri-caller, which conformance/cri builds}")
# Pods get interfaces, of a network namespace that goes with this script; so do the shims that a failure leaves, by the end of its
# pid namespace, and mounts.
if [ -z "${IN_NAMESPACES:-}" ]; then
  export SHIM CRI IN_NAMESPACES=1
  exec unshare --net --pid --fork --kill-child --mount --propagation private --mount-proc bash "$0" "$@"
fi
cd "$(dirname "$0")" || exit 2
RUNTIME=$SHIM
. ./common.sh
ip link set lo up

containerd_pid=''
cleanup() {
  stop_pid "$containerd_pid"
  unmount_below "$work"
  # CRI's namespace has one name on each machine: what was there before stays.
  [ -n "$had_state" ] || rm -rf "$state"
  # What a case that failed has left in it runs in this pid namespace.
  [ -n "$had_group" ] || find /sys/fs/cgroup -maxdepth 2 -type d -name k8s.io | while read -r group; do
    find "$group" -name cgroup.procs -exec cat {} + | grep -v '^0$' | xargs -r kill -KILL 2>/dev/null
    sleep 0.1
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
  done
  rm -rf "$work"
}
state=/run/containerd/tare/k8s.io had_state='' had_group=''
[ ! -e "$state" ] || had_state=1
[ -z "$(find /sys/fs/cgroup -maxdepth 2 -type d -name k8s.io)" ] || had_group=1
trap cleanup EXIT

version=$(containerd --version | awk '{ print $3 }')
plugins=
for plugins in /usr/lib/cni /opt/cni/bin; do [ -x "$plugins/bridge" ] && break; done
mkdir -p "$work/bin" "$work/cd" "$work/net.d" "$work/cri"
ln -s "$SHIM" "$work/bin/containerd-shim-tare-v2"
cat >"$work/net.d/10-tare.conflist" <<CONF
{"cniVersion": "0.4.0", "name": "tare", "plugins": [
  {"type": "bridge", "bridge": "tare0", "ipam": {"type": "host-local", "dataDir": "$work/ipam", "subnet": "10.88.0.0/16"}}]}
CONF
image=tare.test/pause:1
handlers=(tare) import=(--snapshotter native)
# What containerd itself can't do: CRI_SKIP's lines.
case ${version#v} in
  1.[0-6].*)
    CRI_SKIP="tare/user-namespace containerd before 1.7 passes over a pod's user namespace
tare/user-namespace-with-a-volume containerd before 1.7 passes over a pod's user namespace"
    ;;
  1.7.*) CRI_SKIP="tare/user-namespace-with-a-volume containerd before 2.0 refuses volumes of a pod with a user namespace: it makes no idmapped mounts" ;;
  2.[01].*) CRI_SKIP="tare-pods/on-the-hosts-network containerd 2.1.9 ends by a nil pointer where a pod of a shim has no network namespace" ;;
esac
export CRI_SKIP=${CRI_SKIP:-}
case ${version#v} in
  1.*)
    cri='plugins."io.containerd.grpc.v1.cri"'
    cat >"$work/containerd.toml" <<CONF
version = 2
[$cri]
  sandbox_image = "$image"
  stream_server_address = "127.0.0.1"
  restrict_oom_score_adj = true
  disable_apparmor = true
[$cri.containerd]
  snapshotter = "native"
  default_runtime_name = "tare"
[$cri.containerd.runtimes.tare]
  runtime_type = "io.containerd.tare.v2"
[$cri.cni]
  bin_dir = "$plugins"
  conf_dir = "$work/net.d"
CONF
    ;;
  *)
    handlers=(tare tare-pods)
    cri="plugins.'io.containerd.cri.v1.runtime'"
    cat >"$work/containerd.toml" <<CONF
version = 3
[plugins.'io.containerd.cri.v1.images']
  snapshotter = "native"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "$image"
[plugins.'io.containerd.grpc.v1.cri']
  stream_server_address = "127.0.0.1"
[$cri]
  restrict_oom_score_adj = true
  disable_apparmor = true
[$cri.containerd]
  default_runtime_name = "tare"
[$cri.containerd.runtimes.tare]
  runtime_type = "io.containerd.tare.v2"
[$cri.containerd.runtimes.tare-pods]
  runtime_type = "io.containerd.tare.v2"
  sandboxer = "shim"
[$cri.cni]
  bin_dirs = ["$plugins"]
  conf_dir = "$work/net.d"
CONF
    # Its own importer, as 1.x has it: the daemon's would unpack for its default snapshotter only.
    import+=(--local)
    ;;
esac
cat >>"$work/containerd.toml" <<CONF
[grpc]
  address = "$work/c.sock"
CONF
sed -i "1a root = \"$work/cd/root\"\nstate = \"$work/cd/state\"\ndisabled_plugins = [\"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.devmapper\", \"io.containerd.snapshotter.v1.zfs\"]" "$work/containerd.toml"
ctr="ctr --address $work/c.sock --namespace k8s.io"

# An archive as `docker save` writes it: one layer, whose program is busybox.
make_archive() {
  make_image
  local layer config
  layer=$(sha256sum "$work/image.tar" | cut -d' ' -f1)
  mkdir -p "$work/archive/$layer"
  cp "$work/image.tar" "$work/archive/$layer/layer.tar"
  printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["sleep","1000000"],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$(uname -m | sed 's/x86_64/amd64/; s/aarch64/arm64/')" "$layer" >"$work/config.json"
  config=$(sha256sum "$work/config.json" | cut -d' ' -f1)
  mv "$work/config.json" "$work/archive/$config.json"
  printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["%s/layer.tar"]}]' "$config" "$image" "$layer" >"$work/archive/manifest.json"
  tar -C "$work/archive" -cf "$work/archive.tar" .
}

# cri PART: counts the client's lines.
cri() {
  local line
  while read -r line; do
    case $line in
      "ok cri/"*) note 0 "${line#ok cri/}" '' ;;
      "FAIL cri/"*) line=${line#FAIL cri/} && note 1 "${line%%: *}" "${line#*: }" ;;
      *) echo "$line" ;;
    esac
  done < <(timeout -k 5 180 "$CRI" "$work/c.sock" "$handler" "$image" "$work/cri" "$1" 2>&1; echo "status $?")
}

make_archive
start_containerd
timeout 5 $ctr version >/dev/null 2>&1
note $? daemon "$(tail -n 5 "$work/containerd.log" | cut -c1-400)"
check image 0 '' $ctr images import "${import[@]}" "$work/archive.tar"
for handler in "${handlers[@]}"; do
  cri life
  cri before
  stop_pid "$containerd_pid" KILL
  sleep 2
  start_containerd
  cri after
  cri pods
done
n=0
while pgrep -f -- "containerd-shim-tare-v2 .*-address $work/" >/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
[ -z "$(pgrep -f -- "containerd-shim-tare-v2 .*-address $work/")" ]
note $? no-shim-is-left "$(pgrep -af -- "containerd-shim-tare-v2 .*-address $work/" | head -n 3)"
[ -z "${KEEP_LOG:-}" ] || cp "$work/containerd.log" "$KEEP_LOG"
stop_pid "$containerd_pid"; containerd_pid=''
unmount_below "$work/cd"
left=$(leftovers "$work" | head -n 5)
[ -z "$left" ]; note $? leaves-nothing "$left"
finish
