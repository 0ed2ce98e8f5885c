#!/usr/bin/env bash
# Pull, look, push, remove; digests as skopeo has them.
digest=$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$image")
config=$(skopeo inspect --tls-verify=false --raw "docker://$image" | python3 -c 'import json, sys; print(json.load(sys.stdin)["config"]["digest"])')
check basic/pull 0 "^127.0.0.1:$port/some/image:1$" "$tare" pull --quiet "$image"
check basic/pull-again 0 'Image is up to date' "$tare" pull "$image"
check basic/images 0 "some/image +1 +${config:7:12} " "$tare" images
same basic/digest "$("$tare" images --digests --format json | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["Digest"])')" "$digest"
same basic/id "$("$tare" images -q --no-trunc)" "$config"
check basic/inspect 0 '"X=image"' "$tare" inspect "${config:7:6}"
check basic/inspect-nothing 1 'No such image: nosuch' "$tare" inspect nosuch
check basic/history 0 'IMAGE +CREATED' "$tare" history "$image"
check basic/by-digest 0 '' "$tare" pull "127.0.0.1:$port/some/image@$digest"
check basic/missing 1 'not found at' "$tare" pull "127.0.0.1:$port/some/nosuch"
check basic/bad-name 1 'must be in lower case' "$tare" pull Some/Image
check basic/unreachable 1 'refused' "$tare" pull 127.0.0.1:1/x
check basic/tag 0 '' "$tare" tag "${config:7:12}" "127.0.0.1:$port/other/name:2"
check basic/push 0 "2: digest: $digest" "$tare" push "127.0.0.1:$port/other/name:2"
same basic/pushed "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://127.0.0.1:$port/other/name:2")" "$digest"
check basic/push-nothing 1 'does not exist locally with the tag' "$tare" push "127.0.0.1:$port/nosuch"
check basic/rmi-of-several 1 'must be forced' "$tare" rmi "${config:7:12}"
check basic/rmi 0 'Untagged: 127.0.0.1' "$tare" rmi "127.0.0.1:$port/other/name:2"
check basic/df 0 '1 images, ' "$tare" image df
check basic/rmi-forced 0 "Deleted: $config" "$tare" rmi -f "${config:7:12}"
same basic/empty "$(find "$TARE_ROOT/images/layers/sha256" "$TARE_ROOT/images/blobs/sha256" "$TARE_ROOT/images/ingest" -mindepth 1)" ""
# A copy whose compressed layers are kept goes to a registry that no longer has the first.
check basic/keep 0 '' "$tare" pull --quiet --keep-blobs "$image"
( start_registry "$work/second" && echo "$port $registry" >"$work/second/at" && disown )
read -r second second_pid <"$work/second/at"
quietly "$tare" tag "$image" "127.0.0.1:$second/copy"
check basic/push-kept 0 "digest: $digest" "$tare" push "127.0.0.1:$second/copy"
kill "$second_pid"
quietly "$tare" image prune --all --force
