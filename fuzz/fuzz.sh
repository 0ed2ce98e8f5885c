#!/usr/bin/env bash
# fuzz.sh TARGET SECONDS [LIBFUZZER FLAGS]: the engine on one target, from its kept corpus; what it finds new is kept in
# target/fuzz/corpus. `fuzz.sh TARGET merge` puts the smallest set that covers as much into fuzz/corpus. `fuzz.sh build` only builds.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${1:?TARGET, one of: $(ls fuzz/corpus | tr '\n' ' ')}
seconds=${2:-60}
shift; shift || true # the second argument may be absent
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
.ci/need --tool c++ g++ --tool cargo rust libc6-dev

# SanitizerCoverage is a pass of LLVM that the stable compiler runs; no sanitizer's runtime is linked. Only --target keeps these
# flags away from build scripts, which would lack the engine.
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --quiet --profile fuzz --target "$host" --target-dir "$target/fuzz" -p tare-fuzz --features engine --bin tare-fuzz
engine=$target/fuzz/$host/fuzz/tare-fuzz
[ "$name" != build ] || exit 0

longest=4096
case $name in spec | exec | record | resources | seccomp | program | planted) longest=16384 ;; esac
grown=$target/fuzz/corpus/$name
mkdir -p "$grown" "$target/fuzz/found" "fuzz/corpus/$name"
flags=(-max_len=$longest -timeout=20 -rss_limit_mb=2048 -artifact_prefix="$target/fuzz/found/$name-")
[ ! -f "fuzz/dictionaries/$name.txt" ] || flags+=(-dict="fuzz/dictionaries/$name.txt")
export TARE_FUZZ_TARGET=$name
if [ "$seconds" = merge ]; then
  # Of short inputs only, so that all corpora together stay small. Regressions keep their names; the rest is chosen anew.
  all=$target/fuzz/all-$name small=$target/fuzz/small-$name
  rm -rf "$all" "$small"
  mkdir -p "$all" "$small"
  for folder in "$grown" "fuzz/corpus/$name"; do
    find "$folder" -type f -size "-$((longest / 16 + 512))c" -exec cp -t "$all" {} +
  done
  find "fuzz/corpus/$name" -name '*.regression' -exec cp -t "$small" {} +
  "$engine" -set_cover_merge=1 -use_counters=0 -use_cmp=0 "${flags[@]}" "$small" "$all" >"$target/fuzz/merge-$name.log" 2>&1
  rm -rf "$all" "fuzz/corpus/$name"
  mv "$small" "fuzz/corpus/$name"
  du -sb "fuzz/corpus/$name"
  exit
fi
exec "$engine" "${flags[@]}" -max_total_time="$seconds" -print_final_stats=1 "$@" "$grown" "fuzz/corpus/$name"
