# Steps fail or die where cgroup v2 is all there is: processes start in their groups by CLONE_INTO_CGROUP, and cgroup.kill ends them.
exec "$PAYLOAD/bin/conformance" faults --runtime "$PAYLOAD/bin/trun-proof" --patience 5 --jobs 1 \
  --filter "${CASES:-plain/child,plain/host,limits/host,exec/host}"
