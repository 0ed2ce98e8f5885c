"""Pushes over the HTTP API of a registry: blobs, then a manifest."""
import hashlib
import json
import os
import urllib.error
import urllib.request


def call(method, url, body=None, headers=None):
    request = urllib.request.Request(url, data=body, headers=headers or {}, method=method)
    # No proxy: the registry is on the loopback.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=300) as answer:
        answer.read()
        return answer.headers


def has_blob(base, digest):
    try:
        call("HEAD", "%s/blobs/%s" % (base, digest))
        return True
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise
        return False


def push_blob(base, digest, body, size):
    if has_blob(base, digest):
        return
    location = call("POST", base + "/blobs/uploads/", b"")["Location"]
    separator = "&" if "?" in location else "?"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    call("PUT", "%s%sdigest=%s" % (location, separator, digest), body, headers)


def push_image(address, name, tag, types, layers):
    """LAYERS are those of layers.py; TYPES names the media types of manifest, config, and layer."""
    base = "http://%s/v2/%s" % (address, name)
    for layer in layers:
        with open(layer.path, "rb") as file:
            push_blob(base, layer.digest, file, os.path.getsize(layer.path))
    created = "2024-01-01T00:00:00Z"
    config = json.dumps({
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {"Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["bash"]},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": created, "created_by": "layer %d of %s" % (index, name)} for index, _ in enumerate(layers)],
    }).encode()
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    push_blob(base, digest, config, len(config))
    manifest = json.dumps({
        "schemaVersion": 2,
        "mediaType": types["manifest"],
        "config": {"mediaType": types["config"], "size": len(config), "digest": digest},
        "layers": [{"mediaType": types["layer"], "size": layer.size, "digest": layer.digest} for layer in layers],
    }).encode()
    call("PUT", "%s/manifests/%s" % (base, tag), manifest, {"Content-Type": types["manifest"]})
    return "sha256:" + hashlib.sha256(manifest).hexdigest()
