#!/usr/bin/env bash
# What the checks use, and the linker and the two components of the toolchain if they are missing.

set -euo pipefail

if ! command -v cc > /dev/null; then
    apt-get update -q
    apt-get install -qy --no-install-recommends gcc g++ libc6-dev
fi
for component in rustfmt clippy; do
    "cargo-${component/rust/}" --version > /dev/null 2>&1 || rustup component add "$component"
done
cargo --version
rustc --version
echo "$(nproc) CPUs, $(uname -sr)"
