#!/usr/bin/env bash
# The demo to its end as a user without rights, name, home or session: root runs it from a copy that this user can read, with the trun that is built.
# The user's uid is nobody's; its container runs rootless, and nothing of it may be left.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec .ci/demo.sh
.ci/need busybox-static util-linux
user=61233
trun=${CARGO_TARGET_DIR:-target}/release/trun
[ -x "$trun" ] || .ci/build.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/tare-demo-user.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tree/.ci" "$work/tmp"
cp .ci/demo.sh .ci/need "$work/tree/.ci/"
cp "$trun" "$work/tree/"
chmod 755 "$work"
chown -R $user:$user "$work/tmp"
said=$(setpriv --reuid $user --regid $user --clear-groups \
  env -i PATH=/usr/bin:/bin:/usr/sbin TMPDIR="$work/tmp" "$work/tree/.ci/demo.sh" --program "$work/tree/trun" 2>&1) || {
  printf '%s\n' "$said"
  exit 1
}
printf '%s\n' "$said"
# The program ran, as its own first process, as root inside, and its id is the user's outside.
for words in 'process 1, as uid=0' "write maps uid 0:$user:1" 'ran in '; do
  case $said in *"$words"*) ;; *) echo "the demo did not say: $words" && exit 1 ;; esac
done
left=$(ls -A "$work/tmp")
[ -z "$left" ] || { echo "left behind: $left" && exit 1; }
