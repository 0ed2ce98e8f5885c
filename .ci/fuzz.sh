#!/usr/bin/env bash
# The fuzz targets without an engine: lints, then every kept input through its target. The engine itself: make fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/toolchain
cargo clippy --quiet -p tare-fuzz --all-targets --features targets -- -D warnings
cargo test --quiet -p tare-fuzz --features targets
