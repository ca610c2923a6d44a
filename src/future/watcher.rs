//! One who waits for many futures.
//!
//! A [`Watcher`] sits in the lists of all of them; each leaves its index in the watcher's queue when it
//! ends. The consumer's end is a [`Watch`], which takes the whole queue at once. The first future of
//! a burst finds the consumer parked and wakes it; the others find it awake and only leave their index.
//!
//! Nobody misses a wake-up: the queue, whether a thread is parked, and the waker are under one lock;
//! a consumer parks only where it has seen the queue empty under it.

use std::mem;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::primitives::{Arc, AtomicBool, Condvar, Mutex, Ordering, lock, park};

use super::completes::Completes;
use super::contain::contain;
use super::raw::RawFuture;

/// The end that futures hold.
pub(super) struct Watcher {
    arrivals: Mutex<Arrivals>,
    /// Notified when the queue gets its first index while a thread is parked.
    arrived: Condvar,
    /// The consumer has gone, and has taken its waker along. Set once.
    has_gone: AtomicBool,
}

#[derive(Default)]
struct Arrivals {
    queue: Vec<usize>,
    is_parked: bool,
    waker: Option<Waker>,
}

/// The consumer's end: the indices of futures in the order in which they end, each once.
pub(crate) struct Watch {
    watcher: Arc<Watcher>,
    /// What was taken from the queue, and how much of it has been handed out.
    burst: Vec<usize>,
    handed_out: usize,
    /// How many have not been handed out.
    left: usize,
}

impl Watcher {
    /// One of the futures has ended.
    pub(super) fn notify(&self, index: usize) {
        if self.has_gone() {
            return;
        }
        let mut arrivals = lock(&self.arrivals);
        arrivals.queue.push(index);
        let is_parked = mem::take(&mut arrivals.is_parked);
        let waker = arrivals.waker.take();
        drop(arrivals);
        if is_parked {
            self.arrived.notify_one();
        }
        if let Some(waker) = waker {
            let _ = contain(|| waker.wake());
        }
    }

    // A hint: it says which entries of a list are of no use any more. Nothing is read because of it.
    pub(super) fn has_gone(&self) -> bool {
        self.has_gone.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Watches `futures`, which are distinct. Those that have ended already come first.
    pub(super) fn over<F: Completes>(futures: &[F]) -> Self {
        let watcher = Arc::new(Watcher {
            arrivals: Mutex::new(Arrivals::default()),
            arrived: Condvar::new(),
            has_gone: AtomicBool::new(false),
        });
        let burst = futures
            .iter()
            .enumerate()
            .filter(|(index, future)| !future.raw().watch(&watcher, *index))
            .map(|(index, _)| index)
            .collect();
        Self {
            watcher,
            burst,
            handed_out: 0,
            left: futures.len(),
        }
    }

    /// Watches nothing yet.
    pub(crate) fn empty() -> Self {
        Self::over::<super::typed::Future<()>>(&[])
    }

    /// Watches one more future, under this index.
    pub(crate) fn add(&mut self, future: &RawFuture, index: usize) {
        self.left += 1;
        if !future.watch(&self.watcher, index) {
            self.burst.push(index);
        }
    }

    /// How many have not been handed out.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Blocks until another one has ended, or the deadline has passed, or none is left.
    ///
    /// `last` finds the one that is left when only one is: its host may have use for this thread.
    pub(crate) fn next_before(
        &mut self,
        deadline: Option<Instant>,
        last: impl FnOnce() -> Option<RawFuture>,
    ) -> Option<usize> {
        if let Some(index) = self.take() {
            return Some(index);
        }
        if self.left == 0 {
            return None;
        }
        if self.left == 1 && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            self.refill();
            if let Some(index) = self.take() {
                return Some(index);
            }
            if let Some(last) = last() {
                last.drain(deadline);
            }
        }
        let watcher = Arc::clone(&self.watcher);
        let mut arrivals = lock(&watcher.arrivals);
        while arrivals.queue.is_empty() {
            arrivals.is_parked = true;
            match park(&watcher.arrived, arrivals, deadline) {
                Some(guard) => arrivals = guard,
                None => {
                    arrivals = lock(&watcher.arrivals);
                    arrivals.is_parked = false;
                    break;
                }
            }
        }
        arrivals.is_parked = false;
        self.swap(&mut arrivals);
        drop(arrivals);
        self.take()
    }

    /// Returns the next one that has ended, or leaves the task's waker. `None` is that none is left.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<usize>> {
        if let Some(index) = self.take() {
            return Poll::Ready(Some(index));
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        // Cloning and dropping a waker is the runtime's code: without the lock.
        let mut waker = Some(context.waker().clone());
        let watcher = Arc::clone(&self.watcher);
        let mut arrivals = lock(&watcher.arrivals);
        let is_pending = arrivals.queue.is_empty();
        if is_pending {
            mem::swap(&mut arrivals.waker, &mut waker);
        } else {
            self.swap(&mut arrivals);
        }
        drop(arrivals);
        drop(waker);
        if is_pending {
            Poll::Pending
        } else {
            Poll::Ready(self.take())
        }
    }

    fn refill(&mut self) {
        let watcher = Arc::clone(&self.watcher);
        self.swap(&mut lock(&watcher.arrivals));
    }

    /// Exchanges the burst, which is used up, for the queue.
    fn swap(&mut self, arrivals: &mut Arrivals) {
        self.burst.clear();
        self.handed_out = 0;
        mem::swap(&mut self.burst, &mut arrivals.queue);
    }

    fn take(&mut self) -> Option<usize> {
        let index = *self.burst.get(self.handed_out)?;
        self.handed_out += 1;
        self.left = self.left.saturating_sub(1);
        Some(index)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let waker = {
            let mut arrivals = lock(&self.watcher.arrivals);
            arrivals.queue = Vec::new();
            arrivals.waker.take()
        };
        drop(waker);
        // After the waker has gone: whoever sees this may drop the watcher under a lock.
        self.watcher.has_gone.store(true, Ordering::Relaxed);
    }
}
