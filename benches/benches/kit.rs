//! Locks and shared memory, beside what threads of one process use: `cargo bench --manifest-path benches/Cargo.toml --bench kit`.

use std::sync::Mutex;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use procession::shared::{Array, SharedMemory, Value};
use procession::sync::{Event, Lock, RLock, Semaphore};

fn main() {
    divan::main();
}

/// Taken and released, when nobody else wants it.
#[divan::bench_group]
mod uncontended {
    use super::*;

    #[divan::bench]
    fn std_mutex(bencher: Bencher<'_, '_>) {
        let mutex = Mutex::new(0_u64);
        bencher.bench(|| drop(black_box(black_box(&mutex).lock())));
    }

    #[divan::bench]
    fn lock(bencher: Bencher<'_, '_>) {
        let lock = Lock::new().expect("a lock");
        drop(lock.lock()); // The first one touches its pages.
        bencher.bench(|| drop(black_box(black_box(&lock).lock())));
    }

    #[divan::bench]
    fn rlock(bencher: Bencher<'_, '_>) {
        let lock = RLock::new().expect("a lock");
        drop(lock.lock());
        bencher.bench(|| drop(black_box(black_box(&lock).lock())));
    }

    #[divan::bench]
    fn semaphore(bencher: Bencher<'_, '_>) {
        let semaphore = Semaphore::new(1).expect("a semaphore");
        bencher.bench(|| drop(black_box(black_box(&semaphore).acquire())));
    }

    #[divan::bench]
    fn event_set_and_clear(bencher: Bencher<'_, '_>) {
        let event = Event::new().expect("an event");
        let _ = event.set();
        bencher.bench(|| (event.set(), event.clear()));
    }

    #[divan::bench]
    fn value_update(bencher: Bencher<'_, '_>) {
        let value = Value::new(0_u64).expect("a value");
        bencher.bench(|| black_box(&value).update(|n| *n += 1).is_ok());
    }
}

const SIZES: [usize; 3] = [1 << 6, 1 << 12, 1 << 20];

/// So many bytes from shared memory to a slice.
#[divan::bench_group]
mod read {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn slice(bencher: Bencher<'_, '_>, len: usize) {
        let from = vec![7_u8; len];
        let mut to = vec![0_u8; len];
        bencher.counter(BytesCount::new(len)).bench_local(|| {
            black_box(&mut to).copy_from_slice(black_box(&from));
        });
    }

    #[divan::bench(args = SIZES)]
    fn array(bencher: Bencher<'_, '_>, len: usize) {
        let from = Array::from_slice(&vec![7_u8; len]).expect("an array");
        let mut to = vec![0_u8; len];
        bencher.counter(BytesCount::new(len)).bench_local(|| {
            let read = black_box(&from).unlocked().read(0, black_box(&mut to));
            read.expect("a place");
        });
    }

    #[divan::bench(args = SIZES)]
    fn named(bencher: Bencher<'_, '_>, len: usize) {
        let name = format!("procession-bench-{}-{len}", std::process::id());
        let from = SharedMemory::create(&name, len).expect("memory");
        let mut to = vec![0_u8; len];
        bencher.counter(BytesCount::new(len)).bench_local(|| {
            let read = black_box(&from).read(0, black_box(&mut to));
            read.expect("a place");
        });
    }
}
