#!/usr/bin/env bash
# `tare run`: what the program sees, how it ends, and that nothing stays.
quietly "$tare" pull --quiet "$image"

check containers/command 0 '^hello$' "$tare" run --rm "$image" /bin/busybox echo hello
check containers/cmd-of-the-image 0 '^$' "$tare" run --rm "$image"
check containers/environment 0 '^X=image$' "$tare" run --rm "$image" env
check containers/environment-typed 0 '^X=typed$' "$tare" run --rm -e X=typed "$image" env
check containers/path 0 '^PATH=/usr/local/sbin' "$tare" run --rm "$image" env
check containers/user 0 'uid=1000\(me\) gid=100\(users\) groups=(100\(users\),10|10\(wheel\),100)' "$tare" run --rm -u me "$image" id
check containers/user-unknown 125 'unable to find user nobody' "$tare" run --rm -u nobody "$image" id
check containers/directory 0 '^/made/for/it$' "$tare" run --rm -w /made/for/it "$image" pwd
check containers/hostname 0 '^there$' "$tare" run --rm -h there "$image" hostname
check containers/status 7 '' "$tare" run --rm "$image" sh -c 'exit 7'
check containers/killed 137 '' "$tare" run --rm "$image" sh -c 'sleep 9 & kill -9 $!; wait $!'
check containers/not-found 127 'nosuch' "$tare" run --rm "$image" nosuch
check containers/not-executable 126 'ermission denied' "$tare" run --rm "$image" /etc/passwd
check containers/no-image 125 'not found at' "$tare" run --rm "127.0.0.1:$port/nosuch"
check containers/bad-option 125 'unexpected argument' "$tare" run --rm --colour "$image"
check containers/bind 0 '^bound$' bash -c "mkdir -p $work/bound && echo bound >$work/bound/f && $tare run --rm -v $work/bound:/b:ro $image cat /b/f"
check containers/bind-read-only 1 'Read-only' "$tare" run --rm -v "$work/bound:/b:ro" "$image" touch /b/x
check containers/bind-writes 0 '' "$tare" run --rm -v "$work/bound:/b" "$image" touch /b/written
[ -e "$work/bound/written" ]; note $? containers/bind-wrote "the file is not there"
check containers/root-read-only 1 'Read-only' "$tare" run --rm --read-only "$image" touch /x
check containers/typed 0 '^to it$' bash -c "echo to it | $tare run --rm -i $image cat"
check containers/nothing-typed 0 '^$' bash -c "echo to it | $tare run --rm $image cat"
check containers/no-terminal 125 'not a TTY' "$tare" run --rm -t "$image" tty
check containers/terminal 0 '/dev/(pts/0|console)' script -qec "$tare run --rm -t $image tty" /dev/null
check containers/no-network 0 '^1$' "$tare" run --rm "$image" sh -c 'ls /sys/class/net | grep -c .'
check containers/host-network 0 '^same$' bash -c "[ \$($tare run --rm --network host $image sh -c 'busybox readlink /proc/self/ns/net') = \$(readlink /proc/self/ns/net) ] && echo same"
check containers/confined 0 'Seccomp:.*2' "$tare" run --rm "$image" cat /proc/self/status
# What one changes the next does not see.
check containers/changes 0 '' "$tare" run --rm "$image" touch /changed
check containers/changes-are-gone 1 'No such file' "$tare" run --rm "$image" ls /changed
# Many at once: each sweeps, and none takes another for one that was left behind.
pids=()
for n in $(seq 40); do
  "$tare" run --rm "$image" sh -c "exit $n" >>"$work/many-said" 2>&1 &
  pids+=($!)
done
wrong=''
for n in $(seq 40); do
  status=0; wait "${pids[$((n - 1))]}" || status=$?
  [ $status = "$n" ] || wrong="$wrong $n:$status"
done
same containers/many-at-once "$wrong$(cat "$work/many-said")" ""
# A signal to tare reaches the program.
"$tare" run --rm "$image" sh -c 'trap "exit 33" TERM; echo up; while :; do sleep 0.05; done' >"$work/up" &
pid=$!
for _ in $(seq 100); do if grep -q up "$work/up"; then break; fi; sleep 0.05; done
kill -TERM $pid
status=0; wait $pid || status=$?
same containers/signal $status 33
# One whose tare is killed runs on to its end, and the next run takes away what is left of it.
"$tare" run --rm "$image" sh -c 'echo up; sleep 1' >"$work/up2" &
pid=$!
for _ in $(seq 100); do if grep -q up "$work/up2"; then break; fi; sleep 0.05; done
kill -KILL $pid
wait $pid 2>/dev/null || true
quietly "$tare" run --rm "$image" true
[ -n "$(ls /run/tare/containers)" ]; note $? containers/outlives-its-tare "it was taken away while it ran"
sleep 1.5
quietly "$tare" run --rm "$image" true
same containers/swept "$(find /run/tare/containers /run/tare/runtime "$TARE_ROOT/containers" -mindepth 1 -maxdepth 1)" ""
# An image that is removed while it runs goes when nobody runs it.
"$tare" run --rm "$image" sh -c 'echo up; sleep 0.7; busybox cat /etc/group' >"$work/up3" &
pid=$!
for _ in $(seq 100); do if grep -q up "$work/up3"; then break; fi; sleep 0.05; done
quietly "$tare" rmi -f "$image"
status=0; wait $pid || status=$?
same containers/image-removed-meanwhile "$status $(grep -c wheel "$work/up3")" "0 1"
quietly "$tare" image prune --all --force
same containers/nothing-is-left "$(find "$TARE_ROOT"/images/layers/sha256 -mindepth 1 -maxdepth 1)" ""
# 127 layers are one root.
push_image "127.0.0.1:$port/many" 126
check containers/many-layers 0 '/layer-126/d0/e/f0' "$tare" run --rm "127.0.0.1:$port/many" ls /layer-126/d0/e/f0
check containers/many-layers-lowest 0 'wheel' "$tare" run --rm "127.0.0.1:$port/many" cat /etc/group
