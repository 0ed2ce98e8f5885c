#!/usr/bin/env bash
# What refers to an image, at a registry that keeps no list of it: Debian's docker-registry 2.8 has the tag alone.
at=127.0.0.1:$port/referred/image
type=application/vnd.example.signature+json
digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$image")
# A manifest that refers to the image, beside it.
signed=$(python3 - "$port" "$digest" "$type" <<'PY'
import hashlib, json, sys, urllib.request

port, digest, kind = sys.argv[1:]
url = "http://127.0.0.1:%s/v2/some/image/manifests/" % port
media = "application/vnd.oci.image.manifest.v1+json"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
content = opener.open(urllib.request.Request(url + digest, headers={"Accept": media})).read()
subject = {"mediaType": media, "digest": digest, "size": len(content)}
changed = json.dumps({**json.loads(content), "artifactType": kind, "subject": subject, "annotations": {"by": "me"}}).encode()
opener.open(urllib.request.Request(url + "signed", changed, {"Content-Type": media}, method="PUT"))
print("sha256:" + hashlib.sha256(changed).hexdigest())
PY
)
quietly "$tare" pull --quiet "$image"
quietly "$tare" pull --quiet "127.0.0.1:$port/some/image:signed"
quietly "$tare" tag "$image" "$at:1"
quietly "$tare" tag "127.0.0.1:$port/some/image:signed" "$at:2"
check referrers/push-subject 0 "digest: $digest" "$tare" push "$at:1"
same referrers/none "$("$tare" image referrers "$at:1")" "DIGEST   ARTIFACT TYPE   SIZE"
check referrers/push 0 "digest: $signed" "$tare" push "$at:2"
check referrers/push-again 0 "digest: $signed" "$tare" push "$at:2"
check referrers/table 0 "^$signed +${type/+/\\+} +[0-9.]+kB$" "$tare" image referrers "$at:1"
check referrers/by-digest 0 "^$signed " "$tare" image referrers "$at@$digest"
same referrers/json "$("$tare" image referrers --format json --artifact-type "$type" "$at:1" |
  python3 -c 'import json, sys; print([(d["digest"], d["artifactType"], d["annotations"]) for d in map(json.loads, sys.stdin)])')" "[('$signed', '$type', {'by': 'me'})]"
same referrers/of-another-type "$("$tare" image referrers --format json --artifact-type application/other "$at:1")" ''
same referrers/tag "$(skopeo inspect --raw --tls-verify=false "docker://$at:${digest/:/-}" |
  python3 -c 'import json, sys; i = json.load(sys.stdin); print(i["mediaType"], [d["digest"] for d in i["manifests"]])')" "application/vnd.oci.image.index.v1+json ['$signed']"
check referrers/missing 1 'not found at' "$tare" image referrers "127.0.0.1:$port/some/nosuch"
check referrers/format 1 'table and json are known' "$tare" image referrers --format yaml "$at:1"
quietly "$tare" image prune --all --force
