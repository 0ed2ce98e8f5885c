#!/usr/bin/env bash
# tare-shim-wire against rust-protobuf and the crate ttrpc: a workspace of its own, so that theirs stays out of ours. A minute to build.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/toolchain
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/wire-oracle
export CARGO_TARGET_DIR
cd shim/wire/oracle
cargo fmt --check
cargo clippy --quiet --locked --all-targets -- -D warnings
cargo test --quiet --locked
