# The bench on cgroup v2, for benches/bench-v2.sh: what it writes goes to the host as text, one file after the other.
bin=$PAYLOAD/bin
work=$(mktemp -d) results=$(mktemp -d)
named() { # PROGRAM: NAME-VERSION=PATH
  echo "$1-$("$1" --version | awk 'NR == 1 { sub(/[+~].*/, "", $3); print $3 }')=$(command -v "$1")"
}
# As a host's systemd leaves it; runtimes do it themselves, barerun does not.
echo "+cpu +cpuset +io +memory +pids" >/sys/fs/cgroup/cgroup.subtree_control
# shellcheck disable=SC2046 # the file holds words
"$bin/tare-benches" --work "$work" --results "$results" --tools "$bin" --docker-spec "$bin/docker-spec.json" \
  --busybox /bin/busybox $(cat "$bin/bench.options") "trun=$bin/trun" "$(named runc)" "$(named crun)" >/dev/null
status=$?
[ $status = 0 ] || tail -n 20 "$work/log"
for file in "$results"/*; do
  [ -e "$file" ] || continue
  echo "guest: file ${file##*/}"
  cat "$file"
done
echo "guest: files end"
if [ $status = 0 ]; then
  echo "1 passed, 0 failed, 0 skipped"
else
  echo "0 passed, 1 failed, 0 skipped"
fi
exit $status
