//! What `submit` returns: a future with the type of its task's result.

use std::any::type_name;
use std::fmt;
use std::future::{Future as StdFuture, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::FusedFuture;
use serde::de::DeserializeOwned;

use crate::error::{TaskError, TaskId};

use super::raw::{Ended, Kill, RawFuture, State};
use super::waiting::Seat;

/// The result of a task, once it has one.
///
/// It can be awaited in any runtime, or waited for in plain code. Several tasks can await one
/// future: `(&future).await` borrows it. Each wait decodes its own copy of the result, so that it
/// can be asked for again.
///
/// # Caveats
///
/// Dropping a future detaches its task, which runs to its end (as with `tokio::task::JoinHandle`, and
/// as in Python); [`abort_on_drop`](Self::abort_on_drop) and [`kill_on_drop`](Self::kill_on_drop) ask otherwise. The encoded result is kept as
/// long as the future is.
///
/// # Examples
///
/// ```
/// # fn main() -> Result<(), procession::TaskError> {
/// let (promise, future) = procession::Promise::new();
/// std::thread::spawn(move || promise.complete(Ok(42)));
/// assert_eq!(future.wait()?, 42);
/// assert_eq!(futures::executor::block_on(future)?, 42);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a future detaches its task: wait for it or await it, or `drop` it to say so"]
pub struct Future<T> {
    raw: RawFuture,
    seat: Seat,
    on_drop: OnDrop,
    /// Whether `poll` has returned the result.
    is_terminated: bool,
    // Makes values of `T`, holds none: so it is `Send` and `Sync` whatever `T` is.
    result: PhantomData<fn() -> T>,
}

/// There may be a million of them in a `Vec`.
const _: () = assert!(size_of::<Future<()>>() <= 16);

/// What becomes of a task whose future is dropped.
#[derive(Clone, Copy)]
enum OnDrop {
    Detach,
    Cancel,
    Kill,
}

impl<T> Future<T> {
    pub(super) fn new(raw: RawFuture) -> Self {
        Self {
            raw,
            seat: Seat::default(),
            on_drop: OnDrop::Detach,
            is_terminated: false,
            result: PhantomData,
        }
    }

    pub(super) fn raw(&self) -> &RawFuture {
        &self.raw
    }

    /// The number of the task, unique within its executor.
    ///
    /// ```
    /// let (_promise, future) = procession::Promise::<u8>::new();
    /// println!("waiting for task {}", future.id());
    /// ```
    pub fn id(&self) -> TaskId {
        self.raw.id()
    }

    /// Ends the task as cancelled if it has not begun, and returns whether it is cancelled.
    ///
    /// One that runs goes on; it can ask [`is_cancelled`](crate::is_cancelled) whether it should. ([`kill`](Self::kill) is
    /// what ends it against its will.) One that has ended keeps its result. Cancelling twice returns true twice.
    ///
    /// ```
    /// use procession::{Promise, TaskError};
    ///
    /// let (promise, future) = Promise::<u8>::new();
    /// assert!(future.cancel());
    /// assert!(matches!(future.wait(), Err(TaskError::Cancelled { .. })));
    /// assert!(promise.is_cancelled());
    /// ```
    pub fn cancel(&self) -> bool {
        self.raw.cancel()
    }

    /// Ends the task, whatever that takes, and says what that was. Does not block.
    ///
    /// A task that has not begun is cancelled at once. One that runs in a worker first sees
    /// [`is_cancelled`](crate::is_cancelled) become true, for
    /// [`cancel_grace`](crate::ProcessPoolExecutorBuilder::cancel_grace); then its worker is ended, as at a time limit, and the future
    /// says [`TaskError::Killed`] when that is done, unless the result came first. No other task is hit: the worker
    /// begins nothing else from here on.
    ///
    /// ```standalone_crate
    /// use procession::{Kill, ProcessPoolExecutor, TaskError};
    ///
    /// #[procession::task]
    /// fn ponder() {
    ///     loop {
    ///         std::hint::spin_loop();
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let pool = ProcessPoolExecutor::builder().max_workers(1).build()?;
    ///     let (first, second) = (pool.submit(ponder, ())?, pool.submit(ponder, ())?);
    ///     assert_eq!(second.kill(), Kill::Cancelled);
    ///     while !first.is_running() {
    ///         std::thread::yield_now();
    ///     }
    ///     assert_eq!(first.kill(), Kill::Killing);
    ///     assert!(matches!(first.wait(), Err(TaskError::Killed(_))));
    ///     Ok(())
    /// }
    /// ```
    pub fn kill(&self) -> Kill {
        self.raw.kill()
    }

    /// Whether a worker has begun the task and not ended it.
    ///
    /// ```
    /// let (_promise, future) = procession::Promise::<u8>::new();
    /// assert!(!future.is_running());
    /// ```
    pub fn is_running(&self) -> bool {
        self.raw.is_running()
    }

    /// Whether the task has ended: with a value, with an error, or cancelled. Costs one atomic load.
    ///
    /// ```
    /// let (promise, future) = procession::Promise::new();
    /// assert!(!future.is_done());
    /// promise.complete(Ok(7));
    /// assert!(future.is_done());
    /// ```
    pub fn is_done(&self) -> bool {
        self.raw.is_done()
    }

    /// Whether the task ended because it was cancelled, or killed by [`kill`](Self::kill).
    ///
    /// ```
    /// let (_promise, future) = procession::Promise::<u8>::new();
    /// future.cancel();
    /// assert!(future.is_cancelled() && future.is_done());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.raw.is_cancelled()
    }

    /// The error that the task ended with. `None` while it is pending, and when it has a value.
    ///
    /// The value is not decoded for this.
    ///
    /// ```
    /// use procession::{Promise, TaskError};
    ///
    /// let (promise, future) = Promise::<u8>::new();
    /// assert!(future.error().is_none());
    /// drop(promise);
    /// assert!(matches!(future.error(), Some(TaskError::Abandoned)));
    /// ```
    pub fn error(&self) -> Option<TaskError> {
        match self.raw.outcome() {
            Some(Err(error)) => Some(error.clone()),
            _ => None,
        }
    }

    /// The same future, which cancels its task when it is dropped before the end.
    ///
    /// ```
    /// let (promise, future) = procession::Promise::<u8>::new();
    /// drop(future.abort_on_drop());
    /// assert!(promise.is_cancelled());
    /// ```
    pub fn abort_on_drop(mut self) -> Self {
        self.on_drop = OnDrop::Cancel;
        self
    }

    /// The same future, which [kills](Self::kill) its task when it is dropped before the end: also one that runs.
    ///
    /// ```
    /// let (promise, future) = procession::Promise::<u8>::new();
    /// drop(future.kill_on_drop());
    /// assert!(promise.is_cancelled());
    /// ```
    pub fn kill_on_drop(mut self) -> Self {
        self.on_drop = OnDrop::Kill;
        self
    }
}

impl<T: DeserializeOwned + 'static> Future<T> {
    /// Blocks until the task has ended.
    ///
    /// The thread may read the worker's answer itself, which saves a change of threads. In async
    /// code, await the future instead.
    ///
    /// # Errors
    ///
    /// How the task ended, if not with a value.
    ///
    /// ```
    /// # fn main() -> Result<(), procession::TaskError> {
    /// let (promise, future) = procession::Promise::new();
    /// std::thread::spawn(move || promise.complete(Ok("done".to_owned())));
    /// assert_eq!(future.wait()?, "done");
    /// # Ok(())
    /// # }
    /// ```
    pub fn wait(&self) -> Result<T, TaskError> {
        loop {
            if let Some(outcome) = self.raw.wait(None) {
                return decode(outcome);
            }
        }
    }

    /// Blocks until the task has ended, for at most `timeout`. `None` says that it is still pending:
    /// the task goes on, and a later wait may have its result.
    ///
    /// `Duration::ZERO` only looks; `Duration::MAX` waits for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (promise, future) = procession::Promise::new();
    /// assert!(future.wait_timeout(Duration::from_millis(1)).is_none());
    /// promise.complete(Ok(7));
    /// assert!(matches!(future.wait_timeout(Duration::ZERO), Some(Ok(7))));
    /// ```
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<T, TaskError>> {
        // No clock is asked where the answer is there.
        let outcome = match self.raw.outcome() {
            Some(outcome) => outcome,
            None if timeout.is_zero() => return None,
            None => match deadline_after(Some(timeout)) {
                None => return Some(self.wait()),
                deadline => self.raw.wait(deadline)?,
            },
        };
        Some(decode(outcome))
    }

    /// Calls `callback` with the result, decoded for it, when the task ends.
    ///
    /// Callbacks of one future are called in the order in which they were added, each once, on the
    /// executor's thread for callbacks (so a slow one delays other callbacks, and nothing else). On a
    /// future that has ended, the callback is called at once, before this returns; on one without an
    /// executor, by the thread that completes it. A panic in a callback becomes one line on stderr.
    ///
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (promise, future) = procession::Promise::new();
    /// let (sender, receiver) = mpsc::channel();
    /// future.on_done(move |result| sender.send(result.ok()).unwrap());
    /// promise.complete(Ok(7));
    /// assert_eq!(receiver.recv(), Ok(Some(7)));
    /// ```
    pub fn on_done(&self, callback: impl FnOnce(Result<T, TaskError>) + Send + 'static) {
        self.raw
            .on_done(Box::new(|outcome| callback(decode(outcome))));
    }
}

impl<T: DeserializeOwned + 'static> StdFuture for Future<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Poll::Ready(outcome) = this.raw.poll(&mut this.seat, context) else {
            return Poll::Pending;
        };
        this.is_terminated = true;
        Poll::Ready(decode(outcome))
    }
}

impl<T: DeserializeOwned + 'static> FusedFuture for Future<T> {
    fn is_terminated(&self) -> bool {
        self.is_terminated
    }
}

impl<'a, T: DeserializeOwned + 'static> IntoFuture for &'a Future<T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = Awaiting<'a, T>;

    fn into_future(self) -> Self::IntoFuture {
        Awaiting {
            future: self,
            seat: Seat::default(),
        }
    }
}

impl<T> Drop for Future<T> {
    fn drop(&mut self) {
        self.raw.leave(&mut self.seat);
        match self.on_drop {
            OnDrop::Detach => {}
            OnDrop::Cancel if self.raw.is_done() => {}
            OnDrop::Cancel => drop(self.raw.cancel()),
            OnDrop::Kill => drop(self.raw.kill()),
        }
    }
}

impl<T> fmt::Debug for Future<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Future");
        shown.field("task", &self.id().0);
        match self.raw.state() {
            State::Finished => {
                shown.field("state", &format_args!("finished: {}", type_name::<T>()))
            }
            state => shown.field("state", &state),
        };
        shown.finish()
    }
}

/// Awaits a [`Future`] that it borrows: what `(&future).await` makes.
///
/// ```
/// # futures::executor::block_on(async {
/// let (promise, future) = procession::Promise::new();
/// promise.complete(Ok(7));
/// let (one, other) = futures::join!(async { (&future).await }, async { (&future).await });
/// assert_eq!((one?, other?), (7, 7));
/// # Ok::<(), procession::TaskError>(())
/// # }).unwrap();
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Awaiting<'a, T> {
    future: &'a Future<T>,
    seat: Seat,
}

impl<T: DeserializeOwned + 'static> StdFuture for Awaiting<'_, T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.future.raw.poll(&mut this.seat, context).map(decode)
    }
}

impl<T> Drop for Awaiting<'_, T> {
    fn drop(&mut self) {
        self.future.raw.leave(&mut self.seat);
    }
}

impl<T> fmt::Debug for Awaiting<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Awaiting").field(self.future).finish()
    }
}

/// When a wait that begins now ends: `None` is never, also for what no clock can say.
pub(super) fn deadline_after(timeout: Option<Duration>) -> Option<Instant> {
    Instant::now().checked_add(timeout?)
}

fn decode<T: DeserializeOwned + 'static>(outcome: Ended<'_>) -> Result<T, TaskError> {
    match outcome {
        Ok(encoded) => encoded
            .decode()
            .map_err(|error| TaskError::ResultNotDecoded {
                type_name: type_name::<T>(),
                message: error.to_string().into(),
            }),
        Err(error) => Err(error.clone()),
    }
}
