# Every chore of the project; `make` alone lists them. The work is done by the scripts and crates named on the right.
PREFIX ?= /usr/local
DESTDIR ?=
N ?= 50
BASE ?= HEAD~1
RUNTIME ?=
FILTER ?=
NAME ?=
CASES ?=
SUITES ?=
STARTS ?= 1000
ARGS ?=
TARGET ?= spec
SECONDS ?= 60

.PHONY: image-test bench-image wire-oracle help build demo test install uninstall bench bench-ab bench-shim bench-v2 conformance runtime-tools rootless cve shim-suite shim-test vm fmt tidy goldens trace dist deny many faults fuzz fuzz-mutants miri privilege

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## the release binaries: trun, the shim, tare, in target/release
	@.ci/build.sh && .ci/build-tare.sh

demo: ## build all, run a bundle of Debian's busybox, and as root pull an image of it from a local registry and run that
	@.ci/demo.sh

test: ## the gate: format, lints, tidy, all tests, conformance, real callers
	@.ci/gate.sh

install: ## trun, the shim, tare, man pages, completions below PREFIX (/usr/local), DESTDIR honoured
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' .ci/install.sh

uninstall: ## what install put there
	@PREFIX='$(PREFIX)' DESTDIR='$(DESTDIR)' .ci/install.sh --remove

bench: ## every figure against runc, crun and bare calls; N=rounds ARGS="--only SECTION" (benches/README.md)
	@N='$(N)' benches/bench.sh $(ARGS)

bench-shim: ## our shim against Debian's Go shim and another in Rust, as their client sees them, idle, and through containerd; N=rounds
	@N='$(N)' benches/shim.sh
	@benches/shim-memory.sh
	@N='$(N)' benches/shim-containerd.sh

bench-image: ## pulls against dockerd, containerd, podman, skopeo and umoci of Debian sid; N=rounds ARGS="--only CASE"
	@N='$(N)' benches/image/bench.sh $(ARGS)

image-test: ## images against a real registry: logins, kills, full disks; and with the engines of Debian bookworm and sid
	@conformance/image/run.sh && conformance/image/others.sh

bench-v2: ## the bench on cgroup v2 in qemu, ratios only; N=rounds ARGS="--only SECTION"
	@N='$(N)' benches/bench-v2.sh $(ARGS)

bench-ab: ## this tree against the revision BASE, paired; N=rounds
	@N='$(N)' BASE='$(BASE)' benches/bench-ab.sh $(ARGS)

conformance: ## every suite in its full form; with RUNTIME=runc|crun|PATH (and NAME) only the conformance suite, against that
	@$(if $(RUNTIME),.ci/conformance.sh '$(RUNTIME)' '$(FILTER)' '$(NAME)',.ci/proof.sh)

runtime-tools: ## the validation suite of OCI runtime-tools against RUNTIME (trun by default), expectations of NAME
	@conformance/runtime-tools/run.sh '$(or $(RUNTIME),trun)' '$(NAME)' '$(FILTER)'

rootless: ## the demo as a user without rights, and the cases of rootless and nested containers
	@.ci/demo-as-user.sh
	@.ci/conformance.sh '$(or $(RUNTIME),trun)' rootless/

vm: ## real kernels in qemu; FILTER=scenario SUITES=suite CASES=words of a case's name
	@conformance/vm/run.sh '$(FILTER)' '$(CASES)' '$(SUITES)'

shim-suite: ## the black-box suite of shims on ours and on Debian's Go shim, or on SHIM=PATH; FILTER=words ARGS=--nightly
	@.ci/shim.sh '$(SHIM)' '$(FILTER)' $(ARGS)

shim-test: shim-suite ## the shim with containerd and dockerd of Debian trixie and sid too, in roots of their own
	@.ci/build.sh && .ci/cri.sh

cve: ## attacks that other runtimes fell for: 1,000 starts of each race, or STARTS=n
	@.ci/cve.sh '$(STARTS)'

faults: ## every step fails or dies, with every error that it can give, and nothing is left
	@.ci/faults.sh --full $(ARGS)

fmt: ## format every crate
	cargo fmt --all

tidy: ## the project's own rules
	cargo xtask tidy

goldens: ## write the golden plans anew; review the diff
	cargo xtask goldens

trace: ## a strace of a real run against the plan
	cargo xtask trace

privilege: ## rights of what install and dist put down
	@.ci/privilege.sh

many: ## 500 containers at once, races on one, unkind host processes; ARGS for `many --help`
	@.ci/many.sh $(ARGS)

wire-oracle: ## what the shim says to containerd, against rust-protobuf and the crate ttrpc
	@.ci/wire-oracle.sh

deny: ## licences, bans, sources by cargo-deny; ADVISORIES=REPOSITORY adds the advisories
	@.ci/deny.sh

dist: ## target/dist/tare-VERSION-ARCH.tar.gz with its checksum
	cargo xtask dist

fuzz: ## the fuzz engine on TARGET for SECONDS; SECONDS=merge keeps what it has found
	@fuzz/fuzz.sh '$(TARGET)' '$(SECONDS)' $(ARGS)

fuzz-mutants: ## lines of the project made wrong: the targets' corpora must notice
	@fuzz/mutants.sh $(ARGS)

miri: ## memory errors: Miri where nightly has it, valgrind's memcheck everywhere
	@.ci/memory.sh
