# SELinux: the kernel takes the policy's labels, permissive or enforcing.
echo "mode $(cat /sys/fs/selinux/enforce 2>/dev/null), own label $(cat /proc/self/attr/current)"
[ "$(cat /sys/fs/selinux/policyvers 2>/dev/null)" ] || exit 1
exec "$PAYLOAD/bin/conformance" --runtime "$PAYLOAD/bin/trun" --patience 5 --filter "${CASES:-labels/selinux,basic/,exec/,mounts/}"
