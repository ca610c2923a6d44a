//! Awaiting the end of a process.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use super::{Process, outcome, watch};
use crate::error::ProcessError;

/// Awaits the end of a [`Process`], which it borrows ([`Process::join_async`]) or has.
#[must_use = "futures do nothing unless awaited"]
pub struct Joining<'a, R> {
    process: Held<'a, R>,
    /// Its place among those that are woken.
    seat: Option<u64>,
}

enum Held<'a, R> {
    Borrowed(&'a Process<R>),
    Owned(Process<R>),
}

impl<R> Deref for Held<'_, R> {
    type Target = Process<R>;

    fn deref(&self) -> &Process<R> {
        match self {
            Self::Borrowed(process) => process,
            Self::Owned(process) => process,
        }
    }
}

impl<'a, R> Joining<'a, R> {
    pub(super) fn borrow(process: &'a Process<R>) -> Self {
        Self {
            process: Held::Borrowed(process),
            seat: None,
        }
    }
}

impl<R> Joining<'static, R> {
    pub(super) fn own(process: Process<R>) -> Self {
        Self {
            process: Held::Owned(process),
            seat: None,
        }
    }
}

impl<R: DeserializeOwned + 'static> Future for Joining<'_, R> {
    type Output = Result<R, ProcessError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let shared = &this.process.shared;
        let ended = shared.try_end();
        if ended.is_some() || shared.is_elsewhere() {
            return Poll::Ready(outcome(ended));
        }
        // Seated before it is watched: whoever sees the end then sees the seat.
        if !shared.sit(&mut this.seat, context.waker().clone()) {
            return Poll::Ready(outcome(shared.try_end()));
        }
        if let Err(error) = watch::watch(shared) {
            return Poll::Ready(Err(ProcessError::NotWatched(Arc::new(error))));
        }
        Poll::Pending
    }
}

impl<R> Drop for Joining<'_, R> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.process.shared.waiters.stand_up(seat);
        }
    }
}

impl<R> fmt::Debug for Joining<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Joining").field(&*self.process).finish()
    }
}
