//! A thread that wakes asynchronous waiters when their time is up.
//!
//! A task that awaits with a time limit has to be woken by somebody, and no runtime can be assumed.
//! So the first limit starts a thread, `procession-timer`, which sleeps until the earliest one; it ends
//! when there are none left. Blocking waits do not need it.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

use super::contain::contain;
use crate::sys::{self, PerProcess};

/// Those of the process that this one was forked off from, if any, are left alone: its runtime, whose code the wakers are, does not run here.
static TIMERS: PerProcess<Timers> = PerProcess::new(|| Timers {
    wakers: BTreeMap::new(),
    is_running: false,
});

/// Of all timers: one that was made before a fork is no other's afterwards.
static NEXT_NUMBER: AtomicU64 = AtomicU64::new(0);

/// Notified when the earliest entry may be another one.
static CHANGED: Condvar = Condvar::new();

struct Timers {
    wakers: BTreeMap<Key, Waker>,
    /// The thread is there. It says that it goes under the same lock under which it finds nothing to do, so that no entry is left without it.
    is_running: bool,
}

type Key = (Instant, u64);

/// A moment to be woken at. Dropping it takes its waker out.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Instant,
    key: Option<Key>,
}

impl Timer {
    pub(crate) fn at(deadline: Instant) -> Self {
        Self {
            deadline,
            key: None,
        }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= Instant::now() {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        let mut timers = TIMERS.lock();
        if !timers.is_running {
            match start() {
                Ok(()) => timers.is_running = true,
                Err(_) => {
                    drop(timers);
                    // The system has no thread for us now. Being polled again and again until it has
                    // costs much, and keeps the time limit.
                    waker.wake();
                    return Poll::Pending;
                }
            }
        }
        let key = *self.key.get_or_insert_with(|| {
            let number = NEXT_NUMBER.fetch_add(1, Ordering::Relaxed);
            (self.deadline, number)
        });
        let replaced = timers.wakers.insert(key, waker);
        let is_earliest = timers
            .wakers
            .first_key_value()
            .is_some_and(|(first, _)| *first == key);
        drop(timers);
        if is_earliest && replaced.is_none() {
            CHANGED.notify_one();
        }
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut timers = TIMERS.lock();
        let waker = timers.wakers.remove(&key);
        let is_last = timers.wakers.is_empty();
        drop(timers);
        if is_last {
            CHANGED.notify_one();
        }
        drop(waker);
    }
}

fn start() -> io::Result<()> {
    let thread = thread::Builder::new().name("procession-timer".to_owned());
    sys::with_signals_blocked(|| thread.spawn(run)).map(drop)
}

fn run() {
    let mut timers = TIMERS.lock();
    loop {
        let now = Instant::now();
        let Some((&(earliest, _), _)) = timers.wakers.first_key_value() else {
            timers.is_running = false;
            return;
        };
        let left = earliest.saturating_duration_since(now);
        if !left.is_zero() {
            let waited = CHANGED.wait_timeout(timers, left);
            timers = waited.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let later = timers.wakers.split_off(&(now, u64::MAX));
        let due = mem::replace(&mut timers.wakers, later);
        drop(timers);
        for waker in due.into_values() {
            let _ = contain(|| waker.wake());
        }
        timers = TIMERS.lock();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn timers_wake_their_tasks_and_not_early() {
        let waiters: Vec<_> = [30, 10, 20]
            .map(|ms| {
                thread::spawn(move || {
                    let begun = Instant::now();
                    let limit = Duration::from_millis(ms);
                    let mut timer = Timer::at(begun + limit);
                    block_on(poll_fn(|context| timer.poll(context)));
                    assert!(begun.elapsed() >= limit);
                })
            })
            .into();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    }

    #[test]
    fn a_process_that_is_forked_off_while_the_list_is_in_use_has_one_of_its_own() {
        let held = TIMERS.lock();
        let status = crate::sys::in_a_fork(|| {
            let mut timer = Timer::at(Instant::now() + Duration::from_millis(1));
            block_on(poll_fn(|context| timer.poll(context)));
            true
        });
        drop(held);
        assert_eq!(status, 0);
    }

    #[test]
    fn a_dropped_timer_leaves_no_waker() {
        let mut timer = Timer::at(Instant::now() + Duration::from_secs(3600));
        let mut context = Context::from_waker(Waker::noop());
        assert!(timer.poll(&mut context).is_pending());
        let key = timer.key.unwrap();
        assert!(TIMERS.lock().wakers.contains_key(&key));
        drop(timer);
        assert!(!TIMERS.lock().wakers.contains_key(&key));
    }
}
