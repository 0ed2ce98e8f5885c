#!/usr/bin/env bash
# A layer of several chunks to Debian's docker-registry: over a way that holds, and over one that breaks.
python3 - "$work/large.tar" <<'PY'
import gzip, hashlib, io, json, os, sys, tarfile

def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()

# What can't be compressed, so that the layer is as large as its file.
inner = io.BytesIO()
with tarfile.open(fileobj=inner, mode="w") as archive:
    entry = tarfile.TarInfo("large")
    entry.size = 200 << 20
    archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
layer = gzip.compress(inner.getvalue(), 0)
config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest(inner.getvalue())]}}).encode()
kind = "application/vnd.oci.image."
manifest = json.dumps({"schemaVersion": 2, "mediaType": kind + "manifest.v1+json",
    "config": {"mediaType": kind + "config.v1+json", "digest": digest(config), "size": len(config)},
    "layers": [{"mediaType": kind + "layer.v1.tar+gzip", "digest": digest(layer), "size": len(layer)}]}).encode()
index = json.dumps({"schemaVersion": 2, "manifests": [{"mediaType": kind + "manifest.v1+json", "digest": digest(manifest),
    "size": len(manifest), "annotations": {"org.opencontainers.image.ref.name": "large:1", "io.containerd.image.name": "docker.io/library/large:1"}}]}).encode()
with tarfile.open(sys.argv[1], "w") as archive:
    files = {"blobs/sha256/" + digest(blob)[7:]: blob for blob in (layer, config, manifest)}
    for name, content in {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": index, **files}.items():
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
PY
check uploads/load 0 '' "$tare" load --quiet -i "$work/large.tar"
rm "$work/large.tar"
digest=$("$tare" images --digests --format json large | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["Digest"])')

# push_over NAME [BYTES...]: over a way that is cut after so many; what was asked goes to $work/asked.
push_over() {
  local name=$1 way way_pid n=0
  shift
  rm -f "$work/way"
  python3 "$here/cutter.py" "$port" "$@" >"$work/way" 2>"$work/asked" &
  way_pid=$!
  until [ -s "$work/way" ] || [ $n -gt 100 ]; do
    n=$((n + 1))
    sleep 0.1
  done
  way=$(<"$work/way")
  quietly "$tare" tag large:1 "127.0.0.1:$way/$name"
  check "uploads/$name" 0 "digest: $digest" "$tare" push "127.0.0.1:$way/$name"
  same "uploads/$name-is-the-same" "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://127.0.0.1:$port/$name")" "$digest"
  kill "$way_pid"
  wait "$way_pid" 2>/dev/null
}
push_over whole
# Three chunks and the config; one PUT ends each.
same uploads/in-chunks "$(sort "$work/asked" | uniq -c | xargs)" "3 PATCH 2 POST 2 PUT"
# This registry can't say what it has of a chunk that broke: the upload begins anew, and nothing is left of the old one.
push_over broken $((120 << 20)) $((30 << 20))
same uploads/was-cut "$(grep -c CUT "$work/asked")" 2
same uploads/begins-anew "$(grep -cE 'PATCH' "$work/asked")" 6
kept=$(find "$work/registry/data" -path '*/_uploads/*' -name data | wc -l)
[ "$kept" -le 2 ]; note $? uploads/few-are-left "$kept are left of two that were lost"
quietly "$tare" image prune --all --force
