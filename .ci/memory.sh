#!/usr/bin/env bash
# Memory errors: Miri where a nightly compiler has it, and valgrind's memcheck over the same tests and more, which also sees what Miri
# cannot: the system calls in assembler, and what the kernel is given. The last lines count; Miri's absence is a skip with its reason.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/toolchain
.ci/need valgrind
host=$(rustc -vV | sed -n 's/^host: //p')

# counted COMMAND...: shows only libtest's results.
counted() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 || status=$?
  if [ $status = 0 ]; then
    # The status is judged already; that nothing ran shows in the gate's count.
    grep '^test result: ' "$log" | grep -v ' 0 passed; 0 failed; 0 ignored' || true
  else
    cat "$log"
  fi
  rm -f "$log"
  return $status
}

# Small programs of whose every access memcheck knows whether it is one: the crate with the unsafe code, the decoder, lowering and
# reading back, and the fuzz targets that go through them or make system calls.
memcheck() {
  local name=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
  echo "memcheck: $*"
  env "$name=valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite" \
    bash -c 'cargo test --quiet "$@"' - "$@"
}
counted memcheck -p tare-sys --lib
counted memcheck -p tare-stage --lib
counted memcheck -p tare-runtime --lib -- lower::tests::corpus lower::tests::every lower::tests::what
counted memcheck -p tare-fuzz --features targets --test corpus -- program bus host

# The oracle fails where it must: a test that reads one byte too many passes alone, and not under memcheck.
cargo test --quiet -p tare-sys --lib -- --ignored a_read_past_an_end >/dev/null
if seen=$(memcheck -p tare-sys --lib -- --ignored a_read_past_an_end 2>&1) || ! grep -q 'Invalid read of size 1' <<<"$seen"; then
  printf '%s\nmemcheck did not notice a read past an end\n' "$seen"
  exit 1
fi
echo "memcheck: notices a read past an end"
echo "test result: ok. 1 passed; 0 failed; 0 ignored"

if miri=$(cargo +nightly miri --version 2>/dev/null) && [ -d "$(rustc +nightly --print sysroot)/lib/rustlib/src" ]; then
  echo "Miri: $miri"
  export MIRIFLAGS=-Zmiri-permissive-provenance # pointers travel in the program as numbers, for execve
  counted cargo +nightly miri test --quiet -p tare-sys --lib
  counted cargo +nightly miri test --quiet -p tare-stage --lib
else
  echo "Miri: skipped, no nightly toolchain here has the components miri and rust-src"
  echo "test result: ok. 0 passed; 0 failed; 1 ignored"
fi
