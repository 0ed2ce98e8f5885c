# The crates' own tests that ask the kernel: single operations in throwaway user namespaces, system calls, cgroups.
status=0
for test in sys-tare_sys runtime-tare_runtime cgroup-tare_cgroup cgroup-kernel cgroup-unified; do
  echo "$test:"
  "$PAYLOAD/bin/$test" --nocapture --test-threads=2 ${CASES:+"$CASES"} || status=1
done
exit $status
