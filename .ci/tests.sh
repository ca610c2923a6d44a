#!/usr/bin/env bash
# The test command as README.md prints it, taken from there, so that it stays true; then the same
# tests as nextest runs them, each in a process of its own.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

command=$(bash .ci/readme.sh 'cargo test')
echo "+ $command"
bash -euc "$command"

# Without any feature there is less of it, and that works too.
echo '+ cargo test --lib --no-default-features'
cargo test --lib --no-default-features

if cargo nextest --version > /dev/null 2>&1; then
    echo '+ cargo nextest run --workspace --all-features'
    cargo nextest run --workspace --all-features
else
    echo 'SKIPPED: nextest is not here'
fi
