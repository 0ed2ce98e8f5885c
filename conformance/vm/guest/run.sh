#!/bin/sh
# Runs the suites that the kernel's command line names; what it prints is read by the host.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
export PAYLOAD=/payload CASES= PART=
[ -e /etc/hosts ] || echo "127.0.0.1 localhost" >/etc/hosts
suites=
for word in $(cat /proc/cmdline); do
  case $word in
    tare.suites=*) suites=$(echo "${word#tare.suites=}" | tr , ' ') ;;
    tare.part=*) PART=${word#tare.part=} ;;
    tare.cases=*) CASES=${word#tare.cases=} ;;
  esac
done
echo "guest: $(uname -r), pid 1 is $(cat /proc/1/comm), lsm $(cat /sys/kernel/security/lsm 2>/dev/null), up $(cut -d' ' -f1 /proc/uptime) s"
for suite in $suites; do
  echo "guest: suite $suite"
  /bin/sh "/payload/guest/suites/$suite.sh" 2>&1
  echo "guest: suite $suite exited $?"
done
echo "guest: done"
