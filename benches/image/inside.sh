#!/usr/bin/env bash
# What bench.sh runs in namespaces of mounts and pids of its own: the roots are entered, the registry starts, images are made, rounds are run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
: "${CACHE:?}" "${IMAGES:?}" "${DATA:?}" "${RESULTS:?}"
for suite in bookworm sid; do
  root=$CACHE/$suite
  mount --bind "$root" "$root"
  for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
  mount -t tmpfs tmpfs "$root/run"
  mount -t tmpfs tmpfs "$root/tmp"
done
# Below /srv of the root the data are where they are outside: on the disk.
mkdir -p "$CACHE/sid/srv/bench" "$CACHE/bookworm/run/registry"
mount --bind "$DATA" "$CACHE/sid/srv/bench"
mount --bind "$IMAGES/registry" "$CACHE/bookworm/run/registry"
cp "$DATA/work/measure" "$CACHE/sid/run/measure"

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$CACHE/bookworm/run/registry.yml" <<CONF
version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /run/registry
http:
  addr: 127.0.0.1:$port
CONF
chroot "$CACHE/bookworm" env -i PATH=/usr/bin:/bin OTEL_TRACES_EXPORTER=none /usr/bin/docker-registry serve /run/registry.yml >"$DATA/work/registry.log" 2>&1 &
registry=$!
trap 'kill "$registry" 2>/dev/null || true' EXIT
for _ in $(seq 100); do
  # The connection is the question; curl may be absent.
  if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then break; fi
  kill -0 "$registry" || {
    cat "$DATA/work/registry.log" >&2
    exit 1
  }
  sleep 0.1
done
python3 "$here/images.py" "$CACHE/bookworm" "$DATA/work" "127.0.0.1:$port" "$IMAGES/cases.json"
export PORT=$port FILE_SYSTEM
FILE_SYSTEM="ext4, new for each pull, in a file on $(findmnt -n -o FSTYPE -T "$DATA" | tail -n 1)"
status=0
python3 "$here/run.py" || status=$?
# The rounds that ended are worth a report.
[ $status = 0 ] || echo "run.py ended with status $status" >&2
python3 "$here/report.py" "$RESULTS" >"$RESULTS/README.md"
exit $status
