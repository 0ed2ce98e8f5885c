# The conformance suite with the cgroupfs driver.
exec "$PAYLOAD/bin/conformance" --runtime "$PAYLOAD/bin/trun" ${CASES:+--filter "$CASES"}
