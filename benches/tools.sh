#!/usr/bin/env bash
# Builds what the bench runs besides the runtimes, and prints the folder that it is in.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/need libc6-dev busybox-static libseccomp-dev >&2
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/bench-tools
mkdir -p "$tools"
cargo build --quiet --release -p tare-benches
cp "$target/release/tare-benches" "$target/release/embed" benches/docker-spec.json "$tools/"
for program in measure barerun barestate; do
  cc -O2 -static -Wall -Wextra -o "$tools/$program" "benches/$program.c"
done
cc -O2 -Wall -Wextra -o "$tools/filter" benches/filter.c -lseccomp

# youki's library has dependencies of its own; the build takes minutes the first time, and needs the registry.
rm -f "$tools/compare"
if cargo build --quiet --release --locked --manifest-path benches/compare/Cargo.toml --target-dir "$target/compare" >&2; then
  cp "$target/compare/release/compare" "$tools/compare"
else
  echo "benches/compare was not built: the report has no row of youki's libcontainer" >&2
fi
echo "$tools"
