#!/usr/bin/env bash
# Whether the benchmarks build and come to their end. What they measure here, with little work on a machine that may be busy, says
# nothing.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo clippy --locked --manifest-path benches/Cargo.toml --all-targets -- -D warnings
cargo run --locked --release --manifest-path benches/Cargo.toml -- --quick
