//! Races of futures, given to loom: every interleaving of a few steps, not just those that happen.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --lib --release loom` runs them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Instant;

use loom::future::block_on;
use loom::thread;

use crate::error::{TaskError, TaskId};
use crate::page::Page;
use crate::primitives::{Arc, Weak};

use super::completes::Completes;
use super::completes::sealed::Sealed;
use super::raw::{Ended, Host, HostRef, Kill, Outcome, RawFuture};
use super::waiting::Seat;
use super::watcher::Watch;

impl Sealed for RawFuture {
    fn raw(&self) -> &RawFuture {
        self
    }
}

impl Completes for RawFuture {}

fn pending() -> RawFuture {
    RawFuture::pending(TaskId(0), None)
}

fn value(byte: u8) -> Outcome {
    Ok(vec![byte].into())
}

fn byte_of(outcome: Ended<'_>) -> u8 {
    outcome.unwrap().bytes[0]
}

#[test]
fn loom_a_blocked_thread_is_woken_by_the_end() {
    loom::model(|| {
        let future = pending();
        let completer = {
            let future = future.clone();
            thread::spawn(move || assert!(future.complete(value(1))))
        };
        assert_eq!(byte_of(future.wait(None).unwrap()), 1);
        completer.join().unwrap();
    });
}

#[test]
fn loom_two_blocked_threads_are_woken_by_the_end() {
    loom::model(|| {
        let future = pending();
        let waiters = [(); 2].map(|()| {
            let future = future.clone();
            thread::spawn(move || assert_eq!(byte_of(future.wait(None).unwrap()), 1))
        });
        future.complete(value(1));
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn loom_a_polling_task_is_woken_by_the_end() {
    loom::model(|| {
        let future = pending();
        let completer = {
            let future = future.clone();
            thread::spawn(move || assert!(future.complete(value(1))))
        };
        let mut seat = Seat::default();
        let byte = block_on(std::future::poll_fn(|context| {
            future.poll(&mut seat, context).map(byte_of)
        }));
        assert_eq!(byte, 1);
        completer.join().unwrap();
    });
}

#[test]
fn loom_a_task_that_polls_with_another_waker_is_woken_by_the_last_one() {
    loom::model(|| {
        let future = pending();
        let completer = {
            let future = future.clone();
            thread::spawn(move || assert!(future.complete(value(1))))
        };
        let mut seat = Seat::default();
        let _ = future.poll(&mut seat, &mut Context::from_waker(Waker::noop()));
        let byte = block_on(std::future::poll_fn(|context| {
            future.poll(&mut seat, context).map(byte_of)
        }));
        assert_eq!(byte, 1);
        completer.join().unwrap();
    });
}

#[test]
fn loom_a_task_that_leaves_takes_nobody_else_along() {
    loom::model(|| {
        let future = pending();
        let mut left = Seat::default();
        let _ = future.poll(&mut left, &mut Context::from_waker(Waker::noop()));
        let waiter = {
            let future = future.clone();
            thread::spawn(move || {
                let mut seat = Seat::default();
                block_on(std::future::poll_fn(|context| {
                    future.poll(&mut seat, context).map(byte_of)
                }))
            })
        };
        let completer = {
            let future = future.clone();
            thread::spawn(move || assert!(future.complete(value(1))))
        };
        future.leave(&mut left);
        assert_eq!(waiter.join().unwrap(), 1);
        completer.join().unwrap();
        assert_eq!(future.waiters(), 0);
    });
}

#[test]
fn loom_a_future_that_is_completed_and_cancelled_has_one_outcome() {
    loom::model(|| {
        let future = pending();
        let completer = {
            let future = future.clone();
            thread::spawn(move || future.complete(value(1)))
        };
        let was_cancelled = future.cancel();
        let was_completed = completer.join().unwrap();
        assert_ne!(was_cancelled, was_completed);
        assert_eq!(future.is_cancelled(), was_cancelled);
        assert!(future.is_done());
    });
}

/// A worker that runs a task: its status page, and what its driver does with it.
struct Running {
    page: Page,
    future: OnceLock<RawFuture>,
}

impl Running {
    const SEQ: u32 = 7;

    fn future(&self) -> &RawFuture {
        self.future.get().unwrap()
    }
}

impl Host for Running {
    fn cancel(&self, _: TaskId) -> bool {
        self.page.ask_cancel(Self::SEQ);
        false
    }

    fn kill(&self, _: TaskId) -> Kill {
        if !self.page.condemn(Self::SEQ, None) {
            return Kill::TooLate;
        }
        // The worker goes, and nothing has come from it.
        assert!(self.future().complete(Err(TaskError::Abandoned)));
        Kill::Killing
    }

    fn is_running(&self, _: TaskId) -> bool {
        self.page.is_begun(Self::SEQ)
    }

    fn drain(&self, _: TaskId, _: &dyn Fn() -> bool, _: Option<Instant>) {}

    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>) {
        callback();
    }
}

#[test]
fn loom_a_task_that_ends_and_is_killed_has_one_outcome_and_the_killer_knows_which() {
    loom::model(|| {
        let host = Arc::new(Running {
            page: Page::new(),
            future: OnceLock::new(),
        });
        let weak: Weak<dyn Host> = Arc::downgrade(&host) as Weak<dyn Host>;
        let future = RawFuture::pending(TaskId(0), Some(HostRef::new(weak)));
        assert!(host.future.set(future.clone()).is_ok());
        host.page.send(Running::SEQ, 1);
        assert!(host.page.begin(Running::SEQ, 1));
        let worker = {
            let host = Arc::clone(&host);
            thread::spawn(move || {
                let has_ended = host.page.end(Running::SEQ, 0, 1);
                if has_ended {
                    assert!(host.future().complete(value(1)));
                }
                has_ended
            })
        };
        let waiter = {
            let future = future.clone();
            thread::spawn(move || future.wait(None).unwrap().is_ok())
        };
        let found = future.kill();
        let has_ended = worker.join().unwrap();
        assert_eq!(found == Kill::TooLate, has_ended);
        assert_eq!(waiter.join().unwrap(), has_ended);
        assert_eq!(future.kill(), Kill::TooLate);
    });
}

#[test]
fn loom_of_two_completions_the_first_one_counts() {
    loom::model(|| {
        let future = pending();
        let completers = [1, 2].map(|byte| {
            let future = future.clone();
            thread::spawn(move || future.complete(value(byte)))
        });
        let seen = byte_of(future.wait(None).unwrap());
        let [first, second] = completers.map(|completer| completer.join().unwrap());
        assert_ne!(first, second);
        assert_eq!(seen, if first { 1 } else { 2 });
        assert_eq!(byte_of(future.outcome().unwrap()), seen);
    });
}

#[test]
fn loom_a_callback_is_called_once_whenever_it_is_added() {
    loom::model(|| {
        // The standard library's: counted, not raced for.
        let calls = Arc::new(AtomicUsize::new(0));
        let future = pending();
        let completer = {
            let future = future.clone();
            thread::spawn(move || assert!(future.complete(value(1))))
        };
        let counted = Arc::clone(&calls);
        future.on_done(Box::new(move |outcome| {
            assert_eq!(byte_of(outcome), 1);
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        completer.join().unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(future.waiters(), 0);
    });
}

#[test]
fn loom_a_blocked_watch_gets_each_end_once() {
    loom::model(|| {
        let futures = [pending(), pending()];
        let completers = futures
            .clone()
            .map(|future| thread::spawn(move || assert!(future.complete(value(1)))));
        let mut watch = Watch::over(&futures);
        let mut seen = [0; 2];
        while let Some(index) = watch.next_before(None, || None) {
            assert!(futures[index].is_done());
            seen[index] += 1;
        }
        assert_eq!(seen, [1, 1]);
        for completer in completers {
            completer.join().unwrap();
        }
    });
}

#[test]
fn loom_a_polled_watch_gets_each_end_once() {
    loom::model(|| {
        let futures = [pending(), pending()];
        let completer = {
            let [first, second] = futures.clone();
            thread::spawn(move || {
                first.complete(value(1));
                second.complete(value(1));
            })
        };
        let mut watch = Watch::over(&futures);
        let mut seen = [0; 2];
        block_on(async {
            while let Some(index) = std::future::poll_fn(|context| watch.poll_next(context)).await {
                assert!(futures[index].is_done());
                seen[index] += 1;
            }
        });
        assert_eq!(seen, [1, 1]);
        completer.join().unwrap();
    });
}

#[test]
fn loom_a_watch_may_go_while_its_futures_end() {
    loom::model(|| {
        let futures = [pending()];
        let mut watch = Watch::over(&futures);
        let _ = watch.poll_next(&mut Context::from_waker(Waker::noop()));
        let completer = {
            let [future] = futures.clone();
            thread::spawn(move || assert!(future.complete(value(1))))
        };
        drop(watch);
        let mut other = Watch::over(&futures);
        assert_eq!(other.next_before(None, || None), Some(0));
        completer.join().unwrap();
    });
}
