//! What a future's caller relies on, one behaviour a test.

mod asynchronous;
mod callbacks;
mod many;
mod one;
mod raw;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{TaskError, TaskId};

use super::raw::{Host, HostRef, Kill, Outcome, RawFuture};
use super::{Future, Promise};

/// How long a test waits for what must come. Reaching it is a failure.
const SOON: Duration = Duration::from_secs(20);

/// A wait with a limit that ends before the test is given up, and is reported where it hangs.
fn wait_soon<T: serde::de::DeserializeOwned + 'static>(future: &Future<T>) -> Result<T, TaskError> {
    future.wait_timeout(SOON).expect("the future ends soon")
}

/// A promise of a number.
fn number() -> (Promise<u64>, Future<u64>) {
    Promise::new()
}

/// Counts its wake-ups.
#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl CountingWaker {
    fn new() -> (Arc<Self>, Waker) {
        let counter = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&counter));
        (counter, waker)
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Does what a test tells it to, and notes what it was asked.
#[derive(Default)]
struct FakeHost {
    /// The future of the only task, which has the number 0.
    future: Mutex<Option<RawFuture>>,
    is_running: Mutex<bool>,
    /// What `drain` completes its task with.
    drained: Mutex<Option<Outcome>>,
    drains: AtomicUsize,
    callbacks: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl FakeHost {
    fn new() -> (Arc<Self>, RawFuture) {
        let host = Arc::new(Self::default());
        let weak: Weak<Self> = Arc::downgrade(&host);
        let future = RawFuture::pending(TaskId(0), Some(HostRef::new(weak)));
        *host.future.lock().unwrap() = Some(future.clone());
        (host, future)
    }

    fn run_callbacks(&self) {
        let callbacks = std::mem::take(&mut *self.callbacks.lock().unwrap());
        for callback in callbacks {
            callback();
        }
    }

    fn begin(&self) {
        *self.is_running.lock().unwrap() = true;
    }

    fn future(&self) -> RawFuture {
        self.future.lock().unwrap().clone().unwrap()
    }
}

impl Host for FakeHost {
    fn cancel(&self, _task: TaskId) -> bool {
        let cancelled = TaskError::Cancelled {
            may_have_run: false,
        };
        !*self.is_running.lock().unwrap() && self.future().complete(Err(cancelled))
    }

    fn kill(&self, task: TaskId) -> Kill {
        if self.cancel(task) {
            Kill::Cancelled
        } else {
            Kill::Killing
        }
    }

    fn is_running(&self, _task: TaskId) -> bool {
        *self.is_running.lock().unwrap()
    }

    fn drain(&self, _task: TaskId, is_done: &dyn Fn() -> bool, _deadline: Option<Instant>) {
        self.drains.fetch_add(1, Ordering::SeqCst);
        assert!(!is_done());
        let drained = self.drained.lock().unwrap().take();
        if let Some(outcome) = drained {
            self.future().complete(outcome);
            assert!(is_done());
        }
    }

    fn run_callback(&self, callback: Box<dyn FnOnce() + Send>) {
        self.callbacks.lock().unwrap().push(callback);
    }
}

/// Lets a thread that is about to block get there, where no event tells that it has: the tests that
/// use it hold either way.
fn let_others_run() {
    for _ in 0..20 {
        thread::yield_now();
    }
}
