//! Iterators that block, as streams that do not.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::stream::{FusedStream, Stream};

/// The stream of a [`Map`](crate::Map), a [`TryMap`](crate::TryMap), an [`AsCompleted`](crate::AsCompleted) or an
/// [`AsCompletedTimeout`](crate::AsCompletedTimeout): the same items, awaited instead of waited for. Made by
/// their `stream` methods.
///
/// It is a type of its own because one that is both an iterator and a stream leaves the compiler to
/// ask, wherever `StreamExt` is imported, whose `next`, `map` or `collect` is meant.
#[must_use = "streams are lazy"]
pub struct Streamed<M>(pub(crate) M);

impl<M: Streamable> From<M> for Streamed<M> {
    fn from(blocking: M) -> Self {
        Self(blocking)
    }
}

/// What can be made a [`Streamed`]. Sealed.
pub trait Streamable: Iterator + sealed::Sealed {
    /// The next item, or the task is woken when there may be one.
    #[doc(hidden)]
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>>;

    /// Whether there will be no more.
    #[doc(hidden)]
    fn is_over(&self) -> bool;
}

/// What is between an iterator's items and its stream's is ours to change.
pub(crate) mod sealed {
    pub trait Sealed {}
}

impl<M: Streamable> Stream for Streamed<M> {
    type Item = M::Item;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<M::Item>> {
        self.get_mut().0.poll_item(context)
    }
}

impl<M: Streamable> FusedStream for Streamed<M> {
    fn is_terminated(&self) -> bool {
        self.0.is_over()
    }
}

// What is inside is never pinned: items are moved out of it.
impl<M> Unpin for Streamed<M> {}

impl<M: fmt::Debug> fmt::Debug for Streamed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Streamed").field(&self.0).finish()
    }
}
