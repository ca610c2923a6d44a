//! How a message gets out of the socket.
//!
//! Whoever receives holds the turn, also while it sleeps in the system. Nothing is read ahead: at most a part of one message,
//! of several packets, is in this process and not with its receiver. Packets go into the memory of the message that they go on
//! with; a message that is one packet stays in scratch memory of the thread, and is decoded from there.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde::de::DeserializeOwned;

use super::assembler::{Assembler, Came, Step};
use super::end::{End, Patience};
use super::error::RecvError;
use super::packet::{HEADER_LEN, MAX_PART};
use super::reactor::{For, Seat};
use super::turn::{Place, Taken};
use crate::sys::{has_ended, receive_packet, wait_for};
use crate::wire::{self, Carried, Handles};

type Incoming = Assembler<Arc<Carried>>;

thread_local! {
    /// Where packets go that are no part of a long message. Each thread has one, not each connection.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// A message, whole.
pub(super) struct Message<'a> {
    payload: Cow<'a, [u8]>,
    is_bytes: bool,
    handles: Handles,
}

/// The value that a message is.
pub(super) fn to_value<T: DeserializeOwned + 'static>(
    message: Message<'_>,
) -> Result<T, RecvError> {
    let not_decoded = |why: String| RecvError::NotDecoded {
        type_name: std::any::type_name::<T>(),
        message: why,
        payload: message.payload.to_vec(),
    };
    if message.is_bytes {
        return Err(not_decoded("it was sent as bytes".to_owned()));
    }
    wire::handles::provide(&message.handles, || wire::decode(&message.payload))
        .map_err(|error| not_decoded(error.into_message()))
}

/// Its bytes, not copied where they have memory of their own.
pub(super) fn to_bytes(message: Message<'_>) -> Result<Vec<u8>, RecvError> {
    Ok(message.payload.into_owned())
}

/// Its bytes, copied to the front of a buffer.
pub(super) fn into_buffer(message: Message<'_>, buffer: &mut [u8]) -> Result<usize, RecvError> {
    match buffer.get_mut(..message.payload.len()) {
        Some(place) => {
            place.copy_from_slice(&message.payload);
            Ok(place.len())
        }
        None => Err(RecvError::BufferTooShort {
            message: message.payload.into_owned(),
        }),
    }
}

impl End {
    /// Receives a message; `None` when there was none in time. `finish` runs with no lock held.
    pub(super) fn receive<R>(
        &self,
        patience: Patience,
        finish: impl FnOnce(Message<'_>) -> Result<R, RecvError>,
    ) -> Result<Option<R>, RecvError> {
        let turn = match patience {
            Patience::Never => self.receiving.try_take(),
            _ => self.receiving.take(patience.deadline()),
        };
        match turn {
            Some(turn) => self.receive_in_turn(turn, patience, finish),
            None => Ok(None),
        }
    }

    fn receive_in_turn<R>(
        &self,
        mut turn: Taken<'_, Incoming>,
        patience: Patience,
        finish: impl FnOnce(Message<'_>) -> Result<R, RecvError>,
    ) -> Result<Option<R>, RecvError> {
        let scratch = SCRATCH.take();
        let mut scratch = scratch.unwrap_or_else(|| vec![0; MAX_PART].into_boxed_slice());
        let step = self.next_message(&mut turn, &mut scratch, patience);
        drop(turn);
        let received = match step {
            Ok(Some(Step::Small {
                len,
                is_bytes,
                handles,
            })) => finish(Message {
                payload: Cow::Borrowed(&scratch[..len]),
                is_bytes,
                handles: Handles::new(handles),
            })
            .map(Some),
            Ok(Some(Step::Large {
                payload,
                is_bytes,
                handles,
            })) => finish(Message {
                payload: Cow::Owned(payload),
                is_bytes,
                handles: Handles::new(handles),
            })
            .map(Some),
            Ok(Some(Step::Failed(error))) => Err(error),
            Ok(Some(Step::More) | None) => Ok(None),
            Err(error) => Err(error.into()),
        };
        SCRATCH.set(Some(scratch));
        received
    }

    /// Takes packets until they have made something.
    fn next_message(
        &self,
        incoming: &mut Incoming,
        scratch: &mut [u8],
        patience: Patience,
    ) -> io::Result<Option<Step<Arc<Carried>>>> {
        loop {
            match self.next_packet(incoming, scratch, patience == Patience::Forever) {
                Ok(Step::More) => {}
                Ok(step) => return Ok(Some(step)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if patience == Patience::Never || !self.wait_readable(patience)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn next_packet(
        &self,
        incoming: &mut Incoming,
        scratch: &mut [u8],
        waits: bool,
    ) -> io::Result<Step<Arc<Carried>>> {
        let mut head = [0; HEADER_LEN];
        let room = incoming.room();
        let spill = MAX_PART - room.len();
        let mut buffers = [
            IoSliceMut::new(&mut head),
            IoSliceMut::new(room),
            IoSliceMut::new(&mut scratch[..spill]),
        ];
        let packet = receive_packet(self.as_fd(), &mut buffers, waits)?;
        if packet.len == 0 && packet.descriptors.is_empty() && has_ended(self.as_fd()) {
            return Ok(Step::Failed(incoming.end()));
        }
        let Some(len) = packet.len.checked_sub(HEADER_LEN) else {
            return Ok(Step::Failed(RecvError::Malformed(
                "it is shorter than a header",
            )));
        };
        if packet.is_cut {
            return Ok(Step::Failed(RecvError::Malformed(
                "it is longer than any packet",
            )));
        }
        let came = Came {
            head: &head,
            len,
            scratch,
            handles: packet.descriptors.into_iter().map(Arc::new).collect(),
            has_lost_handles: packet.has_lost_descriptors,
        };
        Ok(incoming.accept(came, self.max_message()))
    }

    /// Waits until something can be received, or nothing ever will; false when the time is up first.
    pub(super) fn wait_readable(&self, patience: Patience) -> io::Result<bool> {
        let deadline = match patience {
            Patience::Never => Some(std::time::Instant::now()),
            _ => patience.deadline(),
        };
        loop {
            if wait_for(&[self.as_fd()], deadline)? != 0 {
                return Ok(true);
            }
            if deadline.is_some_and(|deadline| deadline <= std::time::Instant::now()) {
                return Ok(false);
            }
        }
    }
}

/// A message that is awaited: what [`Connection::recv_async`](super::Connection::recv_async) and
/// [`recv_bytes_async`](super::Connection::recv_bytes_async) make.
///
/// Dropped before its end, it has taken no message: whoever receives next gets it.
///
/// ```
/// # futures::executor::block_on(async {
/// let (one, other) = procession::pipe::<u64>()?;
/// one.send(&7)?;
/// assert_eq!(other.recv_async().await?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Receiving<'a, T> {
    end: &'a End,
    finish: fn(Message<'_>) -> Result<T, RecvError>,
    waits: Waits,
}

/// Where a task waits to receive.
#[derive(Debug, Default)]
pub(super) struct Waits {
    place: Place,
    seat: Seat,
}

impl Waits {
    pub(super) fn leave(&mut self, end: &End) {
        end.receiving.leave(&mut self.place);
        end.leave(&mut self.seat);
    }
}

impl End {
    pub(super) fn poll_receive<T>(
        &self,
        waits: &mut Waits,
        context: &mut Context<'_>,
        finish: fn(Message<'_>) -> Result<T, RecvError>,
    ) -> Poll<Result<T, RecvError>> {
        let Poll::Ready(turn) = self.receiving.poll_take(&mut waits.place, context) else {
            return Poll::Pending;
        };
        if let Some(received) = self
            .receive_in_turn(turn, Patience::Never, finish)
            .transpose()
        {
            return Poll::Ready(received);
        }
        let waker = context.waker().clone();
        let watched = self
            .watch()
            .and_then(|watch| watch.wake(&mut waits.seat, For::Message, waker));
        match watched {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error.into())),
        }
    }
}

impl<'a, T> Receiving<'a, T> {
    pub(super) fn new(end: &'a End, finish: fn(Message<'_>) -> Result<T, RecvError>) -> Self {
        Self {
            end,
            finish,
            waits: Waits::default(),
        }
    }
}

impl<T> Future for Receiving<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.end.poll_receive(&mut this.waits, context, this.finish)
    }
}

impl<T> Drop for Receiving<'_, T> {
    fn drop(&mut self) {
        self.waits.leave(self.end);
    }
}

impl<T> fmt::Debug for Receiving<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").finish_non_exhaustive()
    }
}
