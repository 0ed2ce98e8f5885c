#!/usr/bin/env bash
# Builds target/release/trun and containerd-shim-tare-v2, static: no dynamic linking at each start (about 1 ms), and the same file runs in any root.
# With musl where the toolchain has it: glibc asks the processor some 25 questions at each start, and in a virtual machine each
# of them is the hypervisor's to answer (0.5 ms together).
# The flags need an explicit --target, else they would reach the proc macros too, which can't be static.
# .ci/cc-ordered lays functions by their names, and only names of the kind v0 tell two instances of a generic apart.
# Optimised for size it is as fast: what its loops lose, fewer page faults bring back.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/need --tool cc gcc --tool cargo rust --tool nm binutils libc6-dev
host=$(rustc -vV | sed -n 's/^host: //p')
target=${CARGO_TARGET_DIR:-target}
flags='-C target-feature=+crt-static -C symbol-mangling-version=v0'
triple=${host/-gnu/-musl}
# Where rustup is absent or can't reach its server the other target serves, which is said below.
[ -d "$(rustc --print target-libdir --target "$triple")" ] || timeout 120 rustup --quiet target add "$triple" >&2 || true
if [ -d "$(rustc --print target-libdir --target "$triple")" ]; then
  # For this target rustc takes the system's linker unless told where its own is.
  lld=$(rustc --print sysroot)/lib/rustlib/$host/bin/gcc-ld
  [ ! -x "$lld/ld.lld" ] || flags+=" -C link-arg=-fuse-ld=lld -C link-arg=-B$lld"
else
  echo "note: no Rust target $triple here (rustup target add $triple): trun is built with $host and starts slower" >&2
  triple=$host
fi
linker=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$triple")_LINKER
export "$linker=$PWD/.ci/cc-ordered"
export CARGO_PROFILE_RELEASE_OPT_LEVEL=s
RUSTFLAGS=$flags cargo build --quiet --release --target "$triple" -p trun -p tare-shim "$@"
mkdir -p "$target/release"
for program in trun containerd-shim-tare-v2; do
  cp "$target/$triple/release/$program" "$target/release/.$program.new"
  mv "$target/release/.$program.new" "$target/release/$program"
done
