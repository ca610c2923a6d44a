#!/usr/bin/env bash
# Every interleaving of the small protocols: the token, the status page, promise and waiters, the turn at a connection.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A folder of its own: the flag would have everything else built again.
RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=target/loom \
    cargo test --locked --lib --release loom 2>&1 | tee "$log"
if ! grep -qE '^test result: ok\. [1-9][0-9]* passed' "$log"; then
    echo 'no model was run'
    exit 1
fi
