//! Futures in async code, under three runtimes.

use std::future::Future as StdFuture;
use std::pin::pin;
use std::task::Context;

use futures::executor::block_on;
use futures::future::FusedFuture;
use futures::stream::{Stream, StreamExt};

use super::*;
use crate::ReturnWhen::{AllCompleted, FirstCompleted};
use crate::{as_completed, wait_async};

/// One future, awaited by two tasks at once and then by its owner.
async fn await_three_times() {
    let (promise, future) = number();
    let completer = thread::spawn(move || {
        let_others_run();
        promise.complete(Ok(7))
    });
    let (one, other) = futures::join!(async { (&future).await }, async { (&future).await });
    assert_eq!((one.unwrap(), other.unwrap()), (7, 7));
    assert_eq!(future.await.unwrap(), 7);
    completer.join().unwrap();
}

#[test]
fn futures_are_awaited_in_the_executor_of_futures() {
    block_on(await_three_times());
}

#[test]
fn futures_are_awaited_in_smol() {
    smol::block_on(smol::spawn(await_three_times()));
}

#[tokio::test]
async fn futures_are_awaited_in_tokio() {
    tokio::spawn(await_three_times()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_tasks_await_one_future() {
    let (promise, future) = number();
    let future = Arc::new(future);
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let future = Arc::clone(&future);
            tokio::spawn(async move { (&*future).await })
        })
        .collect();
    tokio::task::yield_now().await;
    promise.complete(Ok(5));
    for task in tasks {
        assert_eq!(
            tokio::time::timeout(SOON, task)
                .await
                .unwrap()
                .unwrap()
                .unwrap(),
            5
        );
    }
}

#[tokio::test]
async fn a_future_that_loses_a_race_goes_on() {
    let (promise, mut future) = number();
    for _ in 0..3 {
        let limit = Duration::from_millis(1);
        assert!(tokio::time::timeout(limit, &mut future).await.is_err());
        assert!(tokio::time::timeout(limit, &future).await.is_err());
    }
    assert_eq!(future.raw().waiters(), 1, "only the owner still has a seat");
    promise.complete(Ok(5));
    assert_eq!(
        tokio::time::timeout(SOON, future).await.unwrap().unwrap(),
        5
    );
}

#[test]
fn a_future_in_select_is_fused() {
    block_on(async {
        let (promise, mut future) = number();
        let (_never, mut other) = number();
        promise.complete(Ok(5));
        assert!(!future.is_terminated());
        futures::select! {
            value = future => assert_eq!(value.unwrap(), 5),
            _ = other => unreachable!("nobody completes it"),
        }
        assert!(future.is_terminated() && !other.is_terminated());
    });
}

#[test]
fn a_future_wakes_its_task_once() {
    let (promise, mut future) = number();
    let (counter, waker) = CountingWaker::new();
    let mut context = Context::from_waker(&waker);
    assert!(pin!(&mut future).poll(&mut context).is_pending());
    assert!(pin!(&mut future).poll(&mut context).is_pending());
    promise.complete(Ok(1));
    assert_eq!(counter.count(), 1);
    assert!(pin!(&mut future).poll(&mut context).is_ready());
}

#[test]
fn wait_async_returns_when_the_condition_is_met() {
    let (first, one) = number();
    let (second, other) = number();
    let completer = thread::spawn(move || {
        let_others_run();
        first.complete(Ok(1));
    });
    let waited = block_on(wait_async([one, other], FirstCompleted, None));
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    completer.join().unwrap();
    let completer = thread::spawn(move || second.complete(Ok(1)));
    let waited = block_on(wait_async(waited.not_done, AllCompleted, SOON));
    assert_eq!(waited.done.len(), 1);
    completer.join().unwrap();
}

#[test]
fn wait_async_times_out_not_early() {
    let (_promise, future) = number();
    let begun = Instant::now();
    let limit = Duration::from_millis(30);
    let waited = block_on(wait_async([&future], AllCompleted, limit));
    assert!(begun.elapsed() >= limit);
    assert_eq!(waited.not_done.len(), 1);
}

#[test]
fn wait_async_without_time_only_looks() {
    let (_promise, future) = number();
    let waited = block_on(wait_async([&future], AllCompleted, Duration::ZERO));
    assert_eq!(waited.not_done.len(), 1);
}

#[test]
fn as_completed_is_a_stream_in_the_order_of_completion() {
    let (first, one) = number();
    let (second, other) = number();
    let expected = [other.id(), one.id()];
    let completed = as_completed([one, other]);
    second.complete(Ok(2));
    let completer = thread::spawn(move || {
        let_others_run();
        first.complete(Ok(1));
    });
    let order: Vec<_> = block_on(completed.stream().map(|future| future.id()).collect());
    assert_eq!(order, expected);
    completer.join().unwrap();
}

#[test]
fn a_burst_wakes_the_stream_once() {
    let (promises, futures): (Vec<_>, Vec<_>) = (0..100).map(|_| number()).unzip();
    let mut completed = as_completed(futures).stream();
    let (counter, waker) = CountingWaker::new();
    let mut context = Context::from_waker(&waker);
    assert!(pin!(&mut completed).poll_next(&mut context).is_pending());
    for promise in promises {
        promise.complete(Ok(1));
    }
    assert_eq!(counter.count(), 1);
    for _ in 0..100 {
        assert!(matches!(
            pin!(&mut completed).poll_next(&mut context),
            std::task::Poll::Ready(Some(_))
        ));
    }
    assert!(matches!(
        pin!(&mut completed).poll_next(&mut context),
        std::task::Poll::Ready(None)
    ));
}

#[test]
fn a_stream_times_out_once_and_is_exhausted() {
    let (promise, one) = number();
    let (_pending, other) = number();
    promise.complete(Ok(1));
    let begun = Instant::now();
    let limit = Duration::from_millis(30);
    let items: Vec<_> = block_on(as_completed([one, other]).timeout(limit).stream().collect());
    assert!(begun.elapsed() >= limit);
    assert!(matches!(
        items[..],
        [
            Ok(_),
            Err(TaskError::TimedOut {
                unfinished: 1,
                total: 2
            })
        ]
    ));
}

#[test]
fn a_dropped_stream_leaves_no_waker() {
    let (promise, future) = number();
    let mut completed = as_completed([&future]).stream();
    let (counter, waker) = CountingWaker::new();
    assert!(
        pin!(&mut completed)
            .poll_next(&mut Context::from_waker(&waker))
            .is_pending()
    );
    drop(waker);
    drop(completed);
    assert_eq!(Arc::strong_count(&counter), 1);
    promise.complete(Ok(1));
    assert_eq!(counter.count(), 0);
}
