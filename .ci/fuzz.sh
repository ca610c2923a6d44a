#!/usr/bin/env bash
# A short run of every fuzz target from its corpus on. (The corpus alone is replayed by `cargo test`.)
# What it finds of new inputs is not kept; an input that fails is printed.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${FUZZ_SECONDS:-20}
tools=$PWD/target/tools
export PATH="$tools/bin:$PATH"

skip() {
    echo "SKIPPED: fuzzing: $1"
    exit 0
}

cargo +nightly --version 2> /dev/null || skip 'there is no nightly toolchain here'
command -v c++ > /dev/null || command -v clang++ > /dev/null || skip 'there is no C++ compiler here'
if ! cargo-fuzz --version 2> /dev/null; then
    cargo install --locked --quiet --root "$tools" cargo-fuzz || skip 'cargo-fuzz cannot be installed'
fi

found=$(mktemp -d)
trap 'rm -rf "$found"' EXIT
targets=$(cargo +nightly fuzz list)
[[ -n $targets ]]
cargo +nightly fuzz build --target-dir target/fuzz
for target in $targets; do
    echo "+ $target for $seconds s"
    mkdir "$found/$target"
    status=0
    cargo +nightly fuzz run --target-dir target/fuzz "$target" "$found/$target" "fuzz/corpus/$target" \
        -- -max_total_time="$seconds" -artifact_prefix="$found/$target-" -print_final_stats=1 \
        > "$found/log" 2>&1 || status=$?
    if ((status != 0)); then
        tail -n 60 "$found/log"
        for artifact in "$found/$target"-*; do
            [[ -e $artifact ]] && echo "$(basename "$artifact"), in base64:" && base64 "$artifact"
        done
        exit 1
    fi
    grep -E '^stat::(number_of_executed_units|new_units_added)' "$found/log"
done
