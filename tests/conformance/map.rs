//! Maps.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use ::futures::StreamExt as _;
use ::futures::executor::block_on;
use procession::{Executor, ExecutorExt as _, SubmitError, TaskError, TryMapError};
use procession::{Streamable, Streamed};

use super::support::{self, GateKeeper, awaiting};
use super::tasks::*;
use super::{On, Subject, Test};

pub(crate) fn tests() -> Vec<Test> {
    let every = super::tests![On::Every;
        results_come_in_the_order_of_the_inputs,
        chunks_of_any_size_give_the_same,
        buffers_of_any_size_give_the_same,
        an_endless_input_is_fine,
        an_empty_input_is_an_empty_map,
        zipped_inputs_end_with_the_shortest,
        a_map_goes_on_after_an_error,
        an_error_that_looks_like_the_end_of_time_is_the_tasks_own,
        an_unordered_map_gives_a_permutation,
        a_timeout_counts_from_the_call,
        a_map_without_hurry_is_not_timed_out,
        a_map_that_is_dropped_leaves_the_executor_usable,
        chunks_and_buffers_of_zero_are_refused_by_name,
        an_error_of_the_input_surfaces_in_its_place,
        a_panic_of_the_input_surfaces_in_its_place,
        an_input_that_does_not_encode_is_refused_in_its_place,
        a_map_is_a_stream,
        a_try_map_is_a_stream,
        a_map_is_consumed_by_another_thread,
        inputs_are_pulled_no_further_than_the_buffer,
        nothing_is_pulled_before_it_is_asked_for,
        maps_on_one_executor_are_interleaved,
    ];
    let background = super::tests![On::Background;
        an_unordered_map_gives_what_has_ended_first,
        a_timeout_gives_what_has_ended_and_cancels_the_rest,
        a_timeout_ends_a_stream,
        a_map_that_is_dropped_cancels_what_has_not_begun,
        maps_take_turns_where_there_is_little_room,
        a_map_as_a_stream_waits_for_room,
    ];
    every.into_iter().chain(background).collect()
}

/// The numbers that a map gave, none of which is an error.
fn values<T>(results: impl Iterator<Item = Result<T, TaskError>>) -> Vec<T> {
    results.collect::<Result<_, _>>().unwrap()
}

fn streamed<M: Streamable>(map: M) -> Vec<M::Item> {
    block_on(Streamed::from(map).collect())
}

fn doubles(count: u64) -> Vec<u64> {
    (0..count).map(|n| 2 * n).collect()
}

fn results_come_in_the_order_of_the_inputs(subject: Subject) {
    let executor = subject.executor();
    assert_eq!(values(executor.map(double, 0..1000)), doubles(1000));
}

fn chunks_of_any_size_give_the_same(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 2, 3, 9, 10, 11, 1000] {
        let map = executor.map(double, 0..10).chunksize(chunksize);
        assert_eq!(values(map), doubles(10), "chunksize {chunksize}");
    }
    // A chunk runs in one worker.
    let map = executor.map(pid, [(); 10]).chunksize(10);
    let mut pids = values(map);
    pids.dedup();
    assert_eq!(pids.len(), 1);
}

fn buffers_of_any_size_give_the_same(subject: Subject) {
    let executor = subject.executor();
    for buffersize in [1, 2, 10, 20] {
        for chunksize in [1, 3] {
            let map = executor.map(double, 0..10);
            let map = map.buffersize(buffersize).chunksize(chunksize);
            assert_eq!(values(map), doubles(10));
            let map = executor.map(double, 0..10).unordered();
            let mut unordered = values(map.buffersize(buffersize).chunksize(chunksize));
            unordered.sort_unstable();
            assert_eq!(unordered, doubles(10));
        }
    }
}

fn an_endless_input_is_fine(subject: Subject) {
    let executor = subject.executor();
    let map = executor.map(double, 0..).buffersize(2);
    assert_eq!(values(map.take(3)), doubles(3));
    let map = executor.map(double, 0..).chunksize(7);
    assert_eq!(values(map.take(100)), doubles(100));
    let map = executor.map(power, (0..).zip(0..)).buffersize(2);
    assert_eq!(values(map.take(4)), [1, 1, 4, 27]);
    let map = executor.map(double, 0..).unordered();
    assert_eq!(values(map.take(100)).len(), 100);
}

fn an_empty_input_is_an_empty_map(subject: Subject) {
    let executor = subject.executor();
    let empty = std::iter::empty::<u64>;
    let maps = [
        executor.map(double, empty()),
        executor.map(double, empty()).chunksize(3),
        executor.map(double, empty()).buffersize(2),
        executor.map(double, empty()).unordered(),
        executor.map(double, empty()).timeout(Duration::ZERO),
    ];
    for mut map in maps {
        if let Some(item) = map.next() {
            assert!(matches!(item, Err(TaskError::TimedOut { .. })), "{item:?}");
        }
        assert!(map.next().is_none());
    }
    assert!(streamed(executor.map(double, empty())).is_empty());
}

fn zipped_inputs_end_with_the_shortest(subject: Subject) {
    let executor = subject.executor();
    let map = executor.map(power, [2, 3, 4].into_iter().zip([2, 2]));
    assert_eq!(values(map), [4, 9]);
}

fn a_map_goes_on_after_an_error(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 2, 3, 4, 10] {
        let inputs = [(5, 2), (5, 3), (5, 0), (5, 5)];
        let mut map = executor.map(divide, inputs).chunksize(chunksize);
        assert_eq!(map.next().unwrap().unwrap(), (2, 1));
        assert_eq!(map.next().unwrap().unwrap(), (1, 2));
        match map.next() {
            Some(Err(TaskError::Panicked(panic))) => {
                assert!(panic.message.contains("divide by zero"), "{panic}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(map.next().unwrap().unwrap(), (1, 0));
        assert!(map.next().is_none() && map.next().is_none());
    }
}

fn an_error_that_looks_like_the_end_of_time_is_the_tasks_own(subject: Subject) {
    let executor = subject.executor();
    for timeout in [None, Some(Duration::from_secs(1000))] {
        let mut map = executor.map(looks_timed_out, [false, true, false]);
        if let Some(timeout) = timeout {
            map = map.timeout(timeout);
        }
        assert!(map.next().unwrap().unwrap().is_err());
        assert!(matches!(map.next(), Some(Err(TaskError::Panicked(_)))));
        assert!(map.next().unwrap().unwrap().is_err());
        assert!(map.next().is_none());
    }
}

fn an_unordered_map_gives_a_permutation(subject: Subject) {
    let executor = subject.executor();
    for (count, chunksize) in [(100, 1), (1000, 100), (10, 3)] {
        let map = executor.map(double, 0..count).chunksize(chunksize);
        let mut given = values(map.unordered());
        given.sort_unstable();
        assert_eq!(given, doubles(count));
    }
    let inputs = [(5, 2), (5, 3), (5, 0), (5, 5)];
    let map = executor.map(divide, inputs).unordered();
    let given: Vec<_> = map.collect();
    assert_eq!(given.iter().filter(|item| item.is_ok()).count(), 3);
    assert_eq!(given.len(), 4);
}

fn an_unordered_map_gives_what_has_ended_first(subject: Subject) {
    if subject.workers() < 2 {
        return;
    }
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let inputs = [(Some(keeper.gate()), 1), (None, 2), (None, 3)];
    let mut map = executor.map(pass_or_not, inputs).unordered();
    awaiting("the two that are not held up");
    let mut first = [map.next().unwrap().unwrap(), map.next().unwrap().unwrap()];
    first.sort_unstable();
    assert_eq!(first, [2, 3]);
    keeper.open(1);
    assert_eq!(map.next().unwrap().unwrap(), 1);
    assert!(map.next().is_none());
}

fn a_timeout_counts_from_the_call(subject: Subject) {
    let executor = subject.executor();
    let timeout = Duration::from_millis(5);
    let made = Instant::now();
    let mut map = executor.map(double, 0..10).timeout(timeout);
    let mut unordered = executor.map(double, 0..10).timeout(timeout).unordered();
    let stream = executor.map(double, 0..10).timeout(timeout);
    support::until("the time of the maps to be over", || {
        made.elapsed() > timeout
    });
    for map in [&mut map, &mut unordered] {
        assert!(matches!(map.next(), Some(Err(TaskError::TimedOut { .. }))));
        assert!(map.next().is_none() && map.next().is_none());
    }
    let items = streamed(stream);
    assert!(matches!(items[..], [Err(TaskError::TimedOut { .. })]));
}

fn a_map_without_hurry_is_not_timed_out(subject: Subject) {
    let executor = subject.executor();
    for timeout in [Duration::from_secs(1000), Duration::MAX] {
        let map = executor.map(double, 0..10).timeout(timeout);
        assert_eq!(values(map), doubles(10));
        let map = executor.map(double, 0..10).timeout(timeout).unordered();
        assert_eq!(values(map).len(), 10);
        let items = streamed(executor.map(double, 0..10).timeout(timeout));
        assert_eq!(values(items.into_iter()), doubles(10));
    }
}

/// Two that end at once, then many that do not.
fn held_up(keeper: &GateKeeper) -> Vec<(Option<support::Gate>, u32)> {
    let held_up = (2..30).map(|label| (Some(keeper.gate()), label));
    [(None, 0), (None, 1)].into_iter().chain(held_up).collect()
}

fn a_timeout_gives_what_has_ended_and_cancels_the_rest(subject: Subject) {
    for unordered in [false, true] {
        let executor = subject.executor();
        let keeper = GateKeeper::new();
        let mut map = executor.map(pass_or_not, held_up(&keeper));
        map = map.timeout(Duration::from_millis(300));
        if unordered {
            map = map.unordered();
        }
        let mut given = Vec::new();
        let unfinished = loop {
            match map.next() {
                Some(Ok(label)) => given.push(label),
                Some(Err(TaskError::TimedOut { unfinished, total })) => {
                    // The order may keep some that have ended.
                    assert!(total - unfinished >= given.len() && total - unfinished <= 2);
                    break unfinished;
                }
                other => panic!("{other:?}"),
            }
        };
        assert!(unfinished >= 1);
        given.sort_unstable();
        assert!(given.len() <= 2 && given == (0..given.len() as u32).collect::<Vec<_>>());
        assert!(map.next().is_none() && map.next().is_none());
        // What had begun is let through; the rest does not come.
        keeper.open(30);
        drop(map);
        drop(executor);
        let begun = keeper.arrived();
        assert!(begun <= subject.workers(), "{begun} had begun");
    }
}

fn a_timeout_ends_a_stream(subject: Subject) {
    let executor = subject.executor();
    let keeper = GateKeeper::new();
    let map = executor.map(pass_or_not, held_up(&keeper));
    let items = streamed(map.timeout(Duration::from_millis(300)));
    let (last, before) = items.split_last().unwrap();
    assert!(matches!(last, Err(TaskError::TimedOut { .. })), "{last:?}");
    assert!(before.len() <= 2 && before.iter().all(Result::is_ok));
    keeper.open(30);
}

fn a_map_that_is_dropped_cancels_what_has_not_begun(subject: Subject) {
    for unordered in [false, true] {
        let executor = subject.executor();
        let keeper = GateKeeper::new();
        let mut map = executor.map(pass_or_not, held_up(&keeper));
        if unordered {
            map = map.unordered();
        }
        map.next().unwrap().unwrap();
        map.next().unwrap().unwrap();
        // Every worker is held up before the map goes.
        let occupied = keeper.arrivals(subject.workers());
        drop(map);
        keeper.open(30);
        assert_eq!(executor.submit(double, 4).unwrap().wait().unwrap(), 8);
        drop(executor);
        assert_eq!(keeper.arrived(), 0, "beside {occupied:?}");
    }
}

fn a_map_that_is_dropped_leaves_the_executor_usable(subject: Subject) {
    let executor = subject.executor();
    for taken in [0, 1, 5] {
        let mut map = executor.map(double, 0..1000).chunksize(3);
        for _ in 0..taken {
            map.next().unwrap().unwrap();
        }
        drop(map);
        assert_eq!(executor.submit(double, 4).unwrap().wait().unwrap(), 8);
    }
    assert_eq!(values(executor.map(double, 0..10)), doubles(10));
}

fn chunks_and_buffers_of_zero_are_refused_by_name(subject: Subject) {
    let executor = subject.executor();
    let refused = [
        (executor.map(double, 0..3).chunksize(0), "chunksize"),
        (executor.map(double, 0..3).buffersize(0), "buffersize"),
    ];
    for (mut map, name) in refused {
        match map.next() {
            Some(Err(TaskError::Refused(error @ SubmitError::Parameter { .. }))) => {
                assert_eq!(text(error), format!("`{name}` must be at least 1, not 0"));
            }
            other => panic!("{other:?}"),
        }
        assert!(map.next().is_none());
    }
    let map = executor.try_map(double, (0..3).map(Ok::<_, String>));
    let items: Vec<_> = map.chunksize(0).collect();
    assert!(matches!(
        items[..],
        [Err(TryMapError::Task(TaskError::Refused(_)))]
    ));
}

/// Inputs of which one is an error.
fn with_an_error() -> Vec<Result<u64, String>> {
    vec![Ok(0), Ok(1), Err("unreadable".into()), Ok(3)]
}

fn check_try_map(items: &[Result<u64, TryMapError<TaskError, String>>]) {
    assert_eq!(items.len(), 4);
    assert!(matches!(items[0], Ok(0)) && matches!(items[1], Ok(2)) && matches!(items[3], Ok(6)));
    match &items[2] {
        Err(TryMapError::Input(error)) => assert_eq!(error, "unreadable"),
        other => panic!("{other:?}"),
    }
}

fn an_error_of_the_input_surfaces_in_its_place(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 2, 3, 10] {
        for buffersize in [1, 2, 100] {
            let map = executor.try_map(double, with_an_error());
            let map = map.chunksize(chunksize).buffersize(buffersize);
            check_try_map(&map.collect::<Vec<_>>());
        }
    }
    let map = executor.try_map(double, with_an_error()).unordered();
    assert_eq!(map.filter(Result::is_ok).count(), 3);
    // The errors of tasks keep theirs.
    let map = executor.try_map(panics, [Ok("a".to_owned()), Err(7), Ok("b".to_owned())]);
    let items: Vec<_> = map.collect();
    assert!(matches!(
        items[..],
        [
            Err(TryMapError::Task(TaskError::Panicked(_))),
            Err(TryMapError::Input(7)),
            Err(TryMapError::Task(TaskError::Panicked(_))),
        ]
    ));
}

fn a_panic_of_the_input_surfaces_in_its_place(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 2, 10] {
        let inputs = (0..10).map(|n| if n == 3 { panic!("no more input") } else { n });
        let mut map = executor.map(double, inputs).chunksize(chunksize);
        for expected in [0, 2, 4] {
            assert_eq!(map.next().unwrap().unwrap(), expected);
        }
        let panic = panic::catch_unwind(AssertUnwindSafe(|| map.next())).unwrap_err();
        assert_eq!(support::text_of(&*panic), "no more input");
        assert!(map.next().is_none());
    }
    let inputs = (0..10).map(|n| {
        assert!(n < 3, "no more input");
        Ok::<u64, String>(n)
    });
    let mut map = executor.try_map(double, inputs);
    assert_eq!(map.by_ref().take(3).filter(Result::is_ok).count(), 3);
    panic::catch_unwind(AssertUnwindSafe(|| map.next().is_none())).unwrap_err();
    assert_eq!(executor.submit(double, 4).unwrap().wait().unwrap(), 8);
}

fn an_input_that_does_not_encode_is_refused_in_its_place(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 2, 3, 10] {
        let inputs = [Stubborn(false), Stubborn(true), Stubborn(false)];
        let map = executor.map(take_stubborn, inputs).chunksize(chunksize);
        let items: Vec<_> = map.collect();
        assert!(
            matches!(
                items[..],
                [
                    Ok(false),
                    Err(TaskError::Refused(SubmitError::NotEncoded { .. })),
                    Ok(false)
                ]
            ),
            "{items:?}"
        );
    }
}

fn a_map_is_a_stream(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 3, 100] {
        let map = executor.map(double, 0..100).chunksize(chunksize);
        assert_eq!(values(streamed(map).into_iter()), doubles(100));
        let map = executor.map(double, 0..100).chunksize(chunksize);
        let mut unordered = values(streamed(map.unordered()).into_iter());
        unordered.sort_unstable();
        assert_eq!(unordered, doubles(100));
    }
    let endless = executor.map(double, 0..).buffersize(2);
    let items: Vec<_> = block_on(endless.stream().take(3).collect());
    assert_eq!(values(items.into_iter()), doubles(3));
    let tokio = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let sum = tokio.block_on(async {
        let map = executor.map(double, 0..100);
        map.stream()
            .fold(0, async |sum, item| sum + item.unwrap())
            .await
    });
    assert_eq!(sum, 9900);
}

fn a_try_map_is_a_stream(subject: Subject) {
    let executor = subject.executor();
    for chunksize in [1, 2, 10] {
        let map = executor.try_map(double, with_an_error());
        check_try_map(&streamed(map.chunksize(chunksize)));
    }
}

fn a_map_is_consumed_by_another_thread(subject: Subject) {
    let executor = &*subject.executor();
    let mut map = executor.map(double, 0..100);
    assert_eq!(map.next().unwrap().unwrap(), 0);
    let rest = thread::scope(|scope| {
        awaiting("the thread that consumes the map");
        scope.spawn(move || values(map)).join().unwrap()
    });
    assert_eq!(rest, doubles(100)[1..]);
}

fn inputs_are_pulled_no_further_than_the_buffer(subject: Subject) {
    let executor = subject.executor();
    for (buffersize, chunksize) in [(1, 1), (2, 1), (5, 3), (3, 10)] {
        for unordered in [false, true] {
            let pulled = Rc::new(Cell::new(0));
            let inputs = (0..1000).inspect({
                let pulled = pulled.clone();
                move |_| pulled.set(pulled.get() + 1)
            });
            let map = executor.map(double, inputs);
            let mut map = map.buffersize(buffersize).chunksize(chunksize);
            if unordered {
                map = map.unordered();
            }
            let mut given = 0;
            for result in map {
                result.unwrap();
                given += 1;
                let bound = given + buffersize * chunksize;
                assert!(
                    pulled.get() <= bound,
                    "{} inputs were pulled for {given} results",
                    pulled.get()
                );
            }
            assert_eq!((given, pulled.get()), (1000, 1000));
        }
    }
}

fn nothing_is_pulled_before_it_is_asked_for(subject: Subject) {
    let executor = subject.executor();
    let inputs = std::iter::from_fn(|| -> Option<u64> { panic!("nobody has asked yet") });
    drop(executor.map(double, inputs).chunksize(3).unordered());
    assert_eq!(executor.pending(), 0);
}

fn maps_on_one_executor_are_interleaved(subject: Subject) {
    let executor = subject.executor();
    let one = executor.map(double, 0..100);
    let other = executor.map(power, (0..100).map(|n| (n, 2))).chunksize(3);
    let third = executor.map(double, 0..100).unordered();
    let mut count = 0;
    for (n, ((one, other), third)) in (0..).zip(one.zip(other).zip(third)) {
        assert_eq!((one.unwrap(), other.unwrap()), (2 * n, n * n));
        third.unwrap();
        count += 1;
    }
    assert_eq!(count, 100);
}

fn maps_take_turns_where_there_is_little_room(subject: Subject) {
    for max_pending in [1, 2, 3] {
        let executor = subject.with_max_pending(max_pending);
        let one = executor.map(double, 0..50);
        let other = executor.map(double, 0..50).chunksize(2).unordered();
        for (one, other) in one.zip(other) {
            one.unwrap();
            other.unwrap();
        }
        assert_eq!(executor.submit(double, 4).unwrap().wait().unwrap(), 8);
    }
}

fn a_map_as_a_stream_waits_for_room(subject: Subject) {
    let executor = &*subject.with_max_pending(1);
    let both = |executor: &dyn Executor| {
        let one = executor.map(double, 0..20);
        let other = executor.map(double, 0..20).unordered();
        let one = async { one.stream().collect::<Vec<_>>().await };
        let other = async { other.stream().collect::<Vec<_>>().await };
        block_on(async { ::futures::join!(one, other) })
    };
    let (one, other) = both(executor);
    assert_eq!(values(one.into_iter()), doubles(20));
    assert_eq!(other.len(), 20);
}
