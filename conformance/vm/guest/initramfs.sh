#!/bin/busybox sh
# /init of the initramfs: loads the modules, mounts both disks, hands over to the userland's pid 1.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*.ko; do
  case $module in
    *null_blk*) insmod "$module" nr_devices=1 gb=1 ;;
    *) insmod "$module" ;;
  esac || echo "initramfs: $module did not load"
done
waited=0
while [ ! -b /dev/vdb ] && [ $waited -lt 100 ]; do
  sleep 0.1
  waited=$((waited + 1))
done
mount -t ext4 /dev/vda /root || exec poweroff -f
mkdir -p /root/payload
mount -t ext4 -o ro /dev/vdb /root/payload || exec poweroff -f
mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
case " $(cat /root/proc/cmdline) " in
  *" tare.init=systemd "*)
    cp /root/payload/guest/tare.service /root/etc/systemd/system/
    mkdir -p /root/etc/systemd/system/multi-user.target.wants
    ln -sf ../tare.service /root/etc/systemd/system/multi-user.target.wants/tare.service
    # What a guest without network, terminal and future does not need.
    for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty.target \
      ldconfig.service systemd-firstboot.service systemd-hwdb-update.service systemd-journal-catalog-update.service \
      systemd-timesyncd.service systemd-update-done.service; do
      ln -sf /dev/null "/root/etc/systemd/system/$unit"
    done
    exec switch_root /root /lib/systemd/systemd
    ;;
  *) exec switch_root /root /payload/guest/plain-init.sh ;;
esac
