#!/usr/bin/env bash
# Builds target/release/tare: for speed, with what C there is in it (zstd, the TLS primitives), against this machine's libc.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/need --tool cc gcc --tool cargo rust libc6-dev
cargo build --quiet --release -p tare
