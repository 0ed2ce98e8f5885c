# Sourced by plain-init.sh: every controller of the kernel on cgroup v1, two pairs together as systemd mounted them.
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
for group in cpu,cpuacct net_cls,net_prio; do
  mkdir "/sys/fs/cgroup/$group"
  mount -t cgroup -o "$group" cgroup "/sys/fs/cgroup/$group"
  for controller in $(echo $group | tr , ' '); do
    ln -s "$group" "/sys/fs/cgroup/$controller"
  done
done
for controller in $(awk '!/^#/ && $4 == 1 { print $1 }' /proc/cgroups); do
  [ ! -e "/sys/fs/cgroup/$controller" ] || continue
  mkdir "/sys/fs/cgroup/$controller"
  mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
done
