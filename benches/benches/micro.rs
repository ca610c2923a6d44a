//! Single calls, each by itself: `cargo bench --manifest-path benches/Cargo.toml`.

use std::sync::LazyLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use procession::{Future, ProcessPoolExecutor};

#[procession::task]
fn noop(n: u64) -> u64 {
    n
}

#[procession::task]
fn echo(bytes: Vec<u8>) -> Vec<u8> {
    bytes
}

static ONE: LazyLock<ProcessPoolExecutor> = LazyLock::new(|| pool(1));
static TWO: LazyLock<ProcessPoolExecutor> = LazyLock::new(|| pool(2));

fn pool(workers: usize) -> ProcessPoolExecutor {
    let builder = ProcessPoolExecutor::builder().max_workers(workers);
    builder.build().expect("a pool")
}

fn main() {
    procession::init();
    divan::main();
}

#[divan::bench]
fn wait(bencher: Bencher<'_, '_>) {
    let pool = &*ONE;
    bencher.bench(|| {
        let future = pool.submit(noop, black_box(7));
        future.map(|future| future.wait())
    });
}

#[divan::bench]
fn block_on(bencher: Bencher<'_, '_>) {
    let pool = &*ONE;
    bencher.bench(|| {
        pool.submit(noop, black_box(7))
            .map(futures::executor::block_on)
    });
}

#[divan::bench(args = [100, 10_000])]
fn submits(bencher: Bencher<'_, '_>, count: u64) {
    let pool = &*TWO;
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let futures = (0..count).map(|n| pool.submit(noop, n));
        let futures: Vec<Future<u64>> = futures.collect::<Result<_, _>>().expect("room");
        futures
            .iter()
            .filter(|future| future.wait().is_ok())
            .count()
    });
}

#[divan::bench(args = [1_000, 1_000_000])]
fn map(bencher: Bencher<'_, '_>, count: u64) {
    let pool = &*TWO;
    bencher
        .counter(ItemsCount::new(count))
        .bench(|| pool.map(noop, 0..count).filter(Result::is_ok).count());
}

#[divan::bench(args = [1 << 10, 64 << 10, 1 << 20, 16 << 20])]
fn echoes(bencher: Bencher<'_, '_>, size: usize) {
    let pool = &*ONE;
    bencher
        .counter(BytesCount::new(2 * size))
        .with_inputs(|| vec![7_u8; size])
        .bench_values(|bytes| pool.submit(echo, bytes).map(|future| future.wait()));
}
