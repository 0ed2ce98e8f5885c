#!/usr/bin/env bash
# Stores on full and read-only disks, in a mount namespace of their own.
cat >"$work/in-mounts.sh" <<'INNER'
set -u
tare=$1 image=$2 place=$3
export TARE_ROOT=$place/root
mkdir -p "$place"
mount -t tmpfs -o size=600k,nr_inodes=2000 tmpfs "$place"
"$tare" pull --quiet "$image" >"$4/full" 2>&1; echo "status $?" >>"$4/full"
find "$place/root/images/layers/sha256" "$place/root/images/ingest" -mindepth 1 >"$4/full-left"
"$tare" images -q >>"$4/full-left"
mount -o remount,size=200m,nr_inodes=100000 "$place"
"$tare" pull --quiet "$image" >"$4/larger" 2>&1; echo "status $?" >>"$4/larger"
mount -o remount,ro "$place"
"$tare" pull --quiet "$image" >"$4/read-only" 2>&1; echo "status $?" >>"$4/read-only"
"$tare" images >"$4/read-only-images" 2>&1; echo "status $?" >>"$4/read-only-images"
mount -o remount,rw "$place"
# Damaged documents: the next pull makes them good.
for file in "$place"/root/images/blobs/sha256/*; do echo rubbish >"$file"; done
"$tare" images >"$4/damaged" 2>&1; echo "status $?" >>"$4/damaged"
"$tare" pull --quiet "$image" >"$4/repaired" 2>&1; echo "status $?" >>"$4/repaired"
"$tare" save "$image" | tar -t >/dev/null && echo whole >>"$4/repaired"
INNER
mkdir -p "$work/said"
unshare --mount --propagation private bash "$work/in-mounts.sh" "$tare" "$image" "$work/place" "$work/said"
check places/full 0 'No space left on device.*status 1' bash -c "tr '\\n' ' ' <$work/said/full"
check places/full-names-a-way-out 0 'tare image prune' cat "$work/said/full"
same places/full-leaves-nothing "$(cat "$work/said/full-left")" ""
check places/larger 0 'status 0' cat "$work/said/larger"
check places/read-only 0 'ead-only.*status 1' bash -c "tr '\\n' ' ' <$work/said/read-only"
check places/read-only-is-read 0 'some/image.*status 0' bash -c "tr '\\n' ' ' <$work/said/read-only-images"
check places/damaged-is-listed 0 'some/image.*damaged.*status 0' bash -c "tr '\\n' ' ' <$work/said/damaged"
check places/repaired 0 'status 0 whole' bash -c "tr '\\n' ' ' <$work/said/repaired"
