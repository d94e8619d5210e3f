# `make demo` and `make test` do all set-up themselves on Debian with Rust and a C compiler.
.PHONY: demo test soak lint bench fmt setup-test setup-lint

demo:
	cargo run --release --locked --bin slarouter -- demo

# Everything the tests need that a plain Debian lacks. Already there: nothing is installed.
setup-test:
	scripts/setup-test

test: setup-test
	cargo build --workspace --locked --bins
	cargo test --workspace --locked
	cargo test -p slarouter-text --features bert --locked --lib --test bert
	SLAROUTER_BIN=target/debug/slarouter TESTKIT_UPSTREAM_BIN=target/debug/slarouter-testkit-upstream tests-sdk/run

# SOAK_REQUESTS (200000) and SOAK_SEED (1) change the run; some minutes.
soak:
	SOAK_REQUESTS=$${SOAK_REQUESTS:-200000} cargo test --release -p slarouter-cli --locked --test soak -- --nocapture

# Builds cargo-deny if it is not there.
setup-lint:
	scripts/setup-lint

lint: setup-lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p slarouter-text -p slarouter-lab --features slarouter-text/bert,slarouter-lab/bert --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --lib --no-deps --locked --quiet
	cargo deny --locked check --hide-inclusion-graph bans licenses sources
	@echo "not checked: security advisories, which need a network: cargo deny check advisories"

fmt:
	cargo fmt --all

bench:
	cargo bench --workspace --locked
