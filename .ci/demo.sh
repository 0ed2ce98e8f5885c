#!/usr/bin/env bash
# Builds trun, makes an OCI bundle of Debian's static busybox, runs it, removes it all again. As root then the same as an image:
# pushed to a registry on the loopback, and run from there by one command.
#   .ci/demo.sh                as whoever calls: root, or a user without any rights
#   .ci/demo.sh --program P    with a trun that is built already
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x /bin/busybox ] || .ci/need busybox-static
if [ "${1:-}" = --program ]; then
  trun=$(realpath "$2")
else
  .ci/toolchain
  echo "building trun"
  .ci/build.sh
  trun=$(realpath "${CARGO_TARGET_DIR:-target}/release/trun")
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/tare-demo.XXXXXX")
id=demo-$$
cleanup() {
  "$trun" --root "$work/state" delete --force "$id" >/dev/null 2>&1 || true # not there unless `run` was cut short
  rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$work/bundle/rootfs/"{bin,dev,etc,proc,root,sys,tmp}
chmod 755 "$work" "$work/bundle"
cp /bin/busybox "$work/bundle/rootfs/bin/"
for applet in cat grep hostname id ls mount ps sh; do
  ln -s busybox "$work/bundle/rootfs/bin/$applet"
done
cat >"$work/bundle/rootfs/demo" <<'SCRIPT'
#!/bin/sh
echo "hello from $(hostname), process $$, as $(id)"
echo "my processes:"
ps
echo "my capabilities: $(grep CapEff /proc/self/status)"
echo "seccomp and new privileges: $(grep -E 'Seccomp:|NoNewPrivs' /proc/self/status | cat)"
echo "my root: $(grep ' / ' /proc/mounts | cat)"
SCRIPT
chmod 755 "$work/bundle/rootfs/demo"

rootless=()
[ "$(id -u)" = 0 ] || rootless=(--rootless)
(cd "$work/bundle" && "$trun" spec "${rootless[@]}")
# The template runs a shell on a terminal; the demo runs its script without one.
sed -i -e 's/"terminal": true/"terminal": false/' -e 's#"sh"#"/demo"#' "$work/bundle/config.json"

echo "the plan, first lines:"
"$trun" plan --bundle "$work/bundle" | sed -n 1,12p
echo
echo "trun run:"
begin=$(date +%s%N)
"$trun" --root "$work/state" run --bundle "$work/bundle" "$id"
echo
echo "ran in $((($(date +%s%N) - begin) / 1000)) us"

# With a trun that came from elsewhere there is no tare beside it.
[ "$(id -u)" = 0 ] && [ "${1:-}" != --program ] || exit 0
.ci/need --tool docker-registry docker-registry --tool python3 python3
.ci/build-tare.sh
tare=$(realpath "${CARGO_TARGET_DIR:-target}/release/tare")
# shellcheck source=conformance/image/registry.sh
. conformance/image/registry.sh
start_registry "$work/registry"
trap 'stop_registry; cleanup' EXIT
name=127.0.0.1:$port/demo:1
export TARE_ROOT=$work/images
tar -C "$work/bundle/rootfs" -c . | "$tare" import --change 'CMD ["/demo"]' --message "the demo" - "$name" >/dev/null
"$tare" push --quiet "$name" >/dev/null
"$tare" rmi "$name" >/dev/null
echo
echo "tare run, from a registry:"
begin=$(date +%s%N)
"$tare" run --rm "$name"
echo
echo "pulled and ran in $((($(date +%s%N) - begin) / 1000)) us"
