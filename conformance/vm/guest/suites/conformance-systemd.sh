# The conformance suite with systemd's driver.
filter=${CASES:-$PART}
exec "$PAYLOAD/bin/conformance" --runtime "$PAYLOAD/bin/trun" --patience 5 --systemd-cgroup ${filter:+--filter "$filter"}
