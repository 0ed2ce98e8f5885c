# The cgroup crate's tests that need all controllers on v2.
exec "$PAYLOAD/bin/cgroup-v2_host" --nocapture --test-threads=1 ${CASES:+"$CASES"}
