# The cgroup crate's tests that start a systemd of their own.
exec "$PAYLOAD/bin/cgroup-systemd" --nocapture --test-threads=1 ${CASES:+"$CASES"}
