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
use super::end::{End, PACKETS_IN_A_POLL, Patience};
use super::error::RecvError;
use super::packet::{HEADER_LEN, MAX_PART};
use super::reactor::{For, Seat};
use super::turn::{Place, Taken};
use crate::sys::{has_ended, readable, receive_packet, wait_for};
use crate::wire::{self, Carried, Handles};

type Incoming = Assembler<Arc<Carried>>;

thread_local! {
    /// Where packets go that are no part of a long message. Each thread has one, not each connection.
    static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
}

/// How long packets are taken of which none makes a message whole, though others come all the time.
#[derive(Clone, Copy)]
enum Take {
    /// As long as there is time; then those that are there.
    InTime(Patience),
    /// So many.
    AtMost(usize),
}

/// What taking packets has made.
enum Took {
    Step(Step<Arc<Carried>>),
    /// There are none, or the time is up.
    Nothing,
    /// Those that were to be taken made nothing whole, and there may be more.
    Enough,
}

/// What a call that receives has got.
enum Got<R> {
    Message(R),
    Nothing,
    Enough,
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
        let Some(turn) = turn else { return Ok(None) };
        Ok(
            match self.receive_in_turn(turn, Take::InTime(patience), finish)? {
                Got::Message(message) => Some(message),
                Got::Nothing | Got::Enough => None,
            },
        )
    }

    fn receive_in_turn<R>(
        &self,
        mut turn: Taken<'_, Incoming>,
        take: Take,
        finish: impl FnOnce(Message<'_>) -> Result<R, RecvError>,
    ) -> Result<Got<R>, RecvError> {
        let scratch = SCRATCH.take();
        let mut scratch = scratch.unwrap_or_else(|| vec![0; MAX_PART].into_boxed_slice());
        let took = self.next_message(&mut turn, &mut scratch, take);
        drop(turn);
        let received = match took {
            Ok(Took::Step(Step::Small {
                len,
                is_bytes,
                handles,
            })) => finish(Message {
                payload: Cow::Borrowed(&scratch[..len]),
                is_bytes,
                handles: Handles::new(handles),
            })
            .map(Got::Message),
            Ok(Took::Step(Step::Large {
                payload,
                is_bytes,
                handles,
            })) => finish(Message {
                payload: Cow::Owned(payload),
                is_bytes,
                handles: Handles::new(handles),
            })
            .map(Got::Message),
            Ok(Took::Step(Step::Failed(error))) => Err(error),
            Ok(Took::Step(Step::More) | Took::Enough) => Ok(Got::Enough),
            Ok(Took::Nothing) => Ok(Got::Nothing),
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
        take: Take,
    ) -> io::Result<Took> {
        let patience = match take {
            Take::InTime(patience) => patience,
            Take::AtMost(_) => Patience::Never,
        };
        let mut count = 0;
        loop {
            match self.next_packet(incoming, scratch, patience == Patience::Forever) {
                Ok(Step::More) => count += 1,
                Ok(step) => return Ok(Took::Step(step)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if patience == Patience::Never || !self.wait_readable(patience)? {
                        return Ok(Took::Nothing);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            }
            let is_last = match take {
                Take::InTime(patience) => patience == Patience::Never || patience.is_over(),
                Take::AtMost(most) if count >= most => return Ok(Took::Enough),
                Take::AtMost(_) => false,
            };
            if is_last {
                return self.take_what_is_there(incoming, scratch);
            }
        }
    }

    /// Takes the packets that are there by now, however many come meanwhile.
    fn take_what_is_there(&self, incoming: &mut Incoming, scratch: &mut [u8]) -> io::Result<Took> {
        let mut left = readable(self.as_fd());
        while left > 0 {
            match self.take_packet(incoming, scratch, false) {
                // At least a header: what is shorter is an error, which is told at once.
                Ok((Step::More, len)) => left = left.saturating_sub(len.max(1)),
                Ok((step, _)) => return Ok(Took::Step(step)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Took::Nothing);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Took::Enough)
    }

    pub(super) fn next_packet(
        &self,
        incoming: &mut Incoming,
        scratch: &mut [u8],
        waits: bool,
    ) -> io::Result<Step<Arc<Carried>>> {
        self.take_packet(incoming, scratch, waits)
            .map(|(step, _)| step)
    }

    /// The same, and how long the packet was.
    fn take_packet(
        &self,
        incoming: &mut Incoming,
        scratch: &mut [u8],
        waits: bool,
    ) -> io::Result<(Step<Arc<Carried>>, usize)> {
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
            return Ok((Step::Failed(incoming.end()), 0));
        }
        let Some(len) = packet.len.checked_sub(HEADER_LEN) else {
            let failed = RecvError::Malformed("it is shorter than a header");
            return Ok((Step::Failed(failed), packet.len));
        };
        if packet.is_cut {
            let failed = RecvError::Malformed("it is longer than any packet");
            return Ok((Step::Failed(failed), packet.len));
        }
        let came = Came {
            head: &head,
            len,
            scratch,
            handles: packet.descriptors.into_iter().map(Arc::new).collect(),
            has_lost_handles: packet.has_lost_descriptors,
        };
        Ok((incoming.accept(came, self.max_message()), packet.len))
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
        match self.receive_in_turn(turn, Take::AtMost(PACKETS_IN_A_POLL), finish) {
            Ok(Got::Message(message)) => return Poll::Ready(Ok(message)),
            Err(error) => return Poll::Ready(Err(error)),
            Ok(Got::Enough) => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Ok(Got::Nothing) => {}
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
