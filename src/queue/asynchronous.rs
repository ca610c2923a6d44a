//! Items that are awaited.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{Fault, GetError, PutError, got, put_error};
use super::handle::Local;
use super::item::{decode_item, with_buffer};
use super::ring::framed;
use super::transfer::Tried;
use super::watch::{Ticket, Watch};
use crate::sys::Deadline;

/// How long a poll waits for those who copy an item just now, before it leaves the waiting to the thread for it.
const PATIENCE: Duration = Duration::from_micros(200);

/// An item that is to come: what [`Queue::get_async`](super::Queue::get_async) returns.
///
/// Dropped before it is ready, it has taken nothing.
#[must_use = "nothing is taken out of the queue before it is awaited"]
pub struct GetAsync<T> {
    seat: Seat,
    items: PhantomData<fn() -> T>,
}

/// An item that is to go: what [`Queue::put_async`](super::Queue::put_async) returns.
///
/// Dropped before it is ready, it has put nothing.
#[must_use = "nothing is put into the queue before it is awaited"]
pub struct PutAsync<T> {
    seat: Seat,
    /// `None` when it is over.
    value: Option<T>,
    /// What is put, or why it cannot be.
    encoded: Result<Vec<u8>, Option<Refused>>,
}

/// Why an item was refused before it came to the queue.
pub(super) enum Refused {
    Unencodable(String),
    TooLarge(u64),
}

/// One who may be waiting.
struct Seat {
    local: Arc<Local>,
    ticket: Option<Ticket>,
    watch: fn(&Local) -> &Arc<Watch>,
}

impl Seat {
    /// Tries; where that is not to be had now, it is woken when it may be.
    fn poll(
        &mut self,
        context: &Context<'_>,
        frame: u64,
        attempt: impl FnOnce(Deadline) -> Result<Tried, Fault>,
    ) -> Poll<Result<Tried, Fault>> {
        let local = self.local.clone();
        let watch = (self.watch)(&local);
        let ticket = self.ticket.take();
        let was_called = ticket.is_some_and(|ticket| watch.polled(&ticket));
        let tried = attempt(Deadline::after(PATIENCE));
        if was_called && !matches!(tried, Ok(Tried::Done)) {
            watch.pass_on(&local.core);
        }
        let locked_out = match tried {
            Ok(Tried::NotNow) => false,
            Err(Fault::TimedOut) => true,
            tried => return Poll::Ready(tried),
        };
        let waker = context.waker().clone();
        match watch.register(&local.core, waker, frame, locked_out) {
            Ok(ticket) => self.ticket = Some(ticket),
            Err(fault) => return Poll::Ready(Err(fault)),
        }
        Poll::Pending
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            (self.watch)(&self.local).dropped(&ticket, &self.local.core);
        }
    }
}

impl<T> GetAsync<T> {
    pub(super) fn new(local: Arc<Local>) -> Self {
        Self {
            seat: Seat {
                local,
                ticket: None,
                watch: |local| &local.items,
            },
            items: PhantomData,
        }
    }
}

impl<T: DeserializeOwned + 'static> Future for GetAsync<T> {
    type Output = Result<T, GetError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let local = self.seat.local.clone();
        with_buffer(|buffer| {
            let tried = self
                .seat
                .poll(context, 0, |deadline| local.core.try_get(buffer, deadline));
            tried.map(|tried| match got(tried)? {
                true => decode_item(buffer).map_err(GetError::Undecodable),
                false => Err(GetError::Closed),
            })
        })
    }
}

impl<T: Serialize + 'static> PutAsync<T> {
    pub(super) fn new(local: Arc<Local>, value: T, encoded: Result<Vec<u8>, Refused>) -> Self {
        Self {
            seat: Seat {
                local,
                ticket: None,
                watch: |local| &local.space,
            },
            value: Some(value),
            encoded: encoded.map_err(Some),
        }
    }
}

// Nothing in it is pinned.
impl<T> Unpin for PutAsync<T> {}

impl<T> Future for PutAsync<T> {
    type Output = Result<(), PutError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let local = this.seat.local.clone();
        let core = &local.core;
        let max_bytes = core.config.max_bytes;
        let tried = match &mut this.encoded {
            Ok(encoded) => {
                let frame = framed(encoded.len() as u64).unwrap_or(u64::MAX);
                let tried = this.seat.poll(context, frame, |deadline| {
                    match core.try_put(encoded, deadline) {
                        // As `put`: that is not waited for.
                        Ok(Tried::NotNow) if core.config.capacity == 0 => Ok(Tried::Full),
                        tried => tried,
                    }
                });
                match tried {
                    Poll::Ready(tried) => Ok(tried),
                    Poll::Pending => return Poll::Pending,
                }
            }
            Err(refused) => Err(refused.take()),
        };
        let Some(value) = this.value.take() else {
            panic!("a `PutAsync` is not polled after it was ready");
        };
        Poll::Ready(match tried {
            Ok(tried) => put_error(value, tried),
            Err(Some(Refused::TooLarge(bytes))) => Err(PutError::TooLarge {
                value,
                bytes,
                max_bytes,
            }),
            Err(Some(Refused::Unencodable(reason))) => Err(PutError::Unencodable { value, reason }),
            Err(None) => Err(PutError::Closed(value)),
        })
    }
}

impl<T> fmt::Debug for GetAsync<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetAsync").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for PutAsync<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutAsync").finish_non_exhaustive()
    }
}
