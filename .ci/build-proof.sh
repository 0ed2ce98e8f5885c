#!/usr/bin/env bash
# Builds target/proof/trun: a trun with the tests' hooks (the feature `proof`: steps that fail on request, plans that lack a
# defence). No release has them; tests of faults and of attacks need them to show that they can fail.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/need --tool cc gcc --tool cargo rust libc6-dev
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
RUSTFLAGS='-C target-feature=+crt-static' cargo build --quiet --target "$host" --target-dir "$target/proof-build" -p trun --features proof "$@"
mkdir -p "$target/proof"
cp "$target/proof-build/$host/debug/trun" "$target/proof/.trun.new"
mv "$target/proof/.trun.new" "$target/proof/trun"
