#!/usr/bin/env bash
# Layers by zstd with large windows: the largest that is taken, several at once, within the memory that is promised; the next is refused.
# zstd_image NAME LOG: three layers that fill a window of 2^LOG bytes.
zstd_image() {
  python3 - "$work/zstd" "$2" <<'PY'
import hashlib, io, json, os, random, shutil, subprocess, sys, tarfile

root, log = sys.argv[1:]
shutil.rmtree(root, ignore_errors=True)
os.makedirs(root + "/blobs/sha256")
kind = "application/vnd.oci.image."

def blob(media, content):
    name = hashlib.sha256(content).hexdigest()
    with open(root + "/blobs/sha256/" + name, "wb") as file:
        file.write(content)
    return {"mediaType": kind + media, "digest": "sha256:" + name, "size": len(content)}

layers, diff_ids = [], []
for number in range(3):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("large-%d" % number)
        # Longer than any window here, and so alike that all of it is looked back to.
        half = random.Random(number).randbytes(20 << 20)
        content = half + half[::-1] + half + half[::-1]
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    diff_ids.append("sha256:" + hashlib.sha256(archive.getvalue()).hexdigest())
    made = subprocess.run(["zstd", "-1", "-q", "--long=" + log, "-c"], input=archive.getvalue(), stdout=subprocess.PIPE, check=True)
    layers.append(blob("layer.v1.tar+zstd", made.stdout))
config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": diff_ids}}
config = blob("config.v1+json", json.dumps(config).encode())
manifest = {"schemaVersion": 2, "mediaType": kind + "manifest.v1+json", "config": config, "layers": layers}
index = {"schemaVersion": 2, "manifests": [blob("manifest.v1+json", json.dumps(manifest).encode())]}
with open(root + "/index.json", "w") as file:
    json.dump(index, file)
with open(root + "/oci-layout", "w") as file:
    file.write('{"imageLayoutVersion":"1.0.0"}')
PY
  skopeo copy --quiet --dest-tls-verify=false "oci:$work/zstd" "docker://127.0.0.1:$port/$1"
  rm -rf "$work/zstd"
}
zstd_image windows/largest 25
peak=$(python3 -c '
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$tare" pull --quiet --parallel 3 "127.0.0.1:$port/windows/largest")
[ "${peak:-65537}" -le 65536 ]; note $? windows/three-of-32-MiB-within-64 "$peak KiB at the peak"
echo "windows: $peak KiB at the peak"
# The layers are the same, and known.
quietly "$tare" image prune --all --force
zstd_image windows/larger 26
check windows/larger 1 'its window is 67108864 bytes, and at most 33554432 are given to one: compress it without' "$tare" pull --quiet "127.0.0.1:$port/windows/larger"
quietly "$tare" image prune --all --force
