#!/usr/bin/env bash
# Builds the validation suite of OCI runtime-tools and prints the directory that holds it: the programs in bin/,
# runtimetest, which they run inside containers, and the root file system that they unpack.
# The source is Debian's source package, by apt with apt's own signature check; Go and the libraries are Debian's, too.
# One thing is ours: tap/, which writes results. The module that the suite names for that is in no Debian package.
set -euo pipefail
cd "$(dirname "$0")"
package=golang-github-opencontainers-runtime-tools
version=0.9.0.109.ge931285-1 # upstream e931285, March 2023: the newest that Debian has
suite=trixie

../../.ci/need debian-archive-keyring xz-utils golang-go golang-github-blang-semver-dev golang-github-google-uuid-dev \
  golang-github-hashicorp-go-multierror-dev golang-github-mrunalp-fileutils-dev golang-github-opencontainers-selinux-dev \
  golang-github-opencontainers-specs-dev golang-github-sirupsen-logrus-dev golang-github-urfave-cli-dev \
  golang-github-xeipuuv-gojsonschema-dev golang-gocapability-dev golang-golang-x-sys-dev >&2

target=${CARGO_TARGET_DIR:-../../target}
mkdir -p "$target/runtime-tools"
target=$(cd "$target/runtime-tools" && pwd)
key=$(cat build.sh tap/tap.go <(go version) | sha256sum | cut -c1-12)
built=$target/$version-$key
exec 9>"$target/lock"
flock -w 300 9
if [ -e "$built/complete" ]; then
  echo "$built"
  exit 0
fi

work=$(mktemp -d "$target/build-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# An own apt configuration: the machine's lists of sources stay as they are. The mirror is the one that it uses.
mirror=$(../../.ci/debian-mirror)
mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
cat >"$work/apt/parts/source.sources" <<TEXT
Types: deb-src
URIs: $mirror
Suites: $suite
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
TEXT
cat >"$work/apt/conf" <<TEXT
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$work/apt/parts";
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
APT::Sandbox::User "root";
TEXT
(
  cd "$work"
  export APT_CONFIG=$work/apt/conf
  apt-get update -qq
  # The tarball only: Debian's patches don't touch the suite. Its hash stands in the signed index.
  apt-get source -qq --tar-only "$package=$version"
) >&2
tree=$work/go/src/github.com/opencontainers/runtime-tools
mkdir -p "$tree" "$work/go/src/github.com/mndrix/tap-go" "$work/out/bin"
tar -xf "$work/${package}_${version%-*}.orig.tar.xz" -C "$tree" --strip-components=1
cp tap/tap.go "$work/go/src/github.com/mndrix/tap-go/"
# Without modules Go finds every library below GOPATH, where Debian's packages put them; a go.mod would ask a proxy.
rm -f "$tree/go.mod" "$tree/go.sum"
export GO111MODULE=off GOPATH=$work/go:/usr/share/gocode GOCACHE=$work/cache GOFLAGS=-trimpath CGO_ENABLED=0 GOTOOLCHAIN=local
# runtimetest compares the limits that it finds. From Go 1.19 on package os raises the soft limit of open files before
# main, so that the program would see its own deed: it is built without that file.
printf '{"Replace": {"%s/src/os/rlimit.go": ""}}' "$(go env GOROOT)" >"$work/overlay.json"
(
  cd "$tree"
  nice go build -ldflags "-s -w" -o "$work/out/bin/" ./validation/...
  nice go build -ldflags "-s -w" -tags "netgo osusergo" -overlay "$work/overlay.json" -o "$work/out/runtimetest" ./cmd/runtimetest
  cp "rootfs-$(go env GOARCH).tar.gz" "$work/out/"
) >&2
rm -rf "$target/$version"-*
mv "$work/out" "$built"
touch "$built/complete"
echo "$built"
