#!/usr/bin/env bash
# A real containerd, started by hand in a directory of its own, with the shim SHIM as the runtime io.containerd.tare.v2:
#   SHIM=target/release/containerd-shim-tare-v2 callers/shim.sh
NAME=shim
SHIM=$(readlink -f "${SHIM:?SHIM is the path of the shim to test}")
cd "$(dirname "$0")" || exit 2
RUNTIME=$SHIM
. ./common.sh
SHIM=$RUNTIME
LIMIT=30

containerd_pid=''
cleanup() {
  for id in $($ctr task ls -q 2>/dev/null); do $ctr task rm -f "$id" >/dev/null 2>&1; done
  stop_pid "$containerd_pid"
  unmount_below "$work"
  find /sys/fs/cgroup -depth -type d -path "*/$tag*" -exec rmdir {} + 2>/dev/null
  rm -rf "$work" "/run/containerd/tare/$tag"
}
trap cleanup EXIT

mkdir -p "$work/bin" "$work/cd"
# Found by its name, as containerd does it.
ln -s "$SHIM" "$work/bin/containerd-shim-tare-v2"
cat >"$work/containerd.toml" <<CONF
version = 2
root = "$work/cd/root"
state = "$work/cd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$work/c.sock"
CONF
ctr="ctr --address $work/c.sock --namespace $tag"

# The pid of the shim that serves a container: who listens on the socket that the bundle names.
shim_of() {
  local socket
  socket=$(cat "$work/cd/state/io.containerd.runtime.v2.task/$tag/$1/address") || return
  ss -xlpnH src "${socket#unix://}" | sed -n 's/.*,pid=\([0-9]*\),.*/\1/p'
}

start_containerd
timeout 5 $ctr version >/dev/null 2>&1
note $? daemon "$(tail -n 5 "$work/containerd.log" | cut -c1-400)"
make_image
run="$ctr run --runtime io.containerd.tare.v2 --env PATH=/bin --rootfs"
image=$work/image

check run 0 '^from ctr$' $run --rm "$image" $tag-r echo from ctr
check run-status 6 '' $run --rm "$image" $tag-s sh -c 'exit 6'
check run-killed 137 '' $run --rm "$image" $tag-k sh -c 'sleep 100 & kill -9 $!; wait $!'
check run-not-found 1 'executable file not found' $run --rm "$image" $tag-n nosuch
check run-tty 0 '/dev/' "$on_pty" $run --rm -t "$image" $tag-t sh -c 'tty'
check detached 0 '' $run -d "$image" $tag-d sleep 1000
check listed 0 "$tag-d .*RUNNING" $ctr task ls
check exec 0 '^second$' $ctr task exec --exec-id one $tag-d echo second
check exec-status 9 '' $ctr task exec --exec-id two $tag-d sh -c 'exit 9'
check exec-tty 0 '37 101' "$on_pty" $ctr task exec -t --exec-id three $tag-d sh -c 'sleep 0.5; stty size'
check ps 0 '[0-9]' $ctr task ps $tag-d
check metrics 0 'memory' $ctr task metrics $tag-d
check pause 0 '' $ctr task pause $tag-d
check paused 0 "$tag-d .*PAUSED" $ctr task ls
check resume 0 '' $ctr task resume $tag-d

# The container outlives containerd, and is known to the next one.
stop_pid "$containerd_pid" KILL
start_containerd
check restarted-running 0 "$tag-d .*RUNNING" $ctr task ls
check restarted-exec 0 '^third$' $ctr task exec --exec-id four $tag-d echo third

check kill 0 '' $ctr task kill -s KILL $tag-d
n=0
until $ctr task ls | grep -q "$tag-d .*STOPPED" || [ $n -gt 50 ]; do sleep 0.1; n=$((n + 1)); done
check task-delete 0 'exit code 137' $ctr task delete $tag-d
check delete 0 '' $ctr container delete $tag-d

# What a shim that dies leaves is cleaned up.
check doomed 0 '' $run -d "$image" $tag-x sleep 1000
init=$($ctr task ls | awk -v id="$tag-x" '$1 == id { print $2 }')
kill -KILL $(shim_of $tag-x)
n=0
while kill -0 "$init" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
! kill -0 "$init" 2>/dev/null; note $? doomed-is-ended "pid $init runs on"
$ctr task rm -f $tag-x >/dev/null 2>&1
check doomed-delete 0 '' $ctr container delete $tag-x

# 20 at once.
ids=$(seq 20)
for id in $ids; do timeout 30 $run -d "$image" "$tag-m$id" sleep 1000 >/dev/null 2>&1 & pids[id]=$!; done
for id in $ids; do wait "${pids[id]}"; done
running=$($ctr task ls | grep -c "$tag-m.*RUNNING")
[ "$running" = 20 ]; note $? twenty-at-once "$running of 20 run"
for id in $ids; do timeout 30 $ctr task rm -f "$tag-m$id" >/dev/null 2>&1; timeout 30 $ctr container delete "$tag-m$id" >/dev/null 2>&1; done

[ -z "$(pgrep -f -- "containerd-shim-tare-v2 -namespace $tag")" ]
note $? no-shim-is-left "$(pgrep -af -- "containerd-shim-tare-v2 -namespace $tag" | head -n 3)"
stop_pid "$containerd_pid"; containerd_pid=''
unmount_below "$work/cd"
# ctr makes a group for its namespace and leaves it.
find /sys/fs/cgroup -maxdepth 2 -type d -name "$tag" -exec rmdir {} + 2>/dev/null
left=$(leftovers "$work|$tag" | head -n 5)
[ -z "$left" ]; note $? leaves-nothing "$left"
finish
