#!/bin/sh
# Runs in a delegated unit of the user's manager, as the user; prints counts.
export PATH=/usr/local/bin:/usr/bin:/bin
trun=$PAYLOAD/bin/trun
work=$(mktemp -d)
state=$XDG_RUNTIME_DIR/tare-state
own=$(sed -n 's/^0:://p' /proc/self/cgroup)
mount=/sys/fs/cgroup
passed=0 failed=0

check() { # NAME COMMAND...: passes if the command does
  name=$1
  shift
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    echo "ok user/$name"
  else
    failed=$((failed + 1))
    echo "FAIL user/$name: $output"
  fi
}
is() { # COMMAND's output is TEXT
  text=$1
  shift
  found=$("$@" 2>&1)
  [ "$found" = "$text" ] || {
    echo "$* gave '$found' instead of '$text'"
    return 1
  }
}
has() { # the file holds TEXT
  is "$2" cat "$1"
}
bundle() { # NAME JQ: a bundle from `spec --rootless`, changed
  mkdir -p "$work/$1/rootfs/bin"
  cp /bin/busybox "$work/$1/rootfs/bin/"
  for applet in sh sleep cat id true; do ln -sf busybox "$work/$1/rootfs/bin/$applet"; done
  "$trun" spec --rootless --bundle "$work/$1"
  jq "$2" "$work/$1/config.json" >"$work/new" && mv "$work/new" "$work/$1/config.json"
}
run() { # FLAGS -- BUNDLE ID: to its end
  flags=
  while [ "$1" != -- ]; do
    flags="$flags $1"
    shift
  done
  "$trun" --root "$state" $flags run --bundle "$work/$2" "$3"
}
detach() { # TRUN ARGUMENTS: the container keeps the streams, so they are a file
  "$trun" --root "$state" "$@" >"$work/streams" 2>&1 </dev/null || {
    cat "$work/streams"
    return 1
  }
}
gone() { # no group of that id is left
  left=$(find "$mount$own" "$mount${own%/*/*}" -name "*$1*" 2>/dev/null)
  [ -z "$left" ] || {
    echo "left: $left"
    return 1
  }
}

# This script makes room: a group with processes can't hand controllers on.
mkdir "$mount$own/script"
echo $$ >"$mount$own/script/cgroup.procs"
limits='.linux.resources = {memory: {limit: 67108864}, pids: {limit: 55}}'
quiet='.process.terminal = false'

bundle hello "$quiet | .process.args = [\"/bin/id\", \"-u\"]"
check runs is 0 run -- hello u1
check systemd-runs is 0 run --systemd-cgroup -- hello u2

bundle own "$quiet | $limits | .linux.cgroupsPath = \"$own/u3\" | .process.args = [\"/bin/sleep\", \"1000\"]"
check starts detach run -d --bundle "$work/own" u3
check memory-limit has "$mount$own/u3/memory.max" 67108864
check pids-limit has "$mount$own/u3/pids.max" 55
check exec is 0 "$trun" --root "$state" exec u3 id -u
check update "$trun" --root "$state" update --pids-limit 66 u3
check updated has "$mount$own/u3/pids.max" 66
check pause "$trun" --root "$state" pause u3
check paused has "$mount$own/u3/cgroup.freeze" 1
check resume "$trun" --root "$state" resume u3
check events sh -c "'$trun' --root '$state' events --stats u3 | jq -e '.data.pids.current == 1'"
check delete "$trun" --root "$state" delete --force u3
check gone gone u3

bundle scope "$quiet | $limits | .process.args = [\"/bin/sleep\", \"1000\"]"
check systemd-starts detach --systemd-cgroup run -d --bundle "$work/scope" u4
group=$("$trun" --root "$state" state u4 | jq -r .pid | xargs -I{} sed -n 's/^0:://p' /proc/{}/cgroup)
check systemd-scope sh -c "case '$group' in /user.slice/*/user.slice/*u4.scope) ;; *) echo '$group'; exit 1 ;; esac"
check systemd-memory-limit has "$mount$group/memory.max" 67108864
check systemd-pids-limit has "$mount$group/pids.max" 55
check systemd-exec is 0 "$trun" --root "$state" exec u4 id -u
check systemd-update "$trun" --root "$state" update --pids-limit 66 --memory 50331648 u4
check systemd-updated has "$mount$group/pids.max" 66
check systemd-updated-memory has "$mount$group/memory.max" 50331648
check systemd-pause "$trun" --root "$state" pause u4
check systemd-paused has "$mount$group/cgroup.freeze" 1
check systemd-delete-paused "$trun" --root "$state" delete --force u4
check systemd-gone gone u4
check systemd-no-unit is "" systemctl --user list-units --all --plain --no-legend '*u4*'
check systemd-twice is 0 run --systemd-cgroup -- hello u4

bundle absent "$quiet | .linux.cgroupsPath = \"/u5\" | $limits | .process.args = [\"/bin/true\"]"
outside() { # a group that is not the user's is refused, by name
  output=$(run -- absent u5 2>&1) && {
    echo "it ran"
    return 1
  }
  case $output in *cgroup*) ;; *) echo "$output"; return 1 ;; esac
}
check outside-is-refused outside

check no-state-left is "" ls "$state"
rm -rf "$work" "$state"
echo "$passed passed, $failed failed, 0 skipped"
[ $failed = 0 ]
