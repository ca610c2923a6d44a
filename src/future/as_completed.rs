//! Many futures at once, in the order in which they end.

use std::fmt;
use std::iter::FusedIterator;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::error::TaskError;

use super::completes::{Completes, distinct};
use super::raw::RawFuture;
use super::streamed::sealed::Sealed;
use super::streamed::{Streamable, Streamed};
use super::timer::Timer;
use super::watcher::Watch;

/// The futures in the order in which they end: an iterator that blocks, or, by
/// [`stream`](AsCompleted::stream), a stream.
///
/// Those that have ended already come first. Each comes once, also when it was given twice (by
/// reference). What it yields is what it was given, so a key can travel along: `(key, future)`.
///
/// Dropping it detaches the futures that it still holds.
///
/// ```
/// # fn main() -> Result<(), procession::TaskError> {
/// use procession::{Promise, as_completed};
///
/// let (first, one) = Promise::new();
/// let (second, other) = Promise::new();
/// second.complete(Ok(2));
/// let thread = std::thread::spawn(move || first.complete(Ok(1)));
///
/// let mut order = Vec::new();
/// for (name, future) in as_completed([("one", one), ("other", other)]) {
///     order.push((name, future.wait()?));
/// }
/// assert_eq!(order.len(), 2);
/// # thread.join().unwrap();
/// # Ok(())
/// # }
/// ```
pub fn as_completed<F: Completes>(futures: impl IntoIterator<Item = F>) -> AsCompleted<F> {
    let begun = Instant::now();
    let futures = distinct(futures);
    let watch = Watch::over(&futures);
    AsCompleted {
        futures: futures.into_iter().map(Some).collect(),
        watch,
        begun,
    }
}

/// What [`as_completed`] returns: an iterator that blocks; [`stream`](Self::stream) makes it a stream.
///
/// ```
/// use futures::StreamExt;
/// use procession::{Promise, as_completed};
///
/// # futures::executor::block_on(async {
/// let (promise, future) = Promise::new();
/// promise.complete(Ok(7));
/// let mut completed = as_completed([future]).stream();
/// while let Some(future) = completed.next().await {
///     assert_eq!(future.await?, 7);
/// }
/// # Ok::<(), procession::TaskError>(())
/// # }).unwrap();
/// ```
#[must_use = "iterators are lazy"]
pub struct AsCompleted<F> {
    /// None where it has been yielded.
    futures: Vec<Option<F>>,
    watch: Watch,
    begun: Instant,
}

impl<F: Completes> AsCompleted<F> {
    /// The same futures, awaited instead of waited for.
    pub fn stream(self) -> Streamed<Self> {
        Streamed(self)
    }

    /// The same, with a limit on the whole, counted from the call of [`as_completed`].
    ///
    /// What has ended by then is yielded; then [`TaskError::TimedOut`] says how many have not, and that
    /// is the last item. The futures that have not ended are kept until this is dropped. As a
    /// stream, the limit is kept by a thread, `procession-timer`, that is there while such limits are.
    ///
    /// ```
    /// use std::time::Duration;
    /// use procession::{Promise, as_completed};
    ///
    /// let (_promise, future) = Promise::<u8>::new();
    /// let mut results = as_completed([&future]).timeout(Duration::from_millis(1));
    /// let error = results.next().unwrap().unwrap_err();
    /// assert_eq!(error.to_string(), "1 (of 1) futures unfinished");
    /// assert!(results.next().is_none());
    /// ```
    pub fn timeout(self, timeout: Duration) -> AsCompletedTimeout<F> {
        let deadline = self.begun.checked_add(timeout);
        AsCompletedTimeout {
            inner: self,
            deadline,
            timer: deadline.map(Timer::at),
            is_exhausted: false,
        }
    }

    fn next_before(&mut self, deadline: Option<Instant>) -> Option<F> {
        let futures = &self.futures;
        let index = self.watch.next_before(deadline, || last(futures))?;
        self.futures.get_mut(index)?.take()
    }

    fn poll_next_one(&mut self, context: &mut Context<'_>) -> Poll<Option<F>> {
        self.watch
            .poll_next(context)
            .map(|index| self.futures.get_mut(index?)?.take())
    }
}

impl<F: Completes> Iterator for AsCompleted<F> {
    type Item = F;

    fn next(&mut self) -> Option<F> {
        self.next_before(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.watch.left(), Some(self.watch.left()))
    }
}

impl<F: Completes> ExactSizeIterator for AsCompleted<F> {}
impl<F: Completes> FusedIterator for AsCompleted<F> {}

impl<F> Sealed for AsCompleted<F> {}

impl<F: Completes> Streamable for AsCompleted<F> {
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<F>> {
        self.poll_next_one(context)
    }

    fn is_over(&self) -> bool {
        self.watch.left() == 0
    }
}

impl<F> fmt::Debug for AsCompleted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted")
            .field("left", &self.watch.left())
            .field("total", &self.futures.len())
            .finish()
    }
}

/// What [`AsCompleted::timeout`] returns: the same futures, or that time is up.
///
/// ```
/// use std::time::Duration;
/// use procession::{Promise, as_completed};
///
/// let (promise, future) = Promise::new();
/// promise.complete(Ok(7));
/// for next in as_completed([future]).timeout(Duration::from_secs(60)) {
///     assert_eq!(next?.wait()?, 7);
/// }
/// # Ok::<(), procession::TaskError>(())
/// ```
#[must_use = "iterators are lazy"]
#[derive(Debug)]
pub struct AsCompletedTimeout<F> {
    inner: AsCompleted<F>,
    /// None is never.
    deadline: Option<Instant>,
    /// For the stream.
    timer: Option<Timer>,
    is_exhausted: bool,
}

impl<F: Completes> AsCompletedTimeout<F> {
    /// The same futures, awaited instead of waited for.
    pub fn stream(self) -> Streamed<Self> {
        Streamed(self)
    }

    fn time_is_up(&mut self) -> TaskError {
        self.is_exhausted = true;
        self.timer = None;
        TaskError::TimedOut {
            unfinished: self.inner.watch.left(),
            total: self.inner.futures.len(),
        }
    }
}

impl<F: Completes> Iterator for AsCompletedTimeout<F> {
    type Item = Result<F, TaskError>;

    fn next(&mut self) -> Option<Result<F, TaskError>> {
        if self.is_over() {
            return None;
        }
        match self.inner.next_before(self.deadline) {
            Some(future) => Some(Ok(future)),
            None => Some(Err(self.time_is_up())),
        }
    }
}

impl<F: Completes> FusedIterator for AsCompletedTimeout<F> {}

impl<F> Sealed for AsCompletedTimeout<F> {}

impl<F: Completes> Streamable for AsCompletedTimeout<F> {
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(future) = self.inner.poll_next_one(context) {
            return Poll::Ready(future.map(Ok));
        }
        match self.timer.as_mut().map(|timer| timer.poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(Some(Err(self.time_is_up()))),
            _ => Poll::Pending,
        }
    }

    fn is_over(&self) -> bool {
        self.is_exhausted || self.inner.is_over()
    }
}

/// The one that has not ended, when it is the only one.
fn last<F: Completes>(futures: &[Option<F>]) -> Option<RawFuture> {
    futures
        .iter()
        .flatten()
        .map(|future| future.raw())
        .find(|raw| !raw.is_done())
        .cloned()
}
