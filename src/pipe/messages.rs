//! All messages of a connection, one after the other.

use std::fmt;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use super::connection::Connection;
use super::end::{End, Patience};
use super::error::RecvError;
use super::receiving::{Message, Waits, to_value};
use crate::future::{Streamable, Streamed, streamed};

/// The messages of a connection until its other end is gone: what
/// [`Connection::messages`](super::Connection::messages) makes. It blocks where there is none yet;
/// [`stream`](Self::stream) awaits instead.
///
/// An error about one message is an item, and the next message comes after it. The end is no error:
/// [`Closed`](RecvError::Closed) ends the iterator, and so does an error of the system, after it was said.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (sender, receiver) = procession::pipe::one_way::<u64>()?;
/// std::thread::spawn(move || (1..=4).try_for_each(|n| sender.send(&n)));
/// let sum: u64 = receiver.messages().sum::<Result<u64, _>>()?;
/// assert_eq!(sum, 10);
/// # Ok(())
/// # }
/// ```
#[must_use = "iterators are lazy"]
pub struct Messages<'a, R> {
    end: &'a End,
    finish: fn(Message<'_>) -> Result<R, RecvError>,
    waits: Waits,
    is_over: bool,
}

impl<'a, R: DeserializeOwned + 'static> Messages<'a, R> {
    pub(super) fn new(end: &'a End) -> Self {
        Self {
            end,
            finish: to_value::<R>,
            waits: Waits::default(),
            is_over: false,
        }
    }

    /// The same messages, to be awaited.
    ///
    /// ```
    /// use futures::StreamExt;
    ///
    /// # futures::executor::block_on(async {
    /// let (sender, receiver) = procession::pipe::one_way::<u64>()?;
    /// sender.send(&1)?;
    /// drop(sender);
    /// let mut messages = receiver.messages().stream();
    /// assert_eq!(messages.next().await.transpose()?, Some(1));
    /// assert_eq!(messages.next().await.transpose()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # }).unwrap();
    /// ```
    pub fn stream(self) -> Streamed<Self> {
        self.into()
    }
}

impl<R> Messages<'_, R> {
    fn item(&mut self, received: Result<R, RecvError>) -> Option<Result<R, RecvError>> {
        if let Err(error) = &received {
            self.is_over = !error.is_about_one_message();
            if matches!(error, RecvError::Closed) {
                return None;
            }
        }
        Some(received)
    }
}

impl<R> Iterator for Messages<'_, R> {
    type Item = Result<R, RecvError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.is_over {
            let received = self.end.receive(Patience::Forever, self.finish);
            if let Some(received) = received.transpose() {
                return self.item(received);
            }
        }
        None
    }
}

impl<R> std::iter::FusedIterator for Messages<'_, R> {}

impl<R> streamed::sealed::Sealed for Messages<'_, R> {}

impl<R> Streamable for Messages<'_, R> {
    fn poll_item(&mut self, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = self.end.poll_receive(&mut self.waits, context, self.finish);
        polled.map(|received| self.item(received))
    }

    fn is_over(&self) -> bool {
        self.is_over
    }
}

impl<R> Drop for Messages<'_, R> {
    fn drop(&mut self) {
        self.waits.leave(self.end);
    }
}

impl<R> fmt::Debug for Messages<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}

impl<'a, S, R: DeserializeOwned + 'static> IntoIterator for &'a Connection<S, R> {
    type Item = Result<R, RecvError>;
    type IntoIter = Messages<'a, R>;

    fn into_iter(self) -> Messages<'a, R> {
        self.messages()
    }
}
