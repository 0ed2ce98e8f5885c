#!/usr/bin/env bash
# Containers that are kept: `tare ps`, `rm`, `diff`, `commit`, `export`, and what is left of interrupted ones.
quietly "$tare" pull --quiet "$image"
none() { find "$TARE_ROOT/containers" "$TARE_ROOT/container-names" -mindepth 1 -maxdepth 1 2>/dev/null | head -n 3; }
same kept/none-at-first "$(none)" ""

"$tare" run --name one --cidfile "$work/cid" -e Y=kept "$image" sh -c '
  echo new >/new && mkdir -p /made/deep && echo x >/made/deep/file && busybox rm /etc/group && busybox rm -r /layer-1 && mkdir /layer-1 &&
  echo me >/layer-1/me && busybox ln /new /linked && busybox chmod 4755 /new && exit 3'
same kept/status $? 3
id=$(<"$work/cid")
same kept/no-bundle-and-no-mount "$(find /run/tare/containers /run/tare/runtime -mindepth 1 2>/dev/null | head -n 1)" ""
check kept/ps-shows-those-that-run 0 '^CONTAINER ID *IMAGE *COMMAND *CREATED *STATUS *NAMES$' "$tare" ps
check kept/ps-all 0 "^${id:0:12} .*Exited \(3\) .* one$" "$tare" ps -a
check kept/ps-json 0 '"Names":"one".*"State":"exited"' "$tare" ps -a --format json
same kept/ps-quiet "$("$tare" ps -aq --no-trunc)" "$id"
check kept/name-in-use 125 'already in use by container' "$tare" run --name one "$image" true
check kept/name-bad 125 'Invalid container name' "$tare" run --name /x "$image" true
check kept/cidfile-in-use 125 'File exists' "$tare" run --cidfile "$work/cid" "$image" true
same kept/refused-ones-leave-nothing "$("$tare" ps -aq --no-trunc)" "$id"
check kept/not-begun-leaves-nothing 127 '' "$tare" run --name two "$image" nosuch
same kept/not-begun-left-nothing "$("$tare" ps -aq --no-trunc) $(ls "$TARE_ROOT/container-names")" "$id one"

same kept/diff "$("$tare" diff one)" "$(printf '%s\n' 'C /etc' 'D /etc/group' 'C /layer-1' 'D /layer-1/d0' 'D /layer-1/d1' 'A /layer-1/me' 'A /linked' 'A /made' 'A /made/deep' 'A /made/deep/file' 'A /new' | sort -k 2)"
check kept/export 0 '' "$tare" export -o "$work/one.tar" one
names=$(tar -tf "$work/one.tar" | sort)
same kept/export-has "$(grep -xE 'new|linked|made/deep/file|layer-1/.+|etc/.+|bin/busybox' <<<"$names" | tr '\n' ' ')" "bin/busybox etc/hostname etc/hosts etc/passwd etc/resolv.conf layer-1/me linked made/deep/file new "
same kept/export-keeps-modes "$(tar -tvf "$work/one.tar" linked | cut -c1-10)" "-rwsr-xr-x"
same kept/export-twice-the-same "$("$tare" export one | sha256sum)" "$(sha256sum <"$work/one.tar")"
# The same as what docker does with it: an image of one layer.
check kept/export-import 0 '^sha256:' bash -c "$tare export one | $tare import - exported"
check kept/exported-runs 0 '^x$' "$tare" run --rm exported /bin/busybox cat /made/deep/file

check kept/commit 0 '^sha256:' "$tare" commit -m why -a who -c 'LABEL a=b' one committed:1
check kept/committed-has 0 '^new$' "$tare" run --rm committed:1 cat /new
check kept/committed-lacks 1 'No such file' "$tare" run --rm committed:1 ls /etc/group
same kept/committed-opaque "$("$tare" run --rm committed:1 ls /layer-1)" me
check kept/committed-environment 0 '^Y=kept$' "$tare" run --rm committed:1 env
check kept/committed-command 1 "can't remove './etc/group'|can't remove '/etc/group'" "$tare" run --rm committed:1
check kept/committed-label 0 '"a": "b"' "$tare" inspect committed:1
check kept/committed-history 0 'sh -c' "$tare" history --no-trunc committed:1
same kept/committed-layers "$("$tare" inspect committed:1 | python3 -c 'import json,sys; print(len(json.load(sys.stdin)[0]["RootFS"]["Layers"]))')" 8
layer() { "$tare" inspect "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["RootFS"]["Layers"][-1])'; }
quietly "$tare" commit one committed:2
same kept/committed-twice-the-same-layer "$(layer committed:1)" "$(layer committed:2)"
check kept/commit-by-digest 1 'digest reference' "$tare" commit one "x@sha256:$(printf '0%.0s' {1..64})"
check kept/commit-bad-change 1 "RUN can't change" "$tare" commit -c 'RUN x' one
check kept/no-such 1 'No such container: nosuch' "$tare" commit nosuch

# It needs its image, and says so.
check kept/image-in-use 1 "container ${id:0:12} is using its image" bash -c "$tare rmi $image"
quietly "$tare" image prune --all --force
check kept/survives-prune 0 '^A /new$' "$tare" diff one
quietly "$tare" rmi --force "$image"
check kept/survives-its-image 0 '' "$tare" export -o "$work/again.tar" one
cmp -s "$work/one.tar" "$work/again.tar"; note $? kept/survives-it-whole "the archives differ"
check kept/commit-without-its-image 0 '^sha256:' "$tare" commit one committed:3

# A running one is paused meanwhile, and goes on however the commit ends.
quietly "$tare" pull --quiet "$image"
"$tare" run --rm --name two "$image" sh -c 'echo up; n=0; while [ ! -e /end ]; do n=$((n + 1)); echo $n >/count; sleep 0.02; done' >"$work/up4" &
pid=$!
for _ in $(seq 100); do if grep -q up "$work/up4"; then break; fi; sleep 0.05; done
check kept/ps-running 0 'Up +two$' "$tare" ps
check kept/rm-running 1 'remove it by force' "$tare" rm two
check kept/commit-running 0 '^sha256:' "$tare" commit two running
check kept/commit-running-goes-on 0 'Up +two$' "$tare" ps
check kept/export-running 0 '^count$' bash -c "$tare export two | tar -t"
before=$("$tare" diff two | wc -l)
for _ in $(seq 30); do
  "$tare" commit two killed:1 >/dev/null 2>&1 &
  commit=$!
  sleep "0.00$((RANDOM % 10))"
  kill -KILL $commit 2>/dev/null
  wait $commit 2>/dev/null
done
for _ in $(seq 100); do if "$tare" ps | grep -q 'Up  *two'; then break; fi; sleep 0.05; done
check kept/commit-killed-goes-on 0 'Up +two$' "$tare" ps
same kept/commit-killed-changes-nothing "$("$tare" diff two | wc -l)" "$before"
check kept/rm-force 0 '^two$' "$tare" rm -f two
status=0; wait $pid || status=$?
same kept/rm-force-killed-it $status 137

# One whose tare is killed is kept too.
"$tare" run --name three "$image" sh -c 'echo up; echo kept >/kept; sleep 1' >"$work/up5" &
pid=$!
for _ in $(seq 100); do if grep -q up "$work/up5"; then break; fi; sleep 0.05; done
kill -KILL $pid
wait $pid 2>/dev/null
check kept/outlives-its-tare 0 'Up +three$' "$tare" ps
sleep 1.5
quietly "$tare" run --rm "$image" true
check kept/orphan-exited 0 'Exited \(unknown\).* three$' "$tare" ps -a
check kept/orphan-has-its-changes 0 '^A /kept$' "$tare" diff three

# Killed anywhere: each is a container or nothing, and none keeps a name that is nobody's.
for n in $(seq 60); do
  "$tare" run --name "k$((n % 4))" "$image" touch /x >/dev/null 2>&1 &
  run=$!
  sleep "0.0$((RANDOM % 6))$((RANDOM % 10))"
  kill -KILL $run 2>/dev/null
  wait $run 2>/dev/null
  "$tare" ps -aq --no-trunc >"$work/listed" || break
  if [ $((n % 10)) = 0 ]; then for name in k0 k1 k2 k3; do "$tare" rm -f $name >/dev/null 2>&1; done; fi
done
same kept/killed-runs-are-listed $n 60
sleep 0.3
quietly "$tare" run --rm "$image" true
for left in $("$tare" ps -aq --no-trunc); do
  case $("$tare" ps -a --no-trunc | grep "^$left") in *' k'[0-3]) "$tare" rm -f "$left" >/dev/null || break ;; esac
done
same kept/killed-runs-are-removed "$("$tare" ps -a | grep -c ' k[0-3]$')" 0
same kept/killed-runs-leave-no-directory "$(find "$TARE_ROOT/containers" -mindepth 1 -maxdepth 1 | wc -l)" "$("$tare" ps -aq | wc -l)"
check kept/killed-runs-leave-no-name 0 '^free$' "$tare" run --rm --name k1 "$image" /bin/busybox echo free
same kept/killed-runs-leave-no-mount "$(find /run/tare/containers /run/tare/runtime -mindepth 1 2>/dev/null | head -n 1)" ""

check kept/rm 0 '^one$' "$tare" rm one three
check kept/rm-again 1 'No such container: one' "$tare" rm one
quietly "$tare" rmi -f committed:1 committed:2 committed:3 exported running
quietly "$tare" rmi -f killed:1
quietly "$tare" image prune --all --force
same kept/none-at-last "$(none)" ""
same kept/nothing-in-the-store "$(find "$TARE_ROOT"/images/layers/sha256 "$TARE_ROOT"/images/ingest -mindepth 1 -maxdepth 1)" ""
