#!/usr/bin/env bash
# What a container costs through containerd itself: `ctr run`, from no container to a running one, and `ctr task exec`, with our shim
# and with Debian's Go shim and runc, in turns whose order is drawn; as root:
#   N=30 RESULTS=benches/results/DATE-containerd benches/shim-containerd.sh
set -uo pipefail
cd "$(dirname "$0")/.." || exit
root=$PWD
[ "$(id -u)" = 0 ] || {
  echo "containerd makes containers with their own cgroups: run it as root" >&2
  exit 1
}
results=$(realpath -m "${RESULTS:-benches/results/$(date -u +%F)-containerd}")
.ci/toolchain
.ci/need busybox-static runc containerd
.ci/build.sh
# shellcheck disable=SC2034 # common.sh reads it
NAME=bench RUNTIME=$root/${CARGO_TARGET_DIR:-target}/release/containerd-shim-tare-v2
N=${N:-30} revision=$(git describe --always --dirty --exclude='*')
mkdir -p "$results"
cd conformance/callers || exit
# shellcheck source=conformance/callers/common.sh
. ./common.sh
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
ln -s "$RUNTIME" "$work/bin/containerd-shim-tare-v2"
cat >"$work/containerd.toml" <<CONF
version = 2
root = "$work/cd/root"
state = "$work/cd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$work/c.sock"
CONF
ctr="ctr --address $work/c.sock --namespace $tag"
start_containerd
make_image

# timed WHAT SUBJECT ROUND COMMAND...
timed() {
  local what=$1 subject=$2 round=$3 begin end
  shift 3
  begin=$EPOCHREALTIME
  timeout 30 "$@" >/dev/null 2>"$work/error" </dev/null || {
    echo "$subject $what: $(tail -n 1 "$work/error")" >&2
    exit 1
  }
  end=$EPOCHREALTIME
  # The first round warms up.
  [ "$round" = 0 ] || echo "$round,$subject,$what,$((${end/./} - ${begin/./}))" >>"$results/samples.csv"
}

life() { # SUBJECT RUNTIME ROUND
  local id=$tag-$1-$3
  timed run "$1" "$3" $ctr run -d --runtime "$2" --env PATH=/bin --rootfs "$work/image" "$id" sleep 1000
  timed exec "$1" "$3" $ctr task exec --exec-id e "$id" true
  timed kill-and-delete "$1" "$3" $ctr task rm -f "$id"
  $ctr container delete "$id" >/dev/null
  sleep 0.05
}

echo round,subject,what,microseconds >"$results/samples.csv"
for round in $(seq 0 "$N"); do
  # ctr itself, which both pay for.
  timed version ctr "$round" $ctr version
  if [ $((RANDOM % 2)) = 0 ]; then
    life tare io.containerd.tare.v2 "$round"
    life go io.containerd.runc.v2 "$round"
  else
    life go io.containerd.runc.v2 "$round"
    life tare io.containerd.tare.v2 "$round"
  fi
done
{
  printf '# Through containerd\n\nRevision %s, %s, %s, load %s.\n`N=%s benches/shim-containerd.sh`: milliseconds are medians; the share is the median of the rounds'"'"' ratios, and in the last column of what is left without `ctr version`.\n\n' \
    "$revision" "$(uname -sr)" "$(containerd --version | awk '{ print $1, $3 }'), $(runc --version | head -n 1)" "$(cut -d' ' -f1 /proc/loadavg)" "$N"
  python3 - "$results/samples.csv" <<'PY'
import csv, random, statistics, sys
rounds = {}
for row in csv.DictReader(open(sys.argv[1])):
    rounds.setdefault(row["what"], {}).setdefault(row["subject"], {})[row["round"]] = int(row["microseconds"]) / 1000
client = rounds["version"]["ctr"]
random.seed(1)
def interval(values):
    medians = sorted(statistics.median(random.choices(values, k=len(values))) for _ in range(2000))
    return "%.2f [%.2f, %.2f]" % (statistics.median(values), medians[50], medians[1949])
print("| what | tare ms | go ms | share [95 %] | without the client |\n| --- | --- | --- | --- | --- |")
for what, by in rounds.items():
    if what == "version":
        continue
    tare, go = by["tare"], by["go"]
    share = [tare[n] / go[n] for n in tare]
    bare = [(tare[n] - client[n]) / (go[n] - client[n]) for n in tare]
    print("| %s | %.1f | %.1f | %s | %s |" % (what, statistics.median(tare.values()), statistics.median(go.values()), interval(share), interval(bare)))
print("\n`ctr version` alone: %.1f ms." % statistics.median(client.values()))
PY
} >"$results/README.md"
cat "$results/README.md"
