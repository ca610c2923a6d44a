//! Several connections at once, awaited.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::reactor::{For, Seat, Watch};
use super::wait::{Waitable, look};
use crate::future::Timer;
use crate::sys::{any_of, deadline_after};
use crate::wire::Handle;

/// [`wait`](super::wait()), to be awaited in any runtime: the places of exactly those that are ready, or an empty list when the time is up.
///
/// The time limit counts from this call; it is kept by a thread, `procession-timer`, that is there while such limits are. Who has to wait
/// needs one more descriptor meanwhile, however many are waited for, and the thread `procession-connections`. To have the future go from
/// thread to thread, make things of several types `&(dyn Waitable + Sync)`. Dropped before its end, it has changed nothing.
///
/// # Errors
///
/// As [`wait`](super::wait()), and where the system has no descriptor or no thread for it.
///
/// ```
/// use procession::pipe::{self, Waitable};
/// # use std::time::Duration;
///
/// # futures::executor::block_on(async {
/// let (first, _theirs) = procession::pipe::<u64>()?;
/// let (second, theirs) = procession::pipe::<String>()?;
/// let all: [&(dyn Waitable + Sync); 2] = [&first, &second];
///
/// let soon = Some(Duration::from_millis(1));
/// assert!(pipe::wait_async(&all, soon).await?.is_empty());
/// theirs.send(&"here".into())?;
/// assert_eq!(pipe::wait_async(&all, None).await?, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub fn wait_async<W: Waitable>(over: &[W], timeout: Option<Duration>) -> WaitAsync<'_, W> {
    WaitAsync {
        over,
        deadline: timeout.and_then(deadline_after),
        timer: None,
        watched: None,
    }
}

/// The future of [`wait_async`]. Dropping it stops the waiting.
///
/// ```
/// use std::time::Duration;
/// use procession::pipe;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (here, _there) = procession::pipe::<u64>()?;
/// let ends = [here];
/// let waiting = pipe::wait_async(&ends, Some(Duration::from_millis(1)));
/// assert!(futures::executor::block_on(waiting)?.is_empty());
/// # Ok(())
/// # }
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct WaitAsync<'a, W> {
    /// Empty when it is over.
    over: &'a [W],
    deadline: Option<Instant>,
    timer: Option<Timer>,
    watched: Option<Watched>,
}

/// All of them, in the reactor, as one descriptor: it is readable when one of them is.
struct Watched {
    watch: Watch,
    seat: Seat,
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Whoever waited knows that it is over.
        self.watch.leave(&mut self.seat);
    }
}

impl<W: Waitable> WaitAsync<'_, W> {
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Vec<usize>>> {
        let ready = look(self.over)?;
        if !ready.is_empty() || self.over.is_empty() {
            return Poll::Ready(Ok(ready));
        }
        if let Some(deadline) = self.deadline {
            let timer = self.timer.get_or_insert_with(|| Timer::at(deadline));
            if timer.poll(context).is_ready() {
                return Poll::Ready(Ok(ready));
            }
        }
        let known = self.watched.take();
        let mut watched = match known.filter(|known| !known.watch.is_elsewhere()) {
            Some(watched) => watched,
            None => self.watch()?,
        };
        let waker = context.waker().clone();
        // It fires for what has become ready since.
        let armed = watched.watch.wake(&mut watched.seat, For::Message, waker);
        self.watched = Some(watched);
        armed?;
        Poll::Pending
    }

    fn watch(&self) -> io::Result<Watched> {
        let descriptors: Vec<_> = self
            .over
            .iter()
            .map(|it| it.ready_when_readable())
            .collect();
        let all = Handle::from(any_of(&descriptors)?);
        Ok(Watched {
            watch: Watch::new(&all)?,
            seat: Seat::default(),
        })
    }
}

impl<W: Waitable> Future for WaitAsync<'_, W> {
    type Output = io::Result<Vec<usize>>;

    /// Once it has returned `Ready`, it returns empty lists.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let polled = this.poll_ready(context);
        if polled.is_ready() {
            this.over = &[];
            drop(mem::take(&mut this.watched));
            this.timer = None;
        }
        polled
    }
}

impl<W> fmt::Debug for WaitAsync<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAsync")
            .field("over", &self.over.len())
            .field("deadline", &self.deadline)
            .finish()
    }
}
