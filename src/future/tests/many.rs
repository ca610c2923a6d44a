//! Many futures: wait and as_completed in plain code.

use std::collections::HashSet;
use std::rc::Rc;

use super::*;
use crate::ReturnWhen::{AllCompleted, FirstCompleted, FirstException};
use crate::{Completes, as_completed, wait};

fn numbers<const N: usize>() -> ([Option<Promise<u64>>; N], [Future<u64>; N]) {
    let pairs = [(); N].map(|()| number());
    let mut promises = [const { None }; N];
    let mut futures = [const { None }; N];
    for (index, (promise, future)) in pairs.into_iter().enumerate() {
        promises[index] = Some(promise);
        futures[index] = Some(future);
    }
    (promises, futures.map(Option::unwrap))
}

fn ids<'a>(futures: impl IntoIterator<Item = &'a Future<u64>>) -> Vec<TaskId> {
    futures.into_iter().map(Future::id).collect()
}

#[test]
fn wait_first_completed_returns_with_the_one() {
    let ([one, two, _three], futures) = numbers();
    two.unwrap().complete(Ok(2));
    let waited = wait(&futures, FirstCompleted, SOON);
    assert_eq!(ids(waited.done), [futures[1].id()]);
    assert_eq!(ids(waited.not_done), [futures[0].id(), futures[2].id()]);
    drop(one);
}

#[test]
fn wait_first_completed_is_woken() {
    let ([one, two], futures) = numbers();
    let completer = thread::spawn(move || {
        let_others_run();
        two.unwrap().complete(Ok(2))
    });
    let waited = wait(&futures, FirstCompleted, SOON);
    assert_eq!(ids(waited.done), [futures[1].id()]);
    completer.join().unwrap();
    drop(one);
}

#[test]
fn wait_first_exception_goes_on_after_values_and_cancellations() {
    let ([one, two, three, four], futures) = numbers();
    futures[1].cancel();
    let completer = thread::spawn(move || {
        one.unwrap().complete(Ok(1));
        let_others_run();
        drop(three);
    });
    let waited = wait(&futures, FirstException, SOON);
    completer.join().unwrap();
    assert_eq!(ids(waited.done), ids(&futures[..3]));
    assert_eq!(ids(waited.not_done), ids(&futures[3..]));
    drop((two, four));
}

#[test]
fn wait_first_exception_returns_at_once_when_there_is_one() {
    let ([one, two], futures) = numbers();
    drop(one);
    let waited = wait(&futures, FirstException, SOON);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    drop(two);
}

#[test]
fn wait_first_exception_returns_when_all_have_values() {
    let (promises, futures) = numbers::<3>();
    let completer = thread::spawn(move || {
        for promise in promises.into_iter().flatten() {
            promise.complete(Ok(1));
        }
    });
    assert_eq!(wait(&futures, FirstException, SOON).done.len(), 3);
    completer.join().unwrap();
}

#[test]
fn wait_all_completed_waits_for_every_kind_of_end() {
    let ([one, two, three], futures) = numbers();
    futures[2].cancel();
    let completer = thread::spawn(move || {
        two.unwrap().complete(Ok(1));
        drop(one);
    });
    let waited = wait(&futures, AllCompleted, None);
    assert_eq!(ids(waited.done), ids(&futures));
    assert!(waited.not_done.is_empty());
    completer.join().unwrap();
    drop(three);
}

#[test]
fn wait_times_out_not_early_and_tells_who_is_done() {
    let ([one, _two], futures) = numbers();
    one.unwrap().complete(Ok(1));
    let begun = Instant::now();
    let limit = Duration::from_millis(30);
    let waited = wait(&futures, AllCompleted, limit);
    assert!(begun.elapsed() >= limit);
    assert_eq!(
        (ids(waited.done), ids(waited.not_done)),
        (ids(&futures[..1]), ids(&futures[1..]))
    );
}

#[test]
fn wait_without_time_only_looks() {
    let ([one, _two], futures) = numbers();
    one.unwrap().complete(Ok(1));
    let waited = wait(&futures, AllCompleted, Duration::ZERO);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
}

#[test]
fn wait_counts_a_future_given_twice_once() {
    let ([one, two], futures) = numbers();
    one.unwrap().complete(Ok(1));
    let [first, second] = &futures;
    let waited = wait([first, second, first, second], FirstCompleted, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    drop(two);
}

#[test]
fn wait_for_nothing_returns_at_once() {
    for when in [FirstCompleted, FirstException, AllCompleted] {
        let waited = wait(Vec::<Future<u64>>::new(), when, None);
        assert!(waited.done.is_empty() && waited.not_done.is_empty());
        assert!(as_completed(Vec::<Future<u64>>::new()).next().is_none());
    }
}

#[test]
fn wait_offers_the_thread_to_the_host_of_the_last_one() {
    let (host, raw) = FakeHost::new();
    *host.drained.lock().unwrap() = Some(Ok(vec![7].into()));
    let waited = wait([raw.typed::<u8>()], AllCompleted, SOON);
    assert_eq!(waited.done.len(), 1);
    assert_eq!(host.drains.load(Ordering::SeqCst), 1);
}

#[test]
fn futures_of_different_results_go_together() {
    let (first, number) = Promise::<u64>::new();
    let (second, text) = Promise::<String>::new();
    first.complete(Ok(1));
    second.complete(Ok("text".to_owned()));
    let both: [&dyn Completes; 2] = [&number, &text];
    assert_eq!(wait(both, AllCompleted, SOON).done.len(), 2);
    let boxed: Vec<Box<dyn Completes>> = vec![Box::new(number), Box::new(text)];
    assert_eq!(as_completed(boxed).count(), 2);
}

#[test]
fn a_key_travels_along() {
    let (promises, futures) = numbers::<3>();
    for (promise, value) in promises.into_iter().flatten().zip([10, 20, 30]) {
        promise.complete(Ok(value));
    }
    let keyed = (0..).map(Rc::new).zip(futures);
    let mut seen: Vec<_> = as_completed(keyed)
        .map(|(key, future)| (*key, wait_soon(&future).unwrap()))
        .collect();
    seen.sort();
    assert_eq!(seen, [(0, 10), (1, 20), (2, 30)]);
}

#[test]
fn as_completed_yields_in_the_order_of_completion() {
    let ([one, two, three], futures) = numbers();
    let expected = [futures[2].id(), futures[0].id(), futures[1].id()];
    let completed = as_completed(futures);
    three.unwrap().complete(Ok(3));
    one.unwrap().complete(Ok(1));
    drop(two);
    assert_eq!(
        completed.map(|future| future.id()).collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn as_completed_yields_those_that_have_ended_first() {
    let ([one, two, three], futures) = numbers();
    three.unwrap().complete(Ok(3));
    let mut completed = as_completed(&futures);
    two.unwrap().complete(Ok(2));
    assert_eq!(completed.len(), 3);
    assert_eq!(completed.next().unwrap().id(), futures[2].id());
    assert_eq!(completed.next().unwrap().id(), futures[1].id());
    one.unwrap().complete(Ok(1));
    assert_eq!(completed.next().unwrap().id(), futures[0].id());
    assert!(completed.next().is_none());
    assert!(completed.next().is_none());
}

#[test]
fn as_completed_yields_a_future_given_twice_once() {
    let ([one, two], futures) = numbers();
    one.unwrap().complete(Ok(1));
    let [first, second] = &futures;
    let completed = as_completed([first, first, second, second]);
    two.unwrap().complete(Ok(2));
    assert_eq!(completed.count(), 2);
}

#[test]
fn as_completed_times_out_once_and_says_how_many_are_unfinished() {
    let ([one, two, _three, _four], futures) = numbers();
    one.unwrap().complete(Ok(1));
    let begun = Instant::now();
    let limit = Duration::from_millis(30);
    let mut completed = as_completed(&futures).timeout(limit);
    two.unwrap().complete(Ok(2));
    assert_eq!(completed.next().unwrap().unwrap().id(), futures[0].id());
    assert_eq!(completed.next().unwrap().unwrap().id(), futures[1].id());
    let error = completed.next().unwrap().unwrap_err();
    assert!(begun.elapsed() >= limit);
    assert_eq!(error.to_string(), "2 (of 4) futures unfinished");
    assert!(completed.next().is_none());
    assert!(completed.next().is_none());
}

#[test]
fn as_completed_without_time_yields_what_has_ended() {
    let ([one, _two], futures) = numbers();
    one.unwrap().complete(Ok(1));
    let mut completed = as_completed(&futures).timeout(Duration::ZERO);
    assert!(completed.next().unwrap().is_ok());
    assert!(matches!(
        completed.next(),
        Some(Err(TaskError::TimedOut {
            unfinished: 1,
            total: 2
        }))
    ));
}

#[test]
fn as_completed_that_ends_in_time_has_no_error() {
    let ([one], futures) = numbers();
    let completer = thread::spawn(move || one.unwrap().complete(Ok(1)));
    let completed: Vec<_> = as_completed(&futures).timeout(SOON).collect();
    assert!(completed[0].is_ok() && completed.len() == 1);
    completer.join().unwrap();
}

#[test]
fn as_completed_offers_the_thread_to_the_host_of_the_last_one() {
    let (host, raw) = FakeHost::new();
    let last: Future<u64> = raw.typed();
    let (promise, other) = number();
    let mut completed = as_completed([last, other]);
    promise.complete(Ok(1));
    assert!(completed.next().is_some());
    assert_eq!(host.drains.load(Ordering::SeqCst), 0);
    *host.drained.lock().unwrap() = Some(Ok(vec![7].into()));
    assert!(completed.next().is_some());
    assert_eq!(host.drains.load(Ordering::SeqCst), 1);
}

#[test]
fn as_completed_keeps_nothing_of_what_it_has_yielded() {
    let raws = [(); 2].map(|()| RawFuture::pending(TaskId(0), None));
    let mut completed = as_completed(raws.clone().map(|raw| raw.typed::<u8>()));
    raws[0].complete(Ok(vec![1].into()));
    drop(completed.next().unwrap());
    assert_eq!(raws[0].handles(), 1);
    drop(completed);
    assert_eq!(raws[1].handles(), 1);
    assert!(raws[1].complete(Ok(vec![1].into())));
}

#[test]
fn two_consumers_may_watch_the_same_futures() {
    let (promises, futures) = numbers::<100>();
    let completer = thread::spawn(move || {
        for promise in promises.into_iter().flatten() {
            promise.complete(Ok(1));
        }
    });
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let seen: HashSet<_> = as_completed(&futures).map(Future::id).collect();
                assert_eq!(seen.len(), 100);
            });
        }
    });
    completer.join().unwrap();
}

mod against_a_slow_twin {
    //! as_completed with any order of completion, and any part of it before the call.

    use proptest::prelude::*;

    use super::*;

    fn order() -> impl Strategy<Value = (Vec<usize>, usize, Vec<usize>)> {
        (1_usize..20).prop_flat_map(|count| {
            let order = Just((0..count).collect::<Vec<_>>()).prop_shuffle();
            (order, 0..=count, proptest::collection::vec(0..count, 0..5))
        })
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_completion((order, before, twice) in order()) {
            let (mut promises, futures): (Vec<_>, Vec<_>) =
                order.iter().map(|_| number()).map(|(promise, future)| (Some(promise), future)).unzip();
            let mut complete = |index: usize| promises[index].take().unwrap().complete(Ok(1));
            let (early, late) = order.split_at(before);
            for index in early {
                complete(*index);
            }
            let handles = futures.iter().chain(twice.iter().map(|index| &futures[*index]));
            let completed = as_completed(handles);
            for index in late {
                complete(*index);
            }
            let mut early = early.to_vec();
            early.sort_unstable();
            let expected: Vec<_> = early.iter().chain(late).map(|index| futures[*index].id()).collect();
            prop_assert_eq!(completed.map(Future::id).collect::<Vec<_>>(), expected);
        }
    }
}
