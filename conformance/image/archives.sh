#!/usr/bin/env bash
# Archives: ours read by others, others' read by us, with equal digests; and odd ones, unpacked as GNU tar does it.
quietly "$tare" pull --quiet --keep-blobs "$image"
digest=$("$tare" images --digests --format json | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["Digest"])')
id=$("$tare" images -q --no-trunc)
check archives/save 0 '' "$tare" save -o "$work/ours.tar" "$image"
same archives/the-same-again "$("$tare" save "$image" | sha256sum)" "$(sha256sum - <"$work/ours.tar")"
id_of() { skopeo inspect --config --raw "$1" | sha256sum | cut -d' ' -f1; }
same archives/skopeo-docker "sha256:$(id_of "docker-archive:$work/ours.tar")" "$id"
same archives/skopeo-oci "$(skopeo inspect --format '{{.Digest}}' "oci-archive:$work/ours.tar:1")" "$digest"
mkdir "$work/layout"
tar -xf "$work/ours.tar" -C "$work/layout"
check archives/umoci 0 '' umoci raw unpack --image "$work/layout:1" "$work/umoci"
same archives/umoci-has-it "$(cat "$work/umoci/etc/group" | sha256sum)" "$(printf 'root:x:0:\nusers:x:100:\nwheel:x:10:me\n' | sha256sum)"
tar_of() { tar -C "$1" -cf "$2" .; }

# Into an empty store, whatever it is packed with.
reload() { # reload NAME FILE WHAT-FORMAT-OF-DIGEST
  quietly "$tare" image prune --all --force
  check "archives/$1" 0 'Loaded image' "$tare" load -i "$2"
  same "archives/$1-id" "$("$tare" images -q --no-trunc)" "$id"
}
for packer in gzip bzip2 xz zstd cat; do
  $packer <"$work/ours.tar" >"$work/ours.packed"
  reload "load-$packer" "$work/ours.packed"
done
same archives/load-digest "$("$tare" images --digests --format json | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["Digest"])')" "$digest"
same archives/load-and-save "$("$tare" save "$image" | sha256sum)" "$(sha256sum - <"$work/ours.tar")"
skopeo copy --quiet --src-tls-verify=false "docker://$image" "docker-archive:$work/docker.tar:$image"
reload load-docker-archive "$work/docker.tar"
skopeo copy --quiet --src-tls-verify=false "docker://$image" "oci-archive:$work/oci.tar:$image"
reload load-oci-archive "$work/oci.tar"
tar_of "$work/oci" "$work/umoci.tar"
reload load-umoci-layout "$work/umoci.tar"
# Docker's archives before version 25: a folder a layer, links where two images share one.
python3 - "$work/docker.tar" "$work/old" <<'PY'
import json, os, subprocess, sys
source, target = sys.argv[1:]
os.makedirs(target)
subprocess.run(["tar", "-xf", source, "-C", target], check=True)
manifest = json.load(open(target + "/manifest.json"))
for number, layer in enumerate(manifest[0]["Layers"]):
    os.makedirs("%s/%064d" % (target, number))
    os.rename("%s/%s" % (target, layer), "%s/%064d/real.tar" % (target, number))
    os.symlink("real.tar", "%s/%064d/layer.tar" % (target, number))
    open("%s/%064d/VERSION" % (target, number), "w").write("1.0")
    manifest[0]["Layers"][number] = "%064d/layer.tar" % number
json.dump(manifest, open(target + "/manifest.json", "w"))
PY
tar_of "$work/old" "$work/old.tar"
reload load-old-docker-archive "$work/old.tar"

head -c 300000 "$work/ours.tar" >"$work/cut.tar"
check archives/cut 1 'in the middle of' "$tare" load -i "$work/cut.tar"
check archives/no-images 1 'neither manifest.json nor index.json' "$tare" load -i <(tar -cf - -C "$work/layout" oci-layout)
check archives/rubbish 1 'checksum' "$tare" load -i "$tare"
check archives/missing-file 1 'No such file' "$tare" load -i "$work/nosuch"
python3 - "$work/layout" <<'PY'
import glob, os, sys
layers = sorted(glob.glob(sys.argv[1] + "/blobs/sha256/*"), key=os.path.getsize)
os.remove(layers[-1])
PY
check archives/a-layer-less 1 'of which its index.json speaks' "$tare" load -i <(tar -C "$work/layout" -cf - .)

# A tree with all that a layer can have, packed by three programs in each of their formats.
python3 "$here/tree.py" make "$work/odd"
oracle() { # oracle NAME ARCHIVE [TREE THAT IT IS OF]
  local expected=${3:-$work/expected}
  rm -rf "$work/expected"
  mkdir "$work/expected"
  tar --xattrs --xattrs-include='*' --numeric-owner -xpf "$2" -C "$work/expected" 2>"$work/warnings"
  quietly "$tare" image prune --all --force
  if ! "$tare" import "$2" odd >"$work/imported" 2>&1; then
    note 1 "archives/tar-$1" "$(cat "$work/imported")"
    return
  fi
  found=$("$tare" inspect odd | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["GraphDriver"]["Data"]["LowerDir"])')
  python3 "$here/tree.py" compare "$expected" "$found" >"$work/differences"
  note $? "archives/tar-$1" "$(head -n 5 "$work/differences")"
}
for format in gnu posix oldgnu; do
  tar --format=$format --sparse -cf "$work/odd.tar" -C "$work/odd" .
  oracle "gnu-$format" "$work/odd.tar"
done
tar --format=posix --xattrs --xattrs-include='*' -cf "$work/odd.tar" -C "$work/odd" .
oracle gnu-posix-xattrs "$work/odd.tar"
for version in 0.0 0.1 1.0; do
  tar --format=posix --sparse --sparse-version=$version -cf "$work/odd.tar" -C "$work/odd" .
  oracle "gnu-sparse-$version" "$work/odd.tar"
done
for format in ustar v7; do
  tar --format=$format -cf "$work/odd.tar" -C "$work/odd" plain
  oracle "gnu-$format" "$work/odd.tar"
done
for format in pax gnutar ustar; do
  # Only pax has room for attributes and all of the names.
  [ $format = pax ] && below=. || below=plain
  # A name that is no UTF-8 is a warning to it, and an exit status.
  bsdtar --format=$format -cf "$work/odd.tar" -C "$work/odd/$below" . 2>/dev/null
  # Its order is not by depth, which GNU tar answers with wrong times of directories.
  oracle "bsdtar-$format" "$work/odd.tar" "$work/odd/$below"
done
for format in PAX GNU USTAR; do
  [ $format != USTAR ] && below=. || below=plain
  python3 - "$work/odd.tar" $format "$work/odd/$below" <<'PY'
import sys, tarfile
with tarfile.open(sys.argv[1], "w", format=getattr(tarfile, sys.argv[2] + "_FORMAT")) as archive:
    archive.add(sys.argv[3], ".")
PY
  oracle "python-$format" "$work/odd.tar"
done
# What we write of it they read: the image's only layer, put together again, is what was imported.
"$tare" save odd | tar -xO --wildcards 'blobs/sha256/*' >"$work/blobs"
[ "$(wc -c <"$work/blobs")" -gt "$(wc -c <"$work/odd.tar")" ]; note $? archives/saved-odd "the layer is not in it"
quietly "$tare" image prune --all --force
