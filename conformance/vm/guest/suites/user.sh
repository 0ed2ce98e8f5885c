# An ordinary user's session with delegated controllers: rootless containers with and without systemd's driver.
id tester >/dev/null 2>&1 || useradd -m -s /bin/sh tester
uid=$(id -u tester)
loginctl enable-linger tester || exit 1
waited=0
until [ -S "/run/user/$uid/bus" ]; do
  waited=$((waited + 1))
  [ $waited -lt 300 ] || {
    echo "FAIL the user's session did not come up"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
  }
  sleep 0.2
done
# Debian delegates memory and pids to user managers by default; the container's cpu limits want more.
exec runuser -u tester -- env XDG_RUNTIME_DIR="/run/user/$uid" DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$uid/bus" \
  PAYLOAD="$PAYLOAD" systemd-run --user --quiet --pipe --wait --collect -p Delegate=yes \
  -E PAYLOAD -E XDG_RUNTIME_DIR -E DBUS_SESSION_BUS_ADDRESS /bin/sh "$PAYLOAD/guest/as-user.sh"
