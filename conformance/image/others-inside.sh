#!/usr/bin/env bash
# Runs within the root of a Debian release, for others.sh: each engine reads what tare made, and makes something for tare to read.
set -uo pipefail
shared=/run/shared data=/run/shared/data
note() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "FAIL $1: $2 is not $3"; fi; }
wait_for() { for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; }
: >"$shared/pushed"

dockerd --data-root "$data/docker" --exec-root /run/docker --pidfile /run/docker.pid --host unix:///run/docker.sock --iptables=false --ip6tables=false \
  --bridge=none --log-level error >/run/docker.log 2>&1 &
docker() { command docker --host unix:///run/docker.sock "$@"; }
wait_for docker version
docker load -q -i "$shared/ours.tar" >/run/said 2>&1
note docker-load "$(docker image inspect -f '{{.Id}}' "$AT/ours:1" 2>>/run/said || cat /run/said)" "$ID"
docker rmi -f "$AT/ours:1" >/dev/null 2>&1
docker pull -q "$AT/ours:1" >/run/said 2>&1
note docker-pull "$(docker image inspect -f '{{.Id}} {{index .RepoDigests 0}}' "$AT/ours:1" 2>>/run/said || cat /run/said)" "$ID $AT/ours@$DIGEST"
docker load -q -i "$shared/made.tar" >/run/said 2>&1
note docker-load-made "$(docker image inspect -f '{{.Id}}' "$AT/made:1" 2>>/run/said || cat /run/said)" "$MADE"
docker rmi -f "$AT/made:1" >/dev/null 2>&1
docker pull -q "$AT/made:1" >/run/said 2>&1
note docker-pull-made "$(docker image inspect -f '{{.Id}} {{index .RepoDigests 0}}' "$AT/made:1" 2>>/run/said || cat /run/said)" "$MADE $AT/made@$PUSHED"
made=$(docker create "$AT/made:1" 2>/run/said)
note docker-reads-made "$(docker export "$made" 2>>/run/said | tar -t 2>>/run/said | grep -E '^(made|srv/.+)$' | sort | xargs)" "made srv/three"
docker rm "$made" >/dev/null 2>&1
docker save -o "$shared/from-docker.tar" "$AT/ours:1"
docker tag "$AT/ours:1" "$AT/docker:1"
docker push -q "$AT/docker:1" >/dev/null
echo "docker:1 $(docker image inspect -f '{{range .RepoDigests}}{{println .}}{{end}}' "$AT/docker:1" | sed -n "s|$AT/docker@||p")" >>"$shared/pushed"

podman() { command podman --root "$data/podman" --runroot /run/podman --storage-driver overlay --cgroup-manager cgroupfs --events-backend none "$@"; }
podman load -q -i "$shared/ours.tar" >/run/said 2>&1
note podman-load "sha256:$(podman image inspect -f '{{.Id}}' "$AT/ours:1" 2>>/run/said || cat /run/said)" "$ID"
podman rmi -f "$AT/ours:1" >/dev/null 2>&1
podman pull -q --tls-verify=false "$AT/ours:1" >/run/said 2>&1
note podman-pull "sha256:$(podman image inspect -f '{{.Id}} {{.Digest}}' "$AT/ours:1" 2>>/run/said || cat /run/said)" "$ID $DIGEST"
podman load -q -i "$shared/made.tar" >/run/said 2>&1
note podman-load-made "sha256:$(podman image inspect -f '{{.Id}}' "$AT/made:1" 2>>/run/said || cat /run/said)" "$MADE"
podman rmi -f "$AT/made:1" >/dev/null 2>&1
podman pull -q --tls-verify=false "$AT/made:1" >/run/said 2>&1
note podman-pull-made "sha256:$(podman image inspect -f '{{.Id}} {{.Digest}}' "$AT/made:1" 2>>/run/said || cat /run/said)" "$MADE $PUSHED"
podman save -q -o "$shared/from-podman-docker.tar" "$AT/ours:1"
# Its OCI archives have the config in OCI's words, hence another id.
podman push -q --tls-verify=false --digestfile /run/digest "$AT/ours:1" "$AT/podman:1" >/dev/null
echo "podman:1 $(cat /run/digest)" >>"$shared/pushed"

printf 'version = 2\nroot = "%s/containerd"\nstate = "/run/cd"\n[grpc]\naddress = "/run/cd.sock"\n' "$data" >/run/cd.toml
containerd --config /run/cd.toml >/run/cd.log 2>&1 &
ctr() { command ctr --address /run/cd.sock "$@"; }
wait_for ctr version
# First the pull: of layers that it has unpacked already containerd does not fetch the blobs, and can't export them.
ctr images pull --plain-http "$AT/ours:1" >/run/said 2>&1
note ctr-pull "$(ctr images ls | awk -v name="$AT/ours:1" '$1 == name { print $3 }')" "$DIGEST"
ctr images pull --plain-http "$AT/made:1" >/run/said 2>&1
note ctr-pull-made "$(ctr images ls | awk -v name="$AT/made:1" '$1 == name { print $3 }')" "$PUSHED"
ctr images export "$shared/from-ctr.tar" "$AT/ours:1"
ctr images tag "$AT/ours:1" "$AT/ctr:1" >/dev/null
ctr images push --plain-http "$AT/ctr:1" >/dev/null 2>&1
echo "ctr:1 $DIGEST" >>"$shared/pushed"
ctr images rm "$AT/ours:1" "$AT/ctr:1" >/dev/null 2>&1
ctr images import "$shared/ours.tar" >/run/said 2>&1
found=$(ctr images ls | awk -v name="$AT/ours:1" '$1 == name { print $3 }')
# The archive's layers are not compressed, so its manifest is another; the config is the same.
note ctr-import "$(ctr content get "${found:-none}" 2>>/run/said | grep -o "$ID" | head -n 1)" "$ID"

note skopeo "$(skopeo inspect --tls-verify=false --format '{{.Digest}}' "docker://$AT/ours:1")" "$DIGEST"
skopeo copy -q "docker-archive:$shared/ours.tar" "oci:$data/oci:1" >/run/said 2>&1
umoci raw unpack --image "$data/oci:1" "$data/umoci" >>/run/said 2>&1
note umoci "$(ls "$data/umoci/bin" "$data/umoci/etc" 2>>/run/said | tr '\n' ' ')" "$data/umoci/bin: busybox  $data/umoci/etc: "
skopeo copy -q "docker-archive:$shared/made.tar" "oci:$data/oci:2" >/run/said 2>&1
umoci raw unpack --image "$data/oci:2" "$data/umoci-made" >>/run/said 2>&1
note umoci-made "$(ls "$data/umoci-made/srv" 2>>/run/said | xargs) $(cat "$data/umoci-made/made" 2>>/run/said)" "three made"
echo done
# They end with the namespace; what is mounted below the data goes with it too.
