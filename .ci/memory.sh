#!/usr/bin/env bash
# What the compiler does not check: whether `unsafe` code, and what stands right beside it, keeps to the rules of memory. On demand, as it
# takes a while: `bash .ci/memory.sh [miri] [address] [valgrind]`; all three if none is named. What a machine cannot do is said aloud in a line with
# SKIPPED.
#
# * Miri runs the pure parts: frames, messages, packets, the status page, and the arithmetic of the queue. It knows nothing of `memfd`, robust
#   mutexes and processes.
# * The address sanitizer runs the unit tests of locks, shared memory, queues and of `sys` itself, and locks that two processes share.
# * valgrind's memcheck runs the same tests. It serialises threads, so that it is patient with loops that wait; helgrind is not used, as it takes
#   robust mutexes that are unlocked by a kernel, and everything that is an atomic, for races.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=("$@")
((${#wanted[@]})) || wanted=(miri address valgrind)
target=x86_64-unknown-linux-gnu
# What is in memory that processes share, and how it is reached.
shared=(shared:: sync:: queue::tests sys::arena sys::robust sys::segment sys::named sys::parcel)
# What is plain data, beside it.
pure=(page:: frame:: wire::beside wire::chunk wire::handles pipe::assembler pipe::packet sys::cgroup)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

skip() {
    echo "SKIPPED: $1"
}

# run COMMAND…: and refuses a run of no test.
run() {
    "$@" 2>&1 | tee "$log"
    grep -qE '^test result: ok\. [1-9][0-9]* passed' "$log" || { echo 'no test was run'; return 1; }
}

by_miri() {
    cargo +nightly miri --version 2> /dev/null || { skip 'Miri: no nightly toolchain has it (rustup +nightly component add miri rust-src)'; return; }
    PROPTEST_CASES=${PROPTEST_CASES:-2} MIRIFLAGS='-Zmiri-disable-isolation' CARGO_TARGET_DIR=target/miri \
        run cargo +nightly miri test --locked --lib -- "${pure[@]}"
}

by_address() {
    cargo +nightly --version 2> /dev/null || { skip 'the address sanitizer: there is no nightly toolchain here'; return; }
    # Leaks are not looked for: mappings whose owner has forgotten them stay on purpose.
    RUSTFLAGS='-Zsanitizer=address' ASAN_OPTIONS=detect_leaks=0 CARGO_TARGET_DIR=target/address \
        run cargo +nightly test --locked --target "$target" --lib -- "${shared[@]}"
    RUSTFLAGS='-Zsanitizer=address' ASAN_OPTIONS=detect_leaks=0 CARGO_TARGET_DIR=target/address \
        run cargo +nightly test --locked --target "$target" --test sync
}

by_valgrind() {
    if ! command -v valgrind > /dev/null && ! apt-get install -y valgrind > /dev/null 2>&1; then
        skip 'valgrind: it is not installed, and cannot be'
        return
    fi
    # Without that, rustix looks for the kernel's own page of code, which valgrind hides.
    local binary
    binary=$(RUSTFLAGS='--cfg rustix_use_libc' CARGO_TARGET_DIR=target/valgrind \
        cargo test --locked --lib --no-run --message-format=json \
        | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    run valgrind --quiet --error-exitcode=9 --fair-sched=yes \
        "$binary" --test-threads=1 "${shared[@]}"
}

for one in "${wanted[@]}"; do
    echo "=== $one"
    "by_$one"
done
