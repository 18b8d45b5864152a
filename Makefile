# The targets that people and CI use. `make` lists them; what is longer is in scripts/.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CARGO ?= cargo
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 60
# Seconds for which soak runs, and how many programs are asked all the time.
SOAK_SECONDS ?= 600
SOAK_TARGETS ?= 1
# Debian's kernels that test-kernels boots; 7 is the newest 7.x.
KERNELS ?= 5.10 6.1 6.12 7
# End-to-end tests wait most of their time: twice as many run at once as there are processors.
export RUST_TEST_THREADS ?= $(shell expr 2 \* $$(nproc))
# Where setup.sh puts what it builds.
export GOTAP_CACHE ?= $(HOME)/.cache/gotap
# Tests are chosen among those of all packages, so that all of them share dependencies and gotap: for a single package
# Cargo would build these anew, with other features.
TEST = $(CARGO) test --locked --workspace
# The same for tests that start gotap: the test called `starts` builds it.
TEST_GOTAP = GOTAP_BINARY=$(DEBUG_GOTAP) $(TEST) --test starts
DEBUG_GOTAP := "$(abspath $(or $(CARGO_TARGET_DIR),target))/debug/gotap"
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin:$(GOTAP_CACHE)/bin

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: setup
setup: ## Install what building and testing needs (Debian packages; as root when one is missing)
	@scripts/setup.sh

.PHONY: build
build: setup ## Build target/release/gotap
	$(CARGO) build --release --locked --package gotap

.PHONY: demo
demo: ## Watch the requests of a shop of four services for some seconds (as root)
	@scripts/demo.sh

.PHONY: test
test: setup ## Run all tests (end-to-end tests need root and skip without)
	@# The command that crates/gotap/tests start is built before any test runs: no other one is needed.
	GOTAP_BINARY=$(DEBUG_GOTAP) $(TEST) --no-fail-fast

.PHONY: test-again
test-again: ## Run single end-to-end tests, one after the other (TESTS="module::name ...")
	$(TEST_GOTAP) --test suite -- --exact --test-threads=1 $(TESTS)

.PHONY: test-matrix
test-matrix: setup ## Run oracle and end-to-end tests with all Go versions and build modes (long)
	GOTAP_TEST_MATRIX=full $(TEST_GOTAP) --test suite

.PHONY: recordings
recordings: setup ## Record what tests/replay makes spans of, with real programs (as root; all, or TESTS="module::name ...")
	@scripts/recordings.sh $(TESTS)

.PHONY: package
package: setup ## Make a Debian package of the release build, below target/package
	@scripts/package.sh

.PHONY: test-package
test-package: setup ## Make that package, install, run and remove it, also on Debian 12 and 13 in QEMU (as root)
	package=$$(scripts/package.sh) && GOTAP_PACKAGE=$$package \
		GOTAP_BINARY="$${CARGO_TARGET_DIR:-$(CURDIR)/target}/release/gotap" \
		$(TEST) --features gotap-e2e/systemd --test suite --test systemd -- \
		package:: the_service_works

.PHONY: test-image
test-image: setup ## Build the container's image with podman and run it as the DaemonSet does (as root; a quarter of an hour, 4 GB)
	@scripts/setup.sh podman
	$(TEST) --features gotap-e2e/image --test image -- --nocapture

.PHONY: test-backends
test-backends: setup ## Send traces to a real Jaeger and profiles to a real Parca, built first, through a real Envoy, and look at programs of a real garble (as root)
	$(TEST_GOTAP) --features gotap-e2e/backends --test backends

.PHONY: soak
soak: setup ## Let programs and a collector come and go while gotap runs (as root; SOAK_SECONDS=600)
	SOAK_SECONDS=$(SOAK_SECONDS) SOAK_TARGETS=$(SOAK_TARGETS) $(TEST_GOTAP) --features gotap-e2e/soak --test soak -- --nocapture

.PHONY: memory
memory: build ## Measure the memory that docs/kubernetes.md says, of the release build (as root; three minutes)
	GOTAP_BINARY="$(abspath $(or $(CARGO_TARGET_DIR),target))/release/gotap" SOAK_SECONDS=90 SOAK_TARGETS=20 \
		$(TEST) --features gotap-e2e/soak --test soak -- --nocapture

.PHONY: test-deploy
test-deploy: setup ## Check the Helm chart and the manifests in deploy/ by Kubernetes' schemas
	$(TEST) --features gotap-e2e/deploy --test deploy

.PHONY: test-kube
test-kube: setup ## Watch pods of a real Kubernetes API server, which is built first (as root; half an hour once)
	$(TEST_GOTAP) --features gotap-e2e/kube --test kube

.PHONY: test-kernels
test-kernels: setup ## Boot old and new kernels in QEMU and trace on each (KERNELS="5.10 7": only these)
	@# The tests that start the programs build them.
	$(TEST) --no-run --test starts
	@"$${CARGO_TARGET_DIR:-target}/debug/kernel-tests" $(KERNELS)

.PHONY: lint
lint: setup ## Check format, clippy, licences, sources and banned dependencies
	@scripts/setup.sh ci
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) deny --locked check --hide-inclusion-graph bans licenses sources

.PHONY: bench
bench: build ## Measure what observing costs, side by side (as root; a quarter of an hour)
	$(CARGO) run --release --locked --package bench

.PHONY: fuzz
fuzz: setup ## Run each fuzz target for a minute (needs cargo-fuzz and nightly Rust)
	@scripts/fuzz.sh $(FUZZ_SECONDS)

.PHONY: clean
clean: ## Remove what was built here
	$(CARGO) clean
	rm -rf bench/out fuzz/target
