# The shim where cgroup v2 is all there is: its metrics, its watch of memory, and how it ends what is in a group.
exec "$PAYLOAD/bin/shim-conformance" --shim "$PAYLOAD/bin/containerd-shim-tare-v2" --name io.containerd.tare.v2 --jobs 2 \
  "${CASES:-}"
