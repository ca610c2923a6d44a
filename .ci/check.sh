#!/usr/bin/env bash
# The quick part: run it before each push.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

check() {
    echo "+ $*"
    "$@"
}

check cargo fmt --all --check
check cargo fmt --manifest-path fuzz/Cargo.toml --check
check cargo fmt --manifest-path benches/Cargo.toml --check
check cargo clippy --locked --workspace --all-targets -- -D warnings
check cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
check cargo clippy --locked --lib --no-default-features -- -D warnings
check cargo clippy --locked --lib --no-default-features --features log -- -D warnings
check cargo clippy --locked --lib --no-default-features --features tracing -- -D warnings
check cargo test --locked --test tidy
