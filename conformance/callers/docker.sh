#!/usr/bin/env bash
# dockerd and containerd, started by hand in a directory of their own, with RUNTIME in place of runc.
# With SHIM_RUNTIME, such as io.containerd.tare.v2, that shim is used, which containerd finds on its PATH, and no RUNTIME.
NAME=docker
cd "$(dirname "$0")" && . ./common.sh

containerd_pid='' dockerd_pid=''
docker=/usr/bin/docker
[ -x "$docker" ] || docker=$(command -v docker)
export DOCKER_HOST="unix://$work/d.sock" DOCKER_CONFIG="$work/config" TMPDIR="$work/tmp"

cleanup() {
  [ -n "$dockerd_pid" ] && timeout 20 $docker ps -aq 2>/dev/null | xargs -r timeout 20 $docker rm -f >/dev/null 2>&1
  stop_pid "$dockerd_pid"
  stop_pid "$containerd_pid"
  unmount_below "$work"
  # dockerd asks containerd for groups below its own name only.
  find /sys/fs/cgroup -depth -type d -path "*/$tag*" -exec rmdir {} + 2>/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$work/tmp" "$work/config" "$work/cd"
cat >"$work/containerd.toml" <<CONF
version = 2
root = "$work/cd/root"
state = "$work/cd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$work/c.sock"
CONF
containerd --config "$work/containerd.toml" >"$work/containerd.log" 2>&1 &
containerd_pid=$!
n=0
until [ -S "$work/c.sock" ] || [ $n -gt 100 ]; do sleep 0.1; n=$((n + 1)); done
runtime=(--add-runtime "tested=$RUNTIME" --default-runtime tested)
[ -z "${SHIM_RUNTIME:-}" ] || runtime=(--default-runtime "$SHIM_RUNTIME")
dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/d.pid" --host "$DOCKER_HOST" \
  --containerd "$work/c.sock" --iptables=false --ip6tables=false --bridge=none --storage-driver vfs \
  --cgroup-parent "/$tag" --exec-opt native.cgroupdriver=cgroupfs \
  "${runtime[@]}" >"$work/dockerd.log" 2>&1 &
dockerd_pid=$!
n=0
until timeout 5 $docker version >/dev/null 2>&1 || [ $n -gt 150 ]; do sleep 0.2; n=$((n + 1)); done
timeout 5 $docker version >/dev/null 2>&1
note $? daemon "$(tail -n 5 "$work/dockerd.log" | cut -c1-400)"
if [ "$failed" != 0 ]; then
  tail -n 20 "$work/dockerd.log" "$work/containerd.log"
  finish
  exit 1
fi

make_image
check import 0 '' $docker import "$work/image.tar" bb
bb=bb
net="--network none"
run="run --rm $net"

check run 0 '^hello$' $docker $run $bb echo hello
check exit-status 0 '' $docker $run $bb true
check exit-status-7 7 '' $docker $run $bb sh -c 'exit 7'
check command-not-found-127 127 'executable file not found' $docker $run $bb nosuch
check path-not-found-127 127 'no such file or directory' $docker $run $bb /nosuch
check not-executable-126 126 '[Pp]ermission denied' $docker $run $bb /etc/noexec
check bad-flag-125 125 '' $docker run --frobnicate $bb true
check user 0 'uid=1000' $docker $run --user 1000:1000 $bb id
check read-only 1 'Read-only file system' $docker $run --read-only $bb touch /x
check tmpfs 0 'tmpfs on /data type tmpfs' $docker $run --tmpfs /data:size=1m $bb mount
check volume 0 'version = 2' $docker $run -v "$work/containerd.toml:/v:ro" $bb cat /v
check cap-drop 0 'CapEff:.0000000000000000' $docker $run --cap-drop all $bb grep CapEff /proc/self/status
check cap-add 0 'CapEff:.0000000000001000' $docker $run --cap-drop all --cap-add net_admin $bb grep CapEff /proc/self/status
check memory-limit 0 '^67108864$' $docker $run --memory 64m $bb cat /sys/fs/cgroup/memory/memory.limit_in_bytes
check pids-limit 0 '^50$' $docker $run --pids-limit 50 $bb cat /sys/fs/cgroup/pids/pids.max
check cpus 0 '^50000$' $docker $run --cpus 0.5 $bb cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us
check environment 0 '^A=b c$' $docker $run -e 'A=b c' $bb env
check hostname 0 '^inner$' $docker $run --hostname inner $bb hostname
check workdir 0 '^/made$' $docker $run --workdir /made $bb sh -c 'pwd'
check sysctl 0 '^1$' $docker $run --sysctl net.ipv4.ip_forward=1 $bb cat /proc/sys/net/ipv4/ip_forward
# dockerd asks for every capability that the kernel knows, which a confined root has not.
has_all_capabilities && check privileged 0 '^ok$' $docker $run --privileged $bb echo ok
check seccomp 0 'Seccomp:.2' $docker $run $bb grep Seccomp: /proc/self/status
check ulimit 0 '^77$' $docker $run --ulimit nofile=77:88 $bb sh -c 'ulimit -n'
check pty 0 '37 101' "$on_pty" $docker $run -it $bb sh -c 'sleep 0.3; stty size'
check oom 137 '' $docker $run --memory 16m --memory-swap 16m $bb sh -c 'x=x; while :; do x=$x$x; done'

check detached 0 '' $docker run -d $net --name $tag-a --memory 64m $bb sh -c 'trap "exit 9" TERM; echo started; while :; do sleep 0.1; done'
check ps 0 "$tag-a" $docker ps
check exec 0 '^inside$' $docker exec $tag-a echo inside
check exec-status 5 '' $docker exec $tag-a sh -c 'exit 5'
# docker 20.10 says 126 here whatever the runtime answers.
# Docker 28 tells what was not found from what may not be executed.
not_found=126
[ "$($docker version --format '{{.Server.Version}}' | cut -d. -f1)" -lt 28 ] || not_found=127
check exec-not-found $not_found 'executable file not found' $docker exec $tag-a nosuch
check exec-not-executable-126 126 '[Pp]ermission denied' $docker exec $tag-a /etc/noexec
check exec-user 0 'uid=1000' $docker exec --user 1000 $tag-a id
check exec-env-workdir 0 '^1 /tmp$' $docker exec -e V=1 -w /tmp $tag-a sh -c 'echo $V $(pwd)'
check exec-pty 0 '37 101' "$on_pty" $docker exec -it $tag-a sh -c 'sleep 0.3; stty size'
check logs 0 'started' $docker logs $tag-a
check top 0 'sleep' $docker top $tag-a
check stats 0 "$tag-a" $docker stats --no-stream $tag-a
check update 0 '' $docker update --memory 128m --memory-swap 128m $tag-a
check update-seen 0 '^134217728$' $docker exec $tag-a cat /sys/fs/cgroup/memory/memory.limit_in_bytes
check pause 0 '' $docker pause $tag-a
check paused 0 'paused' $docker inspect --format '{{.State.Status}}' $tag-a
check exec-in-paused 1 'paused' $docker exec $tag-a true
check unpause 0 '' $docker unpause $tag-a
check kill-signal 0 '' $docker kill --signal USR1 $tag-a
check start-again 0 '' $docker start $tag-a
check stop 0 '' $docker stop -t 5 $tag-a
check stopped-by-trap 0 '^9$' $docker inspect --format '{{.State.ExitCode}}' $tag-a
check restart 0 '' $docker restart -t 1 $tag-a
check kill 0 '' $docker kill $tag-a
check killed 0 '^137$' $docker wait $tag-a
check rm 0 '' $docker rm -f $tag-a

if [ -z "${SHIM_RUNTIME:-}" ]; then
  LIMIT=30
  ctr="ctr --address $work/c.sock --namespace $tag"
  check ctr-import 0 '' sh -c "$docker save bb | $ctr images import --base-name docker.io/library/bb -"
  image=$($ctr images ls -q | head -n 1)
  check ctr-run 0 '^from ctr$' $ctr run --rm --runc-binary "$RUNTIME" "$image" $tag-r echo from ctr
  check ctr-run-status 6 '' $ctr run --rm --runc-binary "$RUNTIME" "$image" $tag-s sh -c 'exit 6'
  check ctr-detached 0 '' $ctr run -d --runc-binary "$RUNTIME" "$image" $tag-d sleep 100
  check ctr-exec 0 '^second$' $ctr task exec --exec-id one $tag-d echo second
  check ctr-ps 0 '[0-9]' $ctr task ps $tag-d
  check ctr-metrics 0 'memory' $ctr task metrics $tag-d
  check ctr-pause 0 '' $ctr task pause $tag-d
  check ctr-resume 0 '' $ctr task resume $tag-d
  check ctr-kill 0 '' $ctr task kill -s KILL $tag-d
  sleep 0.5
  check ctr-task-delete 0 '' $ctr task delete $tag-d
  check ctr-delete 0 '' $ctr container delete $tag-d
  $ctr images ls -q | xargs -r $ctr images rm >/dev/null 2>&1
fi

$docker ps -aq | xargs -r $docker rm -f >/dev/null 2>&1
stop_pid "$dockerd_pid"; dockerd_pid=''
stop_pid "$containerd_pid"; containerd_pid=''
sleep 0.3
unmount_below "$work/data"
rmdir /sys/fs/cgroup/*/"$tag" 2>/dev/null
left=$(leftovers "$work|$tag" | grep -v "^/tmp/tc-docker.*/data" | head -n 5)
[ -z "$left" ]; note $? leaves-nothing "$left"
finish
