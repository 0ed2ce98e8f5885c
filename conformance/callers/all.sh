#!/usr/bin/env bash
# The real callers with one runtime, as root: callers/all.sh RUNTIME. Installs what is missing, starts no service.
set -u
RUNTIME=${1:-${RUNTIME:-}}
[ -n "$RUNTIME" ] || { echo "usage: callers/all.sh RUNTIME" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "callers/all.sh: needs root" >&2; exit 2; }
case $RUNTIME in /*) ;; *) RUNTIME=$PWD/$RUNTIME ;; esac
export RUNTIME
# Its neighbour, where both are built.
export SHIM=${SHIM:-$(dirname "$RUNTIME")/containerd-shim-tare-v2}
cd "$(dirname "$0")" || exit 2

missing=()
command -v podman >/dev/null || missing+=(podman)
command -v dockerd >/dev/null || missing+=(docker.io)
command -v containerd >/dev/null || missing+=(containerd)
command -v script >/dev/null || missing+=(bsdutils)
[ -x /bin/busybox ] || missing+=(busybox-static)
if [ ${#missing[@]} != 0 ]; then
  # Packages must not start their services here.
  policy=/usr/sbin/policy-rc.d
  [ -e $policy ] || { printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; made=1; }
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null || exit 2
  [ -z "${made:-}" ] || rm -f $policy
fi

passed=0 failed=0
scripts=(podman.sh docker.sh)
[ ! -x "$SHIM" ] || scripts+=(shim.sh)
for script in "${scripts[@]}"; do
  log=$(mktemp)
  timeout -k 20 200 bash "./$script" 2>&1 | tee "$log"
  line=$(grep -E '^caller [a-z]+: [0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
  rm -f "$log"
  if [[ $line =~ :\ ([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
  else
    echo "FAIL $script: no end"
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
