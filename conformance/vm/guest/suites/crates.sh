# The crates' own tests that ask the kernel: system calls, single operations in throwaway user namespaces, cgroups.
status=0
run() { # PROGRAM FILTER
  echo "$1 $2:"
  "$PAYLOAD/bin/$1" --nocapture --test-threads=2 "$2" || status=1
}
run sys-tare_sys "$CASES"
run runtime-tare_runtime "stage_tests::$CASES"
run cgroup-unified "$CASES"
exit $status
