//! A future without an executor: whoever holds its promise completes it.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::error::{TaskError, TaskId};
use crate::wire::Encoded;

use super::raw::RawFuture;
use super::typed::Future;

/// The numbers of futures without an executor.
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// The other end of a [`Future`], for values that do not come from a task.
///
/// With it, code that deals in futures can be given values of its own: from a cache, from a thread,
/// from a test. Dropping a promise completes its future with [`TaskError::Abandoned`].
///
/// ```
/// # fn main() -> Result<(), procession::TaskError> {
/// let (promise, future) = procession::Promise::new();
/// std::thread::spawn(move || promise.complete(Ok(42)));
/// assert_eq!(future.wait()?, 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a promise completes its future with `TaskError::Abandoned`"]
pub struct Promise<T> {
    raw: RawFuture,
    // Takes values of `T`, holds none.
    value: PhantomData<fn(T)>,
}

impl<T> Promise<T> {
    /// A promise, and the future that it completes.
    ///
    /// ```
    /// let (promise, future) = procession::Promise::new();
    /// promise.complete(Ok('a'));
    /// assert!(matches!(future.wait(), Ok('a')));
    /// ```
    #[allow(
        clippy::new_ret_no_self,
        reason = "a promise comes with its future, as a sender does"
    )]
    pub fn new() -> (Self, Future<T>) {
        let id = TaskId(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let raw = RawFuture::pending(id, None);
        (
            Self {
                raw: raw.clone(),
                value: PhantomData,
            },
            raw.typed(),
        )
    }

    /// Whether the future was cancelled, so that nobody waits for a value any more.
    ///
    /// ```
    /// let (promise, future) = procession::Promise::<u8>::new();
    /// assert!(!promise.is_cancelled());
    /// future.cancel();
    /// assert!(promise.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.raw.is_cancelled()
    }
}

impl<T: Serialize + 'static> Promise<T> {
    /// Completes the future. Returns false if it was cancelled before.
    ///
    /// The value is encoded here, as a task's result is; where that fails, the future says so.
    ///
    /// ```
    /// use procession::{Promise, TaskError};
    ///
    /// let (promise, future) = Promise::<u8>::new();
    /// promise.complete(Err(TaskError::Abandoned));
    /// assert!(future.wait().is_err());
    /// ```
    pub fn complete(self, result: Result<T, TaskError>) -> bool {
        if self.raw.is_done() {
            return false;
        }
        let outcome = result.and_then(|value| {
            Encoded::of(value).map_err(|error| TaskError::ResultNotEncoded {
                function: "Promise::complete".into(),
                message: error.to_string().into(),
            })
        });
        self.raw.complete(outcome)
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if !self.raw.is_done() {
            self.raw.complete(Err(TaskError::Abandoned));
        }
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Promise");
        shown
            .field("task", &self.raw.id().0)
            .field("state", &self.raw.state())
            .finish()
    }
}
