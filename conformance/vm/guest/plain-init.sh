#!/bin/sh
# pid 1 without systemd: mounts what a host has, runs the suites, powers off.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run
mount -t mqueue mqueue /dev/mqueue 2>/dev/null
case " $(cat /proc/cmdline) " in
  *" tare.cgroup=v1 "*) . /payload/guest/cgroup-v1.sh ;;
  *) mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup ;;
esac
ip link set lo up
hostname tare-vm
# A child runs them, so that pid 1 reaps what they leave.
setsid /payload/guest/run.sh </dev/null >/dev/ttyS1 2>&1 &
wait $!
sync
busybox poweroff -f
