#!/bin/sh
# without-unified.sh COMMAND...: runs a command in a mount table that has the v1 hierarchies and no unified one beside them.
# crun refuses a hybrid host. An own tmpfs holds the table, because crun makes a directory for the hierarchy that isn't there.
set -e
[ -e /sys/fs/cgroup/unified/cgroup.controllers ] || exec "$@"
exec unshare --mount --propagation slave sh -ec '
  table=$(mktemp -d)
  mount -t tmpfs cgroups "$table"
  for each in /sys/fs/cgroup/*; do
    name=${each##*/}
    [ "$name" != unified ] || continue
    if [ -L "$each" ]; then cp -P "$each" "$table/"; else mkdir "$table/$name"; mount --bind "$each" "$table/$name"; fi
  done
  umount --recursive --lazy /sys/fs/cgroup
  mount --move "$table" /sys/fs/cgroup
  rmdir "$table"
  exec "$@"' sh "$@"
