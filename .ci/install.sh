#!/usr/bin/env bash
# Installs (or with --remove removes) trun, the shim, tare, man pages and completions below $DESTDIR$PREFIX.
set -euo pipefail
cd "$(dirname "$0")/.."
prefix=${DESTDIR:-}${PREFIX:-/usr/local}
# Completions are read by root's shell: nobody else may write them, and everybody may read them, whatever the caller's umask.
umask 022
bin=$prefix/bin doc=$prefix/share/doc/trun man=$prefix/share/man/man1
bash=$prefix/share/bash-completion/completions zsh=$prefix/share/zsh/site-functions fish=$prefix/share/fish/vendor_completions.d

if [ "${1:-}" = --remove ]; then
  rm -f "$bin/tare" "$man/tare.1" "$man"/tare-*.1 "$bash/tare" "$zsh/_tare" "$fish/tare.fish" "$bin/trun" "$bin/containerd-shim-tare-v2" "$man/trun.1" "$man"/trun-*.1 "$bash/trun" "$zsh/_trun" "$fish/trun.fish" "$doc/LICENSE"
  exit 0
fi
.ci/toolchain
.ci/build.sh
.ci/build-tare.sh
trun=${CARGO_TARGET_DIR:-target}/release/trun
install -D -m 755 "$trun" "$bin/trun"
install -D -m 755 "$(dirname "$trun")/containerd-shim-tare-v2" "$bin/containerd-shim-tare-v2"
install -D -m 755 "$(dirname "$trun")/tare" "$bin/tare"
install -D -m 644 LICENSE "$doc/LICENSE"
install -d "$man" "$bash" "$zsh" "$fish"
"$trun" man "$man"
"$bin/tare" man "$man"
"$trun" completion bash >"$bash/trun"
"$trun" completion zsh >"$zsh/_trun"
"$trun" completion fish >"$fish/trun.fish"
for shell in "bash $bash/tare" "zsh $zsh/_tare" "fish $fish/tare.fish"; do
  "$bin/tare" completion "${shell%% *}" >"${shell#* }"
done
echo "installed $bin/trun and its neighbours containerd-shim-tare-v2 and tare, $(find "$man" -name 't*.1' | wc -l) man pages, completions for bash, zsh and fish"
