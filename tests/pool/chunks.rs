//! Chunks that take long, and workers that have nothing to do: what has not begun goes on elsewhere, and once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt};
use procession::{ProcessPoolExecutor, Shutdown, TaskError};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use super::support::{self, Case, Directory, Gate, GateKeeper, awaiting, signal};
use super::tasks::*;
use super::{pids, pool};

pub(crate) fn tests() -> Vec<Case> {
    support::tests![
        an_item_that_never_ends_holds_up_nobody,
        an_item_that_never_ends_holds_up_nobody_in_its_chunk,
        an_item_that_never_ends_holds_up_nobody_before_it,
        long_items_of_one_chunk_spread_over_all_workers,
        a_pool_grows_for_the_items_of_a_chunk,
        a_chunk_whose_worker_is_stopped_goes_on_elsewhere,
        a_map_that_is_dropped_begins_nothing_more,
        a_shutdown_that_cancels_cancels_what_of_a_chunk_has_not_begun,
        a_chunk_that_is_divided_loses_the_item_that_runs,
        every_item_runs_once_whoever_has_it,
        time_limits_and_retries_are_those_of_the_item,
        a_divided_chunk_holds_one_permit,
        what_a_slow_input_has_given_runs_while_it_blocks,
        inputs_are_pulled_no_further_than_chunks_of_the_default_go,
        chunks_of_the_default_have_no_more_items_than_their_results_have_room_for,
        nobody_wakes_up_beside_the_last_item_or_after_it,
    ]
}

const ITEMS: u32 = 1000;

/// Items that end at once, but for one that is held up.
fn held_at(place: u32, gate: &Gate) -> impl Iterator<Item = (Option<Gate>, u32)> + use<> {
    let gate = gate.clone();
    (0..ITEMS).map(move |item| ((item == place).then(|| gate.clone()), item))
}

/// So many are known to be short that a chunk has hundreds.
fn learn(pool: &ProcessPoolExecutor) {
    let items = (0..20_000).map(|item| (None, item));
    awaiting("short items");
    assert!(pool.map(pass_or_not, items).all(|item| item.is_ok()));
}

/// All but the first, while that is held up.
fn expect_others<I>(mut map: I, place: u32, keeper: &GateKeeper)
where
    I: Iterator<Item = Result<u32, TaskError>>,
{
    awaiting("those that are not held up");
    let others: BTreeSet<u32> = map
        .by_ref()
        .take(ITEMS as usize - 1)
        .map(Result::unwrap)
        .collect();
    let expected: BTreeSet<u32> = (0..ITEMS).filter(|item| *item != place).collect();
    assert_eq!(others, expected);
    assert_eq!(keeper.arrival().label, place);
    keeper.open(1);
    awaiting("the one that was held up");
    assert_eq!(map.next().unwrap().unwrap(), place);
    assert!(map.next().is_none());
}

fn an_item_that_never_ends_holds_up_nobody() {
    let pool = pool(2);
    learn(&pool);
    for place in [0, 1, 17, 500, 998, 999] {
        let keeper = GateKeeper::new();
        let map = pool.map(pass_or_not, held_at(place, &keeper.gate()));
        expect_others(map.unordered(), place, &keeper);
    }
}

fn an_item_that_never_ends_holds_up_nobody_in_its_chunk() {
    let pool = pool(2);
    for place in [0, 500, 999] {
        for chunksize in [10, ITEMS as usize] {
            let keeper = GateKeeper::new();
            let map = pool.map(pass_or_not, held_at(place, &keeper.gate()));
            expect_others(map.chunksize(chunksize).unordered(), place, &keeper);
        }
    }
}

/// In the order of the inputs, those behind it have to wait; they have run all the same.
fn an_item_that_never_ends_holds_up_nobody_before_it() {
    let pool = pool(2);
    learn(&pool);
    for place in [1, 500, 999] {
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let gate = keeper.gate();
        let items = (0..ITEMS).map(|item| {
            let wait = if item == place {
                Wait::AtTheGate(gate.clone())
            } else {
                Wait::Not
            };
            (log.clone(), item, wait)
        });
        let mut map = pool.map(note_and_wait, items).chunksize(ITEMS as usize);
        awaiting("what is before it");
        for item in 0..place {
            assert_eq!(map.next().unwrap().unwrap(), item);
        }
        assert_eq!(keeper.arrival().label, place);
        awaiting("what is behind it, by what it notes");
        let deadline = Instant::now() + Duration::from_secs(30);
        while log.lines().len() < ITEMS as usize && Instant::now() < deadline {
            std::thread::yield_now();
        }
        keeper.open(1);
        for item in place..ITEMS {
            assert_eq!(map.next().unwrap().unwrap(), item);
        }
        assert!(map.next().is_none());
        let mut lines: Vec<u32> = log.lines().iter().map(|it| it.parse().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..ITEMS).collect::<Vec<_>>());
    }
}

fn long_items_of_one_chunk_spread_over_all_workers() {
    let pool = pool(4);
    awaiting("items of five milliseconds");
    let pids = pool.map(nap_somewhere, [5; 40]).chunksize(40);
    let pids: BTreeSet<u32> = pids.map(Result::unwrap).collect();
    assert_eq!(pids.len(), 4);
}

fn a_pool_grows_for_the_items_of_a_chunk() {
    let builder = ProcessPoolExecutor::builder().min_workers(1).max_workers(2);
    let pool = builder.build().unwrap();
    let keeper = GateKeeper::new();
    let map = pool.map(pass_or_not, held_at(3, &keeper.gate()));
    expect_others(map.chunksize(ITEMS as usize).unordered(), 3, &keeper);
}

fn a_chunk_whose_worker_is_stopped_goes_on_elsewhere() {
    let pool = pool(2);
    for round in 0..4 {
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let items = (0..10).map(|item| match item {
            0 => (log.clone(), item, Wait::AtTheGate(keeper.gate())),
            _ => (log.clone(), item, Wait::Not),
        });
        let mut map = pool.map(note_and_wait, items).chunksize(10).unordered();
        // It is stopped before, while or after the rest is taken from it.
        let stopped = std::thread::scope(|scope| {
            let stopped = scope.spawn(|| {
                let pid = keeper.arrival().pid;
                signal(pid, libc::SIGSTOP);
                pid
            });
            awaiting("the others");
            let others: BTreeSet<u32> = map.by_ref().take(9).map(Result::unwrap).collect();
            assert_eq!(others.len(), 9);
            stopped.join().unwrap()
        });
        if round % 2 == 0 {
            signal(stopped, libc::SIGCONT);
            keeper.open(1);
            assert_eq!(map.next().unwrap().unwrap(), 0);
        } else {
            signal(stopped, libc::SIGKILL);
            match map.next() {
                Some(Err(TaskError::WorkerLost(lost))) => assert_eq!(lost.pid, stopped),
                other => panic!("{other:?}"),
            }
        }
        assert!(map.next().is_none());
        let expected: Vec<String> = (0..10).map(|item| item.to_string()).collect();
        assert_eq!(log.sorted(), expected);
    }
}

fn a_map_that_is_dropped_begins_nothing_more() {
    for workers in [1, 2, 3] {
        let pool = pool(workers);
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let items = (0..100).map(|item| (log.clone(), item, Wait::AtTheGate(keeper.gate())));
        let mut map = pool.map(note_and_wait, items).chunksize(25).stream();
        assert!(map.next().now_or_never().is_none());
        let begun = keeper.arrivals(workers);
        drop(map);
        keeper.open(workers);
        awaiting("what comes after them");
        let next = pool.submit(note, (log.clone(), 1000)).unwrap();
        assert_eq!(next.wait().unwrap(), 1000);
        let mut expected: Vec<String> = begun.iter().map(|it| it.label.to_string()).collect();
        expected.push("1000".into());
        expected.sort();
        let mut lines = log.lines();
        lines.sort();
        assert_eq!(lines, expected);
    }
}

fn a_shutdown_that_cancels_cancels_what_of_a_chunk_has_not_begun() {
    let pool = pool(1);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let items = (0..10).map(|item| match item {
        3 => (log.clone(), item, Wait::AtTheGate(keeper.gate())),
        _ => (log.clone(), item, Wait::Not),
    });
    let mut map = pool.map(note_and_wait, items).chunksize(10).unordered();
    awaiting("those before");
    let before: BTreeSet<u32> = map.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(before.len(), 3);
    keeper.arrival();
    std::thread::scope(|scope| {
        scope.spawn(|| pool.shutdown(Shutdown::CancelPending, None));
        awaiting("those behind");
        for _ in 4..10 {
            let end = map.next().unwrap();
            assert!(matches!(end, Err(TaskError::Cancelled { .. })), "{end:?}");
        }
        keeper.open(1);
        assert_eq!(map.next().unwrap().unwrap(), 3);
        assert!(map.next().is_none());
    });
    assert_eq!(log.lines(), ["0", "1", "2", "3"]);
}

/// Just then: a moment after its first item, which is when the others are taken from it.
fn a_chunk_that_is_divided_loses_the_item_that_runs() {
    let pool = pool(2);
    for round in 0..40 {
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let items = (0..20).map(|item| match item {
            1 => (log.clone(), item, Wait::AtTheGateForEver(keeper.gate())),
            _ => (log.clone(), item, Wait::Not),
        });
        let map = pool.map(note_and_wait, items).chunksize(20);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                keeper.arrival();
                let since = Instant::now();
                while since.elapsed() < Duration::from_micros(50 * round) {
                    std::hint::spin_loop();
                }
                keeper.open(1);
            });
            awaiting("all of them");
            for (index, item) in (0..).zip(map) {
                match item {
                    Ok(value) => assert!(value == index && index != 1),
                    Err(TaskError::WorkerLost(_)) => assert_eq!(index, 1),
                    other => panic!("{other:?}"),
                }
            }
        });
        let mut lines: Vec<u32> = log.lines().iter().map(|it| it.parse().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (0..20).collect::<Vec<_>>());
    }
}

/// Short items, longer ones, and some that end their worker; in chunks that are divided meanwhile.
fn every_item_runs_once_whoever_has_it() {
    let pool = pool(3);
    let directory = Directory::new();
    let item = prop_oneof![
        40 => Just(0),
        6 => Just(1),
        1 => Just(2),
    ];
    let chunksize = prop_oneof![Just(None), (1_usize..60).prop_map(Some)];
    let inputs = (
        prop::collection::vec(item, 1..150),
        chunksize,
        any::<bool>(),
    );
    let config = Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    };
    let mut round = 0;
    let mut check = |(items, chunksize, is_unordered): (Vec<u8>, Option<usize>, bool)| {
        round += 1;
        let log = directory.log(&round.to_string());
        let inputs: Vec<_> = (0..)
            .zip(&items)
            .map(|(number, kind)| {
                let wait = [Wait::Not, Wait::AMoment, Wait::ForEver][usize::from(*kind)].clone();
                (log.clone(), number, wait)
            })
            .collect();
        let map = pool.map(note_and_wait, inputs);
        let map = match chunksize {
            Some(chunksize) => map.chunksize(chunksize),
            None => map,
        };
        let map = if is_unordered { map.unordered() } else { map };
        awaiting("the items");
        let mut ends: BTreeMap<Option<u32>, usize> = BTreeMap::new();
        for end in map {
            let value = match end {
                Ok(value) => Some(value),
                Err(TaskError::WorkerLost(lost)) if lost.may_have_run => None,
                Err(other) => panic!("{other:?}"),
            };
            *ends.entry(value).or_default() += 1;
        }
        let deadly = items.iter().filter(|kind| **kind == 2).count();
        let lost = ends.remove(&None).unwrap_or(0);
        prop_assert_eq!(lost, deadly);
        prop_assert!(ends.values().all(|count| *count == 1));
        prop_assert_eq!(ends.len(), items.len() - deadly);
        let mut lines: Vec<usize> = log.lines().iter().map(|it| it.parse().unwrap()).collect();
        lines.sort_unstable();
        prop_assert_eq!(lines, (0..items.len()).collect::<Vec<_>>());
        Ok(())
    };
    let mut runner = TestRunner::new(config);
    let strategy = inputs.no_shrink();
    for _ in 0..24 {
        let case = strategy.new_tree(&mut runner).unwrap().current();
        check(case).unwrap();
    }
}

fn time_limits_and_retries_are_those_of_the_item() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    let items = (0..20).map(|item| match item {
        5 => (log.clone(), item, Wait::AtTheGate(keeper.gate())),
        6 => (log.clone(), item, Wait::ForEver),
        _ => (log.clone(), item, Wait::Not),
    });
    let call = pool
        .call(note_and_wait)
        .timeout(Duration::from_millis(300))
        .retries(1);
    awaiting("the items");
    for (index, end) in (0..).zip(call.map(items).chunksize(20)) {
        match (index, end) {
            (5, Err(TaskError::TimeLimit(limit))) => assert_eq!(limit.attempts, 2),
            (6, Err(TaskError::WorkerLost(lost))) => assert_eq!(lost.attempts, 2),
            (_, end) => assert_eq!(end.unwrap(), index),
        }
    }
    let mut lines: Vec<u32> = log.lines().iter().map(|it| it.parse().unwrap()).collect();
    lines.sort_unstable();
    let mut expected: Vec<u32> = (0..20).chain([5, 6]).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

fn a_divided_chunk_holds_one_permit() {
    let builder = ProcessPoolExecutor::builder().max_workers(2);
    let pool = builder.max_pending(2).build().unwrap();
    for _ in 0..5 {
        let keeper = GateKeeper::new();
        let items = (0..10).map(|item| (Some(keeper.gate()), item));
        let mut map = pool.map(pass_or_not, items).chunksize(10).unordered();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Two of one chunk at a time.
                keeper.arrivals(2);
                let other = pool.try_submit(double, 4).unwrap();
                assert!(pool.try_submit(double, 4).is_err());
                keeper.open(10);
                assert_eq!(other.wait().unwrap(), 8);
            });
            awaiting("the items");
            assert_eq!(map.by_ref().map(Result::unwrap).count(), 10);
        });
        awaiting("the permits");
        let both = [1, 2].map(|n| pool.submit(double, n).unwrap());
        assert_eq!(both.map(|future| future.wait().unwrap()), [2, 4]);
    }
}

fn what_a_slow_input_has_given_runs_while_it_blocks() {
    let pool = pool(2);
    let keeper = GateKeeper::new();
    let log = keeper.log();
    awaiting("what makes the function known");
    let before = pool.map(
        note_and_wait,
        (0..1000).map(|item| (log.clone(), item, Wait::Not)),
    );
    assert!(before.chunksize(1).all(|item| item.is_ok()));
    for unordered in [false, true] {
        let keeper = GateKeeper::new();
        let log = keeper.log();
        let (asks, asked) = mpsc::channel();
        let (gives, given) = mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn({
                let log = log.clone();
                // It gives no item before the one before has run, and takes more time than a quick input.
                move || {
                    for item in asked {
                        let begun = Instant::now();
                        while log.lines().len() < item as usize || begun.elapsed() < MOMENT {
                            std::thread::yield_now();
                        }
                        gives.send(item).unwrap();
                    }
                }
            });
            awaiting("items that are given when those before have run");
            let items = (0..300).map(|item| {
                asks.send(item).unwrap();
                (log.clone(), given.recv().unwrap(), Wait::Not)
            });
            let map = pool.map(note_and_wait, items);
            let map = if unordered { map.unordered() } else { map };
            let mut results: Vec<u32> = map.map(Result::unwrap).collect();
            if unordered {
                results.sort_unstable();
            }
            assert_eq!(results, (0..300).collect::<Vec<_>>());
            drop(asks);
        });
    }
}

fn inputs_are_pulled_no_further_than_chunks_of_the_default_go() {
    const KIB: usize = 1 << 10;
    for workers in [1, 2] {
        let pool = pool(workers);
        for unordered in [false, true, false] {
            let pulled = Cell::new(0);
            let inputs = (0..).map(|_| {
                pulled.set(pulled.get() + 1);
                "x".repeat(KIB)
            });
            let map = pool.map(length, inputs);
            let map = if unordered { map.unordered() } else { map };
            awaiting("many strings of 1 KiB");
            for (given, length) in map.take(20_000).enumerate() {
                assert_eq!(length.unwrap(), KIB);
                // At most 64 KiB of them are in a chunk, and 16 chunks, since they are short, or 64 items and a chunk, ahead.
                let bound = given + 16 * 64 * workers;
                assert!(
                    pulled.get() <= bound,
                    "{} inputs were pulled for {given} results",
                    pulled.get()
                );
            }
        }
        // Nor while nothing comes.
        let keeper = GateKeeper::new();
        let gate = keeper.gate();
        let pulled = Cell::new(0);
        let inputs = (0..).map(|item| {
            pulled.set(pulled.get() + 1);
            (Some(gate.clone()), item)
        });
        let mut map = pool.map(pass_or_not, inputs).stream();
        awaiting("the gate");
        assert!(map.next().now_or_never().is_none());
        assert_eq!(pulled.get(), 64 * workers);
        keeper.arrivals(workers);
        assert!(map.next().now_or_never().is_none());
        assert_eq!(pulled.get(), 64 * workers);
        drop(map);
        keeper.open(workers);
    }
}

fn chunks_of_the_default_have_no_more_items_than_their_results_have_room_for() {
    const KIB: usize = 1 << 10;
    let pool = pool(1);
    for unordered in [false, true] {
        let pulled = Cell::new(0);
        let inputs = std::iter::repeat_with(|| {
            pulled.set(pulled.get() + 1);
            100 * KIB
        });
        let map = pool.map(as_long_as, inputs);
        let map = if unordered { map.unordered() } else { map };
        awaiting("many results of 100 KiB");
        for (given, result) in map.take(1000).enumerate() {
            assert_eq!(result.unwrap().len(), 100 * KIB);
            // Of 1 MiB of them are 16 chunks at most, or 64 items and a chunk.
            let bound = given + 16 * 10;
            assert!(
                pulled.get() <= bound,
                "{} inputs were pulled for {given} results",
                pulled.get()
            );
        }
    }
}

/// How often each thread of these processes has gone to sleep, but for the one that calls.
fn sleeps(pids: &[u32]) -> BTreeMap<(u32, String), String> {
    let mut sleeps = BTreeMap::new();
    let here = std::fs::read_link("/proc/thread-self").unwrap();
    let here = here.file_name().unwrap().to_string_lossy().into_owned();
    for &pid in pids {
        for thread in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
            let thread = thread.unwrap();
            let name = thread.file_name().to_string_lossy().into_owned();
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
            let count = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            if name != here {
                sleeps.insert((pid, name), count.unwrap().trim().to_owned());
            }
        }
    }
    sleeps
}

/// For so long nobody is to have anything to do.
const QUIET: Duration = Duration::from_millis(1500);

/// Sooner or later nobody of these wakes up any more.
fn expect_quiet(pids: &[u32]) {
    awaiting("a time without a wake-up");
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let before = sleeps(pids);
        std::thread::sleep(QUIET);
        let after = sleeps(pids);
        if before == after {
            return;
        }
        assert!(Instant::now() < deadline, "{before:?}, then {after:?}");
    }
}

fn nobody_wakes_up_beside_the_last_item_or_after_it() {
    let pool = pool(2);
    learn(&pool);
    let mut pids = pids(&pool);
    pids.push(std::process::id());
    for place in [500, ITEMS - 1] {
        let keeper = GateKeeper::new();
        let map = pool.map(pass_or_not, held_at(place, &keeper.gate()));
        let mut map = map.chunksize(ITEMS as usize).unordered();
        awaiting("those that are not held up");
        let others = map.by_ref().take(ITEMS as usize - 1);
        assert!(others.filter(Result::is_ok).count() == ITEMS as usize - 1);
        keeper.arrivals(1);
        // One is idle, and of the other one's chunk nothing is left to be taken, or to be sent.
        expect_quiet(&pids);
        keeper.open(1);
        assert!(map.next().unwrap().is_ok());
        assert!(map.next().is_none());
        expect_quiet(&pids);
    }
}
