# The cgroup crate's tests that need controllers on v1.
exec "$PAYLOAD/bin/cgroup-kernel" --nocapture --test-threads=1 ${CASES:+"$CASES"}
