# Shared by the caller scripts: an image of static busybox, counted checks, a pty, and cleaning up.
# Sourced with NAME set; needs RUNTIME, the path of an OCI runtime.
set -u
: "${RUNTIME:?RUNTIME is the path of the OCI runtime to test}"
RUNTIME=$(readlink -f "$(dirname "$RUNTIME")")/$(basename "$RUNTIME")
passed=0 failed=0
# dockerd and podman keep sockets here, whose paths must be short.
work=$(mktemp -d "/tmp/tc-$NAME-XXXXXX")
tag=tc$$
limit=${LIMIT:-60}

# note OK TEXT: counts one check and prints it.
note() {
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    echo "ok $NAME/$2"
  else
    failed=$((failed + 1))
    echo "FAIL $NAME/$2: $3"
  fi
}

# check NAME STATUS WORDS COMMAND...: runs a command, bounded in time, and compares its exit status and output.
check() {
  local name=$1 status=$2 words=$3 got=0 out
  shift 3
  out=$(timeout -k 5 "$limit" "$@" 2>&1 </dev/null) || got=$?
  if [ "$got" != "$status" ]; then
    note 1 "$name" "status $got instead of $status: $(echo "$out" | tail -n 4 | cut -c1-400)"
  elif [ -n "$words" ] && ! grep -qE -- "$words" <<<"$out"; then
    note 1 "$name" "no '$words' in: $(echo "$out" | tail -n 4 | cut -c1-400)"
  else
    note 0 "$name" ""
  fi
}

# A program, because `timeout` runs no functions: its arguments as a command on a new pty of 37 rows and 101 columns.
on_pty=$work/on_pty
cat >"$on_pty" <<'PTY'
#!/bin/bash
printf -v quoted '%q ' "$@"
SHELL=/bin/sh exec script -qec "stty rows 37 cols 101; $quoted" /dev/null </dev/null
PTY
chmod +x "$on_pty"

make_image() {
  mkdir -p "$work/image/bin" "$work/image/etc" "$work/image/tmp" "$work/image/root"
  local busybox applet
  for busybox in /bin/busybox /usr/bin/busybox; do [ -x "$busybox" ] && break; done
  cp "$busybox" "$work/image/bin/busybox"
  for applet in sh cat echo ls id sleep true false stty tty touch mount grep hostname env wget head ps kill df stat; do
    ln -s busybox "$work/image/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/:/bin/sh\n' >"$work/image/etc/passwd"
  printf 'root:x:0:\nuser:x:1000:\n' >"$work/image/etc/group"
  printf 'not a program\n' >"$work/image/etc/noexec"
  chmod 1777 "$work/image/tmp"
  tar -C "$work/image" -cf "$work/image.tar" .
}

# Whether root's bounding set holds every capability of this kernel.
has_all_capabilities() {
  local bounding
  bounding=$(awk '/^CapBnd/ { print $2 }' /proc/self/status)
  [ $((0x$bounding)) = $(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1)) ]
}

# stop_pid PID SIGNAL: ends a process that this script started and waits for its end.
stop_pid() {
  [ -n "${1:-}" ] || return 0
  kill -"${2:-TERM}" "$1" 2>/dev/null || return 0
  local n=0
  while kill -0 "$1" 2>/dev/null && [ $n -lt 100 ]; do sleep 0.1; n=$((n + 1)); done
  kill -KILL "$1" 2>/dev/null
  wait "$1" 2>/dev/null
}

# leftovers WORDS: what is still there of mounts, groups and processes that carry one of the words.
leftovers() {
  local pattern=$1
  grep -E -- "$pattern" /proc/self/mountinfo | cut -d' ' -f5
  find /sys/fs/cgroup -type d 2>/dev/null | grep -E -- "$pattern"
  local pid
  for pid in $(pgrep -f -- "$pattern"); do
    [ "$pid" != $$ ] && [ "$pid" != "$BASHPID" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -vE 'callers/|pgrep|^ *$'
  done
}

# A containerd by $work/containerd.toml, which finds the programs of $work/bin first; waits until it answers `$ctr`.
start_containerd() {
  PATH=$work/bin:$PATH containerd --config "$work/containerd.toml" >>"$work/containerd.log" 2>&1 &
  containerd_pid=$!
  local n=0
  until timeout 5 $ctr version >/dev/null 2>&1 || [ $n -gt 100 ]; do sleep 0.1; n=$((n + 1)); done
}

unmount_below() {
  local point
  awk -v d="$1" 'index($5, d) == 1 { print $5 }' /proc/self/mountinfo | sort -r | while read -r point; do umount -l "$point"; done
}

finish() {
  echo "caller $NAME: $passed passed, $failed failed"
  [ "$failed" = 0 ]
}
