#!/usr/bin/env bash
# Debian 12's podman and conmon with RUNTIME in place of runc.
NAME=podman
cd "$(dirname "$0")" && . ./common.sh

mkdir -p "$work/etc" "$work/hooks" "$work/tmp"
# A root without CAP_SYS_RESOURCE cannot raise limits to podman's defaults.
cat >"$work/etc/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "$RUNTIME"
CONF
printf '[storage]\ndriver = "vfs"\nrunroot = "%s/run"\ngraphroot = "%s/graph"\n' "$work" "$work" >"$work/etc/storage.conf"
printf '{"default":[{"type":"insecureAcceptAnything"}]}' >"$work/etc/policy.json"
export CONTAINERS_CONF="$work/etc/containers.conf" CONTAINERS_STORAGE_CONF="$work/etc/storage.conf" TMPDIR="$work/tmp"

podman() {
  command podman --root "$work/graph" --runroot "$work/run" --tmpdir "$work/pt" --storage-driver vfs --runtime "$RUNTIME" \
    --cgroup-manager cgroupfs --hooks-dir "$work/hooks" "$@"
}
# `timeout` needs a program, not a function.
p="$work/podman"
{
  printf '#!/bin/sh\nexec /usr/bin/podman'
  printf ' %q' --root "$work/graph" --runroot "$work/run" --tmpdir "$work/pt" --storage-driver vfs --runtime "$RUNTIME" --cgroup-manager cgroupfs --hooks-dir "$work/hooks"
  printf ' "$@"\n'
} >"$p"
chmod +x "$p"

cleanup() {
  podman rm -af -t 0 >/dev/null 2>&1
  unmount_below "$work"
  rm -rf "$work"
}
trap cleanup EXIT

make_image
check import 0 '' "$p" import --signature-policy "$work/etc/policy.json" "$work/image.tar" localhost/bb:latest
bb=localhost/bb:latest
net="--network none"
run="run --rm $net"

check run 0 '^hello$' "$p" $run $bb echo hello
check exit-status 0 '' "$p" $run $bb true
check exit-status-7 7 '' "$p" $run $bb sh -c 'exit 7'
check command-not-found-127 127 'executable file not found' "$p" $run $bb nosuch
check path-not-found-127 127 'no such file or directory' "$p" $run $bb /nosuch
check not-executable-126 126 '[Pp]ermission denied' "$p" $run $bb /etc/noexec
check bad-flag-125 125 '' "$p" run --frobnicate $bb true
check user 0 'uid=1000' "$p" $run --user 1000:1000 $bb id
check read-only 1 'Read-only file system' "$p" $run --read-only --read-only-tmpfs=false $bb touch /x
check tmpfs 0 'tmpfs on /data type tmpfs' "$p" $run --tmpfs /data:size=1m $bb mount
check volume 0 'from the host' "$p" $run -v "$work/etc:/v:ro" $bb sh -c 'grep -q insecure /v/policy.json && echo from the host'
check cap-drop 0 'CapEff:.0000000000000000' "$p" $run --cap-drop all $bb grep CapEff /proc/self/status
check cap-add 0 'CapEff:.0000000000001000' "$p" $run --cap-drop all --cap-add net_admin $bb grep CapEff /proc/self/status
check memory-limit 0 '^67108864$' "$p" $run --memory 64m $bb cat /sys/fs/cgroup/memory/memory.limit_in_bytes
check pids-limit 0 '' "$p" $run --pids-limit 50 $bb true
check environment 0 '^A=b c$' "$p" $run -e 'A=b c' $bb env
check hostname 0 '^inner$' "$p" $run --hostname inner $bb hostname
check workdir 0 '^/tmp$' "$p" $run --workdir /tmp $bb sh -c 'pwd'
check sysctl 0 '^1$' "$p" $run --sysctl net.ipv4.ip_forward=1 $bb cat /proc/sys/net/ipv4/ip_forward
check init-pid 0 'PID' "$p" $run $bb ps
check privileged 0 '^ok$' "$p" $run --privileged $bb echo ok
check seccomp 0 'Seccomp:.2' "$p" $run $bb grep Seccomp: /proc/self/status
check pty 0 '37 101' "$on_pty" "$p" $run -it $bb sh -c 'sleep 0.3; stty size'

check detached 0 '' "$p" run -d $net --name $tag-a --memory 64m $bb sh -c 'trap "exit 9" TERM; echo started; while :; do sleep 0.1; done'
check ps 0 "$tag-a" "$p" ps
check exec 0 '^inside$' "$p" exec $tag-a echo inside
check exec-status 5 '' "$p" exec $tag-a sh -c 'exit 5'
check exec-not-found-127 127 'executable file not found' "$p" exec $tag-a nosuch
check exec-not-executable-126 126 '[Pp]ermission denied' "$p" exec $tag-a /etc/noexec
check exec-user 0 'uid=1000' "$p" exec --user 1000 $tag-a id
check exec-env-workdir 0 '^1 /tmp$' "$p" exec -e V=1 -w /tmp $tag-a sh -c 'echo $V $(pwd)'
check logs 0 'started' "$p" logs $tag-a
check top 0 'sleep' "$p" top $tag-a
check stats 0 "$tag-a" "$p" stats --no-stream $tag-a
check inspect 0 'running' "$p" inspect --format '{{.State.Status}} {{.OCIRuntime}}' $tag-a
check pause 0 '' "$p" pause $tag-a
check exec-in-paused 255 '' "$p" exec $tag-a true
check unpause 0 '' "$p" unpause $tag-a
check kill-signal 0 '' "$p" kill --signal USR1 $tag-a
check stop 0 '' "$p" stop -t 5 $tag-a
check wait 0 '' "$p" wait $tag-a
check start-again 0 '' "$p" start $tag-a
check restart 0 '' "$p" restart -t 1 $tag-a
check kill 0 '' "$p" kill $tag-a
check rm 0 '' "$p" rm -f -t 0 $tag-a

check detached-pty 0 '' "$p" run -dit $net --name $tag-t $bb sh
check exec-pty 0 '37 101' "$on_pty" "$p" exec -it $tag-t sh -c 'sleep 0.3; stty size'
check rm-pty 0 '' "$p" rm -f -t 0 $tag-t

check pod-create 0 '' "$p" create $net --name $tag-c $bb echo created
check create-start 0 '' "$p" start $tag-c
check create-logs 0 '' "$p" wait $tag-c
check rm-created 0 '' "$p" rm -f -t 0 $tag-c

podman rm -af -t 0 >/dev/null 2>&1
sleep 0.3
unmount_below "$work"
left=$(leftovers "$work|$tag-|libpod-[0-9a-f]{64}" | grep -v '^/tmp/tc-podman' | head -n 5)
[ -z "$left" ]; note $? leaves-nothing "$left"
finish
