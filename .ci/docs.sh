#!/usr/bin/env bash
# The documentation builds without a warning: what users read, and what maintainers read.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --all-features --no-deps
# Private items have links too, and may link to each other.
RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' \
    cargo doc --locked --workspace --all-features --no-deps --document-private-items --target-dir target/private-docs
