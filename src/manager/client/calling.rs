//! One call, until it is answered.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::manager::ManagerError;

/// A call to a manager's object that is on its way. It has been sent when this is there; awaiting it gives the answer.
///
/// Dropping it before it is answered cancels it: what it might still have been given, an item of a queue or a lock, is given back.
#[must_use = "dropping it cancels the call"]
pub struct Calling<T> {
    answer: PhantomData<fn() -> T>,
}

impl<T> Calling<T> {
    /// Blocks until it is answered.
    pub(crate) fn wait(self) -> Result<T, ManagerError> {
        unimplemented!()
    }

    /// Blocks until it is answered, or the deadline (`None` is never) has passed: then it is cancelled, and this says [`ManagerError::TimedOut`].
    pub(crate) fn wait_until(self, _deadline: Option<Instant>) -> Result<T, ManagerError> {
        unimplemented!()
    }

    /// One that was not even sent.
    pub(crate) fn failed(_error: ManagerError) -> Self {
        unimplemented!()
    }

    /// Calls `callback` with its end: now, if that is there, or from whatever thread comes to read it. It must not block. From then on, the call is
    /// not cancelled any more.
    pub(crate) fn then(self, _callback: impl FnOnce(Result<T, ManagerError>) + Send + 'static)
    where
        T: 'static,
    {
        unimplemented!()
    }

    /// Says how to undo what an answer has brought that nobody waits for any more: given the encoded answer, the request that undoes it,
    /// for the same object, encoded.
    pub(crate) fn undone_by(self, _undo: fn(&[u8]) -> Option<Vec<u8>>) -> Self {
        unimplemented!()
    }
}

impl<T> std::future::Future for Calling<T> {
    type Output = Result<T, ManagerError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        unimplemented!()
    }
}
