# The conformance suite with the cgroupfs driver.
filter=${CASES:-$PART}
exec "$PAYLOAD/bin/conformance" --runtime "$PAYLOAD/bin/trun" --patience 5 ${filter:+--filter "$filter"}
