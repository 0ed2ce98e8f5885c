#!/usr/bin/env python3
"""Makes the images of the benchmark of the files of an unpacked Debian root, and pushes them into a registry:

    images.py ROOT SCRATCH HOST:PORT CASES.json [CASE...]

Images that CASES.json tells of are not made again.
"""
import json
import multiprocessing
import os
import shutil
import sys

import layers
import registry

DOCKER = {
    "manifest": "application/vnd.docker.distribution.manifest.v2+json",
    "config": "application/vnd.docker.container.image.v1+json",
    "layer": "application/vnd.docker.image.rootfs.diff.tar.gzip",
}
OCI = {
    "manifest": "application/vnd.oci.image.manifest.v1+json",
    "config": "application/vnd.oci.image.config.v1+json",
    "layer": "application/vnd.oci.image.layer.v1.tar+zstd",
}
# One process makes one job, the longest first; images that share layers are made together.
JOBS = (
    ("big-1g",),
    ("layers-20", "shared-a", "shared-b"),
    ("small-100k",),
    ("layers-127",),
    ("layers-5",),
    ("layers-1",),
    ("zstd-20",),
)


def debian(scratch, root, items, count, zstd=False):
    made = []
    for index, paths in enumerate(layers.split(items, count)):
        path = os.path.join(scratch, "layer-%d" % index)
        made.append(layers.make(path, lambda tar: layers.add_files(tar, root, paths), zstd))
    return made


def make(name, scratch, root, items):
    if name == "big-1g":
        content = layers.sample(root, items)
        return [layers.make(os.path.join(scratch, "layer"), lambda tar: layers.add_big(tar, content))]
    if name == "small-100k":
        content = layers.sample(root, items)
        return [layers.make(os.path.join(scratch, "layer"), lambda tar: layers.add_small(tar, content))]
    if name == "zstd-20":
        return debian(scratch, root, items, 20, zstd=True)
    return debian(scratch, root, items, int(name.split("-")[1]))


def last_of_b(scratch, root, items):
    """As much as the last layer of shared-a, elsewhere."""
    paths = layers.split(items, 20)[-1]
    return layers.make(os.path.join(scratch, "layer-b"), lambda tar: layers.add_files(tar, root, paths, "opt/b/"))


def job(names, root, scratch, address, items):
    scratch = os.path.join(scratch, names[0])
    os.makedirs(scratch)
    made = make(names[0], scratch, root, items)
    cases = {}
    for name in names:
        parts = made[:-1] + [last_of_b(scratch, root, items)] if name == "shared-b" else made
        types = OCI if name.startswith("zstd-") else DOCKER
        digest = registry.push_image(address, name, "bench", types, parts)
        cases[name] = {
            "manifest": digest,
            "blobs": [layer.digest for layer in parts],
            "layers": len(parts),
            "files": sum(layer.files for layer in parts),
            "compressed": sum(layer.size for layer in parts),
            "unpacked": sum(layer.unpacked for layer in parts),
        }
        print("image %s: %d layers, %d files, %d of %d MiB" % (
            name, len(parts), cases[name]["files"], cases[name]["compressed"] >> 20, cases[name]["unpacked"] >> 20), flush=True)
    shutil.rmtree(scratch)
    return cases


def main():
    root, scratch, address, out = sys.argv[1:5]
    wanted = set(sys.argv[5:])
    cases = {}
    if os.path.exists(out):
        with open(out) as file:
            cases = json.load(file)
    todo = [names for names in JOBS if (not wanted or wanted & set(names)) and not set(names) <= set(cases)]
    if not todo:
        return
    items = layers.walk(root)
    with multiprocessing.Pool(min(len(todo), os.cpu_count())) as pool:
        for made in [pool.apply_async(job, (names, root, scratch, address, items)) for names in todo]:
            cases.update(made.get())
    with open(out + ".new", "w") as file:
        json.dump(cases, file, indent=1, sort_keys=True)
    os.replace(out + ".new", out)


if __name__ == "__main__":
    main()
