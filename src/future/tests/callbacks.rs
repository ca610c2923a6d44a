//! Callbacks: when, where, how often, and what if they panic.

use std::sync::mpsc;

use super::*;

#[test]
fn a_callback_is_called_once_with_the_value() {
    let (promise, future) = number();
    let (sender, receiver) = mpsc::channel();
    future.on_done(move |result| sender.send(result.unwrap()).unwrap());
    assert!(receiver.try_recv().is_err());
    promise.complete(Ok(6));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [6]);
}

#[test]
fn a_callback_is_called_once_with_the_error() {
    let (promise, future) = number();
    let (sender, receiver) = mpsc::channel();
    future.on_done(move |result| sender.send(result.unwrap_err()).unwrap());
    drop(promise);
    assert!(matches!(
        receiver.iter().collect::<Vec<_>>()[..],
        [TaskError::Abandoned]
    ));
}

#[test]
fn a_callback_is_called_when_the_future_is_cancelled_and_finds_it_so() {
    let (_promise, future) = number();
    let future = Arc::new(future);
    let (sender, receiver) = mpsc::channel();
    let inside = Arc::downgrade(&future);
    future.on_done(move |result| {
        let is_cancelled = inside.upgrade().unwrap().is_cancelled();
        sender.send((result.unwrap_err(), is_cancelled)).unwrap();
    });
    assert!(future.cancel());
    assert!(matches!(
        receiver.try_recv(),
        Ok((TaskError::Cancelled { .. }, true))
    ));
}

#[test]
fn a_callback_that_panics_is_contained_and_the_later_ones_run_in_order() {
    let (promise, future) = number();
    let (sender, receiver) = mpsc::channel();
    for order in 0..3 {
        let sender = sender.clone();
        future.on_done(move |_| sender.send(order).unwrap());
        future.on_done(move |_| panic!("a callback's panic, which the test expects"));
    }
    drop(sender);
    assert!(promise.complete(Ok(1)));
    assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(wait_soon(&future).unwrap(), 1);
}

#[test]
fn a_panic_whose_payload_panics_is_contained() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("a payload's panic, which the test expects");
            }
        }
    }
    let (promise, future) = number();
    future.on_done(|_| std::panic::panic_any(Bomb));
    assert!(promise.complete(Ok(1)));
    assert!(future.is_done());
}

#[test]
fn a_callback_added_after_the_value_runs_at_once_in_the_caller() {
    let (promise, future) = number();
    promise.complete(Ok(2));
    let (sender, receiver) = mpsc::channel();
    future.on_done(move |result| {
        sender
            .send((result.unwrap(), thread::current().id()))
            .unwrap()
    });
    assert_eq!(receiver.try_recv(), Ok((2, thread::current().id())));
}

#[test]
fn a_callback_added_after_the_error_runs_at_once() {
    let (promise, future) = number();
    drop(promise);
    let (sender, receiver) = mpsc::channel();
    future.on_done(move |result| sender.send(result.unwrap_err()).unwrap());
    assert!(matches!(receiver.try_recv(), Ok(TaskError::Abandoned)));
}

#[test]
fn a_late_callback_that_panics_is_contained() {
    let (promise, future) = number();
    promise.complete(Ok(2));
    future.on_done(|_| panic!("a callback's panic, which the test expects"));
    assert_eq!(wait_soon(&future).unwrap(), 2);
}

#[test]
fn the_host_runs_callbacks_in_order() {
    let (host, raw) = FakeHost::new();
    let future: Future<u8> = raw.clone().typed();
    let (sender, receiver) = mpsc::channel();
    for order in 0..3 {
        let sender = sender.clone();
        future.on_done(move |result| sender.send((order, result.unwrap())).unwrap());
    }
    raw.complete(Ok(vec![9].into()));
    assert!(
        receiver.try_recv().is_err(),
        "the thread that completes runs no callback"
    );
    host.run_callbacks();
    assert_eq!(
        receiver.try_iter().collect::<Vec<_>>(),
        [(0, 9), (1, 9), (2, 9)]
    );
}

#[test]
fn a_callback_may_add_another_and_wait() {
    let (promise, future) = number();
    let future = Arc::new(future);
    let (sender, receiver) = mpsc::channel();
    let inside = Arc::clone(&future);
    future.on_done(move |_| {
        let value = wait_soon(&inside).unwrap();
        inside.on_done(move |_| sender.send(value).unwrap());
    });
    promise.complete(Ok(3));
    assert_eq!(receiver.try_recv(), Ok(3));
}
