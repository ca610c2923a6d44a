//! Large frames both ways, and many who wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use procession::{EndOfWorker, ProcessPoolExecutor, TaskError, as_completed};

use super::pool;
use super::support::{self, Case, awaiting, signal};
use super::tasks::*;

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        large_arguments_and_results_cross_at_the_same_time,
        results_larger_than_a_pipe_come_while_large_tasks_are_submitted,
        many_threads_wait_for_their_own,
        many_threads_wait_while_workers_are_killed,
        many_threads_await_and_wait_at_once,
        a_map_of_short_items_makes_few_tasks,
        a_map_of_long_items_makes_a_task_of_each,
        what_fits_by_itself_fits_in_a_chunk,
        a_map_whose_chunks_take_no_time_is_refused,
        a_map_makes_single_tasks_where_those_are_counted,
    ]
}

fn large_arguments_and_results_cross_at_the_same_time() {
    let pool = pool(2);
    let text = |n: u8| char::from(b'a' + n).to_string().repeat(16 << 20);
    let futures: Vec<_> = (0..8)
        .map(|n| pool.submit(echo, text(n)).unwrap())
        .collect();
    awaiting("16 MiB both ways");
    for (n, future) in (0..).zip(futures) {
        assert!(
            future.wait().unwrap() == text(n),
            "text {n} is not the same"
        );
    }
}

fn results_larger_than_a_pipe_come_while_large_tasks_are_submitted() {
    let pool = pool(4);
    let large = "x".repeat(1 << 20);
    let mut results = Vec::new();
    let mut lengths = Vec::new();
    for _ in 0..40 {
        results.push(pool.submit(as_long_as, 1 << 20).unwrap());
        lengths.push(pool.submit(length, large.clone()).unwrap());
    }
    awaiting("the large results");
    for future in as_completed(results) {
        assert_eq!(future.wait().unwrap().len(), 1 << 20);
    }
    for future in as_completed(lengths) {
        assert_eq!(future.wait().unwrap(), 1 << 20);
    }
}

fn many_threads_wait_for_their_own() {
    let pool = &pool(4);
    awaiting("eight threads that submit and wait");
    thread::scope(|scope| {
        for first in 0..8u64 {
            scope.spawn(move || {
                for n in 0..2000 {
                    let n = first * 10_000 + n;
                    let future = pool.submit(double, n).unwrap();
                    assert_eq!(future.wait().unwrap(), 2 * n);
                }
            });
        }
    });
    assert_eq!(pool.pending(), 0);
}

/// One of those who submit; counted out also when it panics.
struct Busy<'a>(&'a AtomicUsize);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn many_threads_wait_while_workers_are_killed() {
    const THREADS: usize = 8;
    const TASKS: u64 = 2000;
    let pool = &pool(4);
    let ended = &AtomicUsize::new(0);
    let busy = &AtomicUsize::new(THREADS);
    let (done, lost, kills) = thread::scope(|scope| {
        // A worker dies whenever 200 more tasks have ended; it may be one that has just been started.
        let killer = scope.spawn(move || {
            let mut kills = 0;
            let mut next = 200;
            while busy.load(Ordering::SeqCst) > 0 {
                if ended.load(Ordering::SeqCst) < next {
                    thread::yield_now();
                    continue;
                }
                let workers = support::children();
                let alive: Vec<_> = workers.iter().filter(|child| child.state != 'Z').collect();
                if let Some(victim) = alive.get(kills * 7 % alive.len().max(1)) {
                    signal(victim.pid, libc::SIGKILL);
                    kills += 1;
                }
                next = ended.load(Ordering::SeqCst) + 200;
            }
            kills
        });
        awaiting("eight threads that submit and wait while workers are killed");
        let threads = [(); THREADS].map(|()| {
            scope.spawn(move || {
                let _busy = Busy(busy);
                let (mut done, mut lost) = (0, 0);
                for n in 0..TASKS {
                    match pool.submit(double, n).unwrap().wait() {
                        Ok(value) => {
                            assert_eq!(value, 2 * n);
                            done += 1;
                        }
                        Err(TaskError::WorkerLost(worker)) => {
                            assert_eq!(worker.end, EndOfWorker::Signalled(9));
                            lost += 1;
                        }
                        other => panic!("{other:?}"),
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
                (done, lost)
            })
        });
        let mut sums = (0, 0);
        for thread in threads {
            let (done, lost) = thread.join().unwrap();
            sums = (sums.0 + done, sums.1 + lost);
        }
        (sums.0, sums.1, killer.join().unwrap())
    });
    assert_eq!(done + lost, THREADS as u64 * TASKS);
    assert!(
        kills > 0 && lost <= kills as u64,
        "{lost} tasks lost in {kills} deaths"
    );
    assert_eq!(pool.pending(), 0);
}

fn many_threads_await_and_wait_at_once() {
    let pool = &pool(2);
    awaiting("threads that wait, await and collect");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(move || {
                for n in 0..500 {
                    assert_eq!(pool.submit(double, n).unwrap().wait().unwrap(), 2 * n);
                }
            });
            scope.spawn(move || {
                futures::executor::block_on(async {
                    for n in 0..500 {
                        assert_eq!(pool.submit(double, n).unwrap().await.unwrap(), 2 * n);
                    }
                });
            });
            scope.spawn(move || {
                for _ in 0..5 {
                    let futures = (0..100).map(|n| pool.submit(double, n).unwrap());
                    let futures: Vec<_> = futures.collect();
                    let sum: u64 = as_completed(futures).map(|done| done.wait().unwrap()).sum();
                    assert_eq!(sum, 9900);
                }
            });
            scope.spawn(move || {
                let sum: u64 = pool.map(double, 0..500).map(Result::unwrap).sum();
                assert_eq!(sum, 499 * 500);
            });
        }
    });
    assert_eq!(pool.pending(), 0);
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// How many tasks a pool has been given.
fn tasks_of(pool: &ProcessPoolExecutor) -> u64 {
    let next = pool.submit(pid, ()).unwrap();
    next.wait().unwrap();
    next.id().to_string().parse().unwrap()
}

fn a_map_of_short_items_makes_few_tasks() {
    const ITEMS: u64 = 100_000;
    for unordered in [false, true] {
        let pool = pool(2);
        awaiting("the items");
        let map = pool.map(double, 0..ITEMS).chunktime(MILLISECOND);
        let map = if unordered { map.unordered() } else { map };
        assert_eq!(map.sum::<Result<u64, _>>().unwrap(), ITEMS * (ITEMS - 1));
        let tasks = tasks_of(&pool);
        assert!(tasks < ITEMS / 20, "{tasks} tasks for {ITEMS} items");
    }
}

fn what_fits_by_itself_fits_in_a_chunk() {
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    let pool = builder.max_frame(4096).build().unwrap();
    awaiting("the items");
    assert!(
        pool.map(double, 0..20_000)
            .chunktime(MILLISECOND)
            .all(|item| item.is_ok())
    );
    // Every now and then one that nearly fills a frame.
    let texts = (0..20_000).map(|n| "x".repeat(if n % 100 == 0 { 4000 } else { 1 }));
    assert!(
        pool.map(echo, texts)
            .chunktime(MILLISECOND)
            .all(|item| item.is_ok())
    );
}

/// Two milliseconds each, so that a chunk would hold others up.
fn a_map_of_long_items_makes_a_task_of_each() {
    let pool = pool(2);
    awaiting("the items");
    assert!(
        pool.map(nap, [2; 50])
            .chunktime(MILLISECOND)
            .all(|item| item.is_ok())
    );
    assert_eq!(tasks_of(&pool), 50);
}

fn a_map_whose_chunks_take_no_time_is_refused() {
    let mut map = pool(1).map(double, 0..3).chunktime(Duration::ZERO);
    let text = "`chunktime` must be longer than zero, not 0 s";
    match map.next() {
        Some(Err(TaskError::Refused(refused))) => assert_eq!(refused.to_string(), text),
        other => panic!("{other:?}"),
    }
    assert!(map.next().is_none());
}

fn a_map_makes_single_tasks_where_those_are_counted() {
    let pool = ProcessPoolExecutor::builder()
        .max_workers(1)
        .max_tasks_per_child(1000)
        .build()
        .unwrap();
    awaiting("the items");
    assert_eq!(
        pool.map(double, 0..3000)
            .chunktime(MILLISECOND)
            .filter(Result::is_ok)
            .count(),
        3000
    );
    assert_eq!(tasks_of(&pool), 3000);
}
