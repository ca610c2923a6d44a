//! A call that has errors of its own, and perhaps a time limit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::future::Timer;
use crate::manager::ManagerError;
use crate::manager::client::Calling;
use crate::sys::deadline_after;

/// A call that is on its way, as a [`Calling`] is, whose errors are those of what was called. It has been sent when this is there; awaiting it gives the
/// answer. A time limit counts from the call.
///
/// Dropping it before it is answered cancels it.
///
/// # Panics
///
/// When it is polled after it has given its answer.
#[must_use = "dropping it cancels the call"]
pub struct Attempt<T, E = ManagerError> {
    /// Until it has given its answer.
    calling: Option<Calling<Result<T, E>>>,
    limit: Limit,
    /// What has come of it when its time is over is the server's to say.
    is_exact: bool,
}

/// When a call is given up.
#[derive(Debug)]
enum Limit {
    Never,
    At(Timer),
}

impl<T, E: From<ManagerError>> Attempt<T, E> {
    pub(in crate::manager::proxies) fn new(calling: Calling<Result<T, E>>) -> Self {
        Self {
            calling: Some(calling),
            limit: Limit::Never,
            is_exact: false,
        }
    }

    /// The same, of which the server says whether it was done in time: that is waited for.
    pub(in crate::manager::proxies) fn exactly(self) -> Self {
        Self {
            is_exact: true,
            ..self
        }
    }

    /// The same, which is given up after so long.
    pub(in crate::manager::proxies) fn within(mut self, timeout: Duration) -> Self {
        self.limit = match deadline_after(timeout) {
            Some(deadline) => Limit::At(Timer::at(deadline)),
            None => Limit::Never,
        };
        self
    }

    /// Blocks until it is answered, or the deadline has passed.
    pub(in crate::manager::proxies) fn wait_until(self, deadline: Option<Instant>) -> Result<T, E> {
        match self.calling {
            Some(calling) if self.is_exact => calling.wait_verdict(deadline)?,
            Some(calling) => calling.wait_until(deadline)?,
            None => Err(ManagerError::TimedOut.into()),
        }
    }

    /// Blocks until it is answered.
    pub(in crate::manager::proxies) fn wait(self) -> Result<T, E> {
        match self.calling {
            Some(calling) => calling.wait()?,
            None => Err(ManagerError::TimedOut.into()),
        }
    }

    /// Blocks until it is answered, for at most so long.
    pub(in crate::manager::proxies) fn wait_timeout(self, timeout: Duration) -> Result<T, E> {
        self.wait_until(deadline_after(timeout))
    }
}

// Nothing in it is pinned.
impl<T, E> Unpin for Attempt<T, E> {}

impl<T, E: From<ManagerError>> Future for Attempt<T, E> {
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(calling) = &mut this.calling else {
            panic!("it has given its answer");
        };
        let mut answer = Pin::new(&mut *calling).poll(context);
        if answer.is_pending()
            && let Limit::At(timer) = &mut this.limit
            && timer.poll(context).is_ready()
        {
            if !this.is_exact {
                answer = Poll::Ready(Err(ManagerError::TimedOut));
            } else {
                calling.ask_for_verdict();
                this.limit = Limit::Never;
                answer = Pin::new(&mut *calling).poll(context);
            }
        }
        let answer = std::task::ready!(answer);
        // It is cancelled by this if its time is over.
        this.calling = None;
        this.limit = Limit::Never;
        Poll::Ready(answer?)
    }
}

impl<T, E> fmt::Debug for Attempt<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
