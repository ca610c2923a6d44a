//! Many futures at once, until some or all of them have ended.

use std::fmt;
use std::future::Future as StdFuture;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::completes::{Completes, distinct};
use super::raw::is_cancellation;
use super::timer::Timer;
use super::typed::deadline_after;
use super::watcher::Watch;

/// When [`wait`] returns.
///
/// ```
/// use procession::{Promise, ReturnWhen, TaskError, wait};
///
/// let (failing, one) = Promise::<u8>::new();
/// let (_promise, other) = Promise::<u8>::new();
/// failing.complete(Err(TaskError::Abandoned));
/// let waited = wait([&one, &other], ReturnWhen::FirstException, None);
/// assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnWhen {
    /// When one has ended, however it ended.
    FirstCompleted,
    /// When one has ended with an error other than [`TaskError::Cancelled`](crate::TaskError::Cancelled) and [`TaskError::Killed`](crate::TaskError::Killed), or all
    /// have ended.
    FirstException,
    /// When all have ended.
    AllCompleted,
}

/// What [`wait`] returns: the futures it was given, in that order, each once.
///
/// ```
/// use std::time::Duration;
/// use procession::{Promise, ReturnWhen, Waited, wait};
///
/// let (_promise, future) = Promise::<u8>::new();
/// let Waited { done, not_done } = wait([&future], ReturnWhen::AllCompleted, Duration::ZERO);
/// assert!(done.is_empty());
/// assert_eq!(not_done[0].id(), future.id());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited<F> {
    /// Those that have ended, cancelled ones among them.
    pub done: Vec<F>,
    /// Those that have not.
    pub not_done: Vec<F>,
}

/// Blocks until `when` says, or until the time is up, and tells those that have ended from those that
/// have not.
///
/// The time limit is a `Duration`, or `None`. A future that is given twice (by reference) counts once.
/// For results in the order in which they come, see [`as_completed`](crate::as_completed).
///
/// ```
/// use std::time::Duration;
/// use procession::{Promise, ReturnWhen, wait};
///
/// let (first, one) = Promise::new();
/// let (_second, other) = Promise::<u8>::new();
/// first.complete(Ok(1));
///
/// let waited = wait([one, other], ReturnWhen::FirstCompleted, None);
/// assert!(matches!(waited.done[0].wait(), Ok(1)));
///
/// let waited = wait(waited.not_done, ReturnWhen::AllCompleted, Duration::from_millis(1));
/// assert_eq!((waited.done.len(), waited.not_done.len()), (0, 1));
/// ```
pub fn wait<F: Completes>(
    futures: impl IntoIterator<Item = F>,
    when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> Waited<F> {
    let deadline = deadline_after(timeout.into());
    let futures = distinct(futures);
    if when.is_met_by(&futures) || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
        return Waited::partition(futures);
    }
    let mut watch = Watch::over(&futures);
    let last = || {
        futures
            .iter()
            .map(|future| future.raw())
            .find(|raw| !raw.is_done())
            .cloned()
    };
    while let Some(index) = watch.next_before(deadline, last) {
        if when.is_met_with(&futures[index], &watch) {
            break;
        }
    }
    drop(watch);
    Waited::partition(futures)
}

/// [`wait`], to be awaited.
///
/// The time limit counts from this call. It is kept by a thread, `procession-timer`, that is there while
/// such limits are; without a limit there is none.
///
/// ```
/// use procession::{Promise, ReturnWhen, wait_async};
///
/// # futures::executor::block_on(async {
/// let (first, one) = Promise::new();
/// let (second, other) = Promise::new();
/// first.complete(Ok(1));
/// second.complete(Ok(2));
/// let waited = wait_async([&one, &other], ReturnWhen::AllCompleted, None).await;
/// assert_eq!((waited.done.len(), waited.not_done.len()), (2, 0));
/// # });
/// ```
pub fn wait_async<F: Completes>(
    futures: impl IntoIterator<Item = F>,
    when: ReturnWhen,
    timeout: impl Into<Option<Duration>>,
) -> WaitAsync<F> {
    let deadline = deadline_after(timeout.into());
    let futures = distinct(futures);
    let watch = if when.is_met_by(&futures) {
        None
    } else {
        Some(Watch::over(&futures))
    };
    WaitAsync {
        futures,
        when,
        watch,
        timer: deadline.map(Timer::at),
    }
}

/// The future of [`wait_async`]. Dropping it stops the waiting, and drops the futures that it was given.
///
/// ```
/// use std::time::Duration;
/// use procession::{Promise, ReturnWhen, wait_async};
///
/// let (_promise, future) = Promise::<u8>::new();
/// let waiting = wait_async([&future], ReturnWhen::AllCompleted, Duration::from_millis(1));
/// assert_eq!(futures::executor::block_on(waiting).not_done.len(), 1);
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct WaitAsync<F> {
    futures: Vec<F>,
    when: ReturnWhen,
    /// None once there is nothing to wait for.
    watch: Option<Watch>,
    timer: Option<Timer>,
}

impl<F: Completes> WaitAsync<F> {
    fn poll_met(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(watch) = &mut self.watch else {
            return Poll::Ready(());
        };
        loop {
            match watch.poll_next(context) {
                Poll::Ready(Some(index)) if !self.when.is_met_with(&self.futures[index], watch) => {
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        match &mut self.timer {
            Some(timer) => timer.poll(context),
            None => Poll::Pending,
        }
    }
}

impl<F: Completes> StdFuture for WaitAsync<F> {
    type Output = Waited<F>;

    /// Once it has returned `Ready`, it returns empty lists.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Waited<F>> {
        let this = self.get_mut();
        if this.poll_met(context).is_pending() {
            return Poll::Pending;
        }
        this.watch = None;
        this.timer = None;
        Poll::Ready(Waited::partition(mem::take(&mut this.futures)))
    }
}

// The futures are never pinned: they are looked at through a reference.
impl<F> Unpin for WaitAsync<F> {}

impl<F> fmt::Debug for WaitAsync<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.watch.as_ref().map_or(0, Watch::left);
        f.debug_struct("WaitAsync")
            .field("when", &self.when)
            .field("unfinished", &left)
            .field("total", &self.futures.len())
            .finish()
    }
}

impl ReturnWhen {
    /// Whether it is time to return, with nobody watched yet.
    fn is_met_by<F: Completes>(self, futures: &[F]) -> bool {
        let mut raw = futures.iter().map(|future| future.raw());
        match self {
            _ if futures.is_empty() => true,
            Self::FirstCompleted => raw.any(|raw| raw.is_done()),
            Self::FirstException => {
                futures.iter().any(is_exception) || raw.all(|raw| raw.is_done())
            }
            Self::AllCompleted => raw.all(|raw| raw.is_done()),
        }
    }

    /// Whether it is time to return, now that `ended` has ended.
    fn is_met_with<F: Completes>(self, ended: &F, watch: &Watch) -> bool {
        match self {
            Self::FirstCompleted => true,
            Self::FirstException => is_exception(ended) || watch.left() == 0,
            Self::AllCompleted => watch.left() == 0,
        }
    }
}

impl<F: Completes> Waited<F> {
    fn partition(futures: Vec<F>) -> Self {
        let (done, not_done) = futures
            .into_iter()
            .partition(|future| future.raw().is_done());
        Self { done, not_done }
    }
}

fn is_exception<F: Completes>(future: &F) -> bool {
    let outcome = future.raw().outcome();
    outcome.is_some_and(|outcome| outcome.is_err() && !is_cancellation(outcome))
}
