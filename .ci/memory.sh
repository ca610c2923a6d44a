#!/usr/bin/env bash
# What the compiler does not check: whether `unsafe` code, and what stands right beside it, keeps to the rules of memory. On demand, as it
# takes a while: `bash .ci/memory.sh [miri] [address] [valgrind]`; all three if none is named. What a machine cannot do is said aloud in a line with
# SKIPPED.
#
# * Miri runs the pure parts: frames, messages, packets, and the status page. It knows nothing of `memfd`, robust mutexes and processes.
# * The address sanitizer runs the unit tests of locks, shared memory, queues, connections and of all of `sys`; and the tests in which processes
#   share locks and memory, where it watches each of them.
# * valgrind's memcheck runs the same unit tests, in one process. It serialises threads, so that it is patient with loops that wait;
#   helgrind is not used, as it takes robust mutexes that are unlocked by a kernel, and everything that is an atomic, for races.
#
# On two cores that did ten times as much besides, the tests took: by address, two minutes for those of the library, half a minute for `sync` and
# a bit more than one for `kit`; by valgrind, five and a half. Each part compiles everything anew before that, the first time: some four minutes of one
# core.
#
# PROPTEST_CASES says how many cases of each property are tried, and PROCESSION_TEST_PATIENCE by how much longer a test may take.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=("$@")
((${#wanted[@]})) || wanted=(miri address valgrind)
target=x86_64-unknown-linux-gnu
# What is in memory that processes share, and how it is reached.
shared=(shared:: sync:: queue::tests pipe::tests sys::)
# The integration tests in which processes share it.
between=(sync kit)
# What is plain data, beside it.
pure=(page:: frame:: wire::beside wire::chunk wire::handles pipe::assembler pipe::packet sys::cgroup)
# Megabytes, which Miri moves byte by byte, for minutes.
large=(a_frame_of_max_frame_passes memory_follows_the_bytes)
# Threads that take turns by the thousand, of which valgrind runs one at a time, and a message of 16 MiB that is made byte by byte.
slow=(many_threads one_of_several messages_of_several comes_back_from_an_echo)
export PROCESSION_TEST_PATIENCE=${PROCESSION_TEST_PATIENCE:-10}
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
        run cargo +nightly miri test --locked --lib -- "${pure[@]}" "${large[@]/#/--skip=}"
}

by_address() {
    local library
    library=$(rustc +nightly --print sysroot 2> /dev/null || true)
    library=$(find "$library/lib/rustlib/$target/lib" -name 'librustc*_rt.asan.a' 2> /dev/null || true)
    [[ $library ]] || { skip 'the address sanitizer: no nightly toolchain has it'; return; }
    # Leaks are not looked for: mappings whose owner has forgotten them stay on purpose. Locals stay on the stack: how deep that is tells how deep a
    # value is nested (src/wire/codec.rs), and elsewhere they would look deep.
    local -x RUSTFLAGS='-Zsanitizer=address' CARGO_TARGET_DIR=target/address
    local -x ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0
    run cargo +nightly test --locked --all-features --target "$target" --lib -- "${shared[@]}"
    local test
    for test in "${between[@]}"; do
        run cargo +nightly test --locked --all-features --target "$target" --test "$test"
    done
}

by_valgrind() {
    if ! command -v valgrind > /dev/null && ! apt-get install -y valgrind > /dev/null 2>&1; then
        skip 'valgrind: it is not installed, and cannot be'
        return
    fi
    # Without that, rustix looks for the kernel's own page of code, which valgrind hides.
    local binary
    binary=$(RUSTFLAGS='--cfg rustix_use_libc' CARGO_TARGET_DIR=target/valgrind \
        cargo test --locked --all-features --lib --no-run --message-format=json \
        | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    PROPTEST_CASES=${PROPTEST_CASES:-4} run valgrind --quiet --error-exitcode=9 --fair-sched=yes \
        "$binary" --test-threads=1 "${shared[@]}" "${slow[@]/#/--skip=}"
}

for one in "${wanted[@]}"; do
    echo "=== $one"
    "by_$one"
done
