//! How a message gets into the socket.
//!
//! A message of one packet is one call to the system, which takes all of it or nothing, whoever else sends: no
//! lock is needed. One of several packets holds the turn until its end; when it is given up in between, the
//! receiver is told to forget what came of it.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::mem;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use serde::Serialize;
use smallvec::SmallVec;

use super::end::{End, PACKETS_IN_A_POLL, Patience};
use super::error::SendError;
use super::packet::{ABANDONED, BYTES, FIRST, Header, LAST, Tag};
use super::reactor::{For, Seat};
use super::turn::{Place, Taken};
use crate::primitives::plain::lock;
use crate::sys::{Home, MAX_BESIDE, send_packet, wait_for_room_until};
use crate::wire::{self, Handles};

/// A message on its way.
pub(super) struct Outgoing<'a> {
    payload: Cow<'a, [u8]>,
    handles: Handles,
    flags: u8,
    tag: Tag,
    /// The process that sends it: one that is forked off meanwhile has a copy.
    home: Home,
    /// How much of it the socket has.
    sent: usize,
    handles_sent: usize,
    has_begun: bool,
    is_done: bool,
}

impl<'a> Outgoing<'a> {
    pub(super) fn value<T: Serialize + 'static>(value: &T) -> Result<Self, SendError> {
        let mut payload = Vec::new();
        let (encoded, handles) = wire::handles::collect(|| wire::encode(value, &mut payload));
        encoded.map_err(|error| SendError::NotEncoded {
            type_name: std::any::type_name::<T>(),
            message: error.into_message(),
        })?;
        Ok(Self::new(payload.into(), handles, 0))
    }

    pub(super) fn bytes(bytes: &'a [u8]) -> Self {
        Self::new(bytes.into(), Handles::default(), BYTES)
    }

    fn new(payload: Cow<'a, [u8]>, handles: Handles, flags: u8) -> Self {
        Self {
            payload,
            handles,
            flags,
            tag: Tag::default(),
            home: Home::here(),
            sent: 0,
            handles_sent: 0,
            has_begun: false,
            is_done: false,
        }
    }
}

impl End {
    fn check(&self, message: &Outgoing<'_>) -> Result<(), SendError> {
        let (len, max_message) = (message.payload.len() as u64, self.max_message());
        if len > max_message {
            return Err(SendError::TooLong { len, max_message });
        }
        Ok(())
    }

    fn is_one_packet(&self, message: &Outgoing<'_>) -> bool {
        message.payload.len() <= self.part && message.handles.as_slice().len() <= MAX_BESIDE
    }

    /// Sends a message; nothing of it is received when this fails.
    pub(super) fn send(
        &self,
        mut message: Outgoing<'_>,
        patience: Patience,
    ) -> Result<(), SendError> {
        self.check(&message)?;
        let _turn = if self.is_one_packet(&message) {
            None
        } else {
            let turn = match patience {
                Patience::Never => self.sending.try_take(),
                _ => self.sending.take(patience.deadline()),
            };
            let mut turn = turn.ok_or(SendError::Full)?;
            message.tag = self.next_tag(&mut turn);
            Some(turn)
        };
        let sent = self.send_all(&mut message, patience);
        if sent.is_err() {
            self.abandon(&message);
        }
        sent
    }

    fn send_all(&self, message: &mut Outgoing<'_>, patience: Patience) -> Result<(), SendError> {
        self.tell_what_is_owed();
        while !message.is_done {
            match self.send_next(message, patience == Patience::Forever) {
                Ok(()) if message.is_done || !patience.is_over() => {}
                Ok(()) => return Err(SendError::Full),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if patience == Patience::Never
                        || !wait_for_room_until(self.as_fd(), patience.deadline())?
                    {
                        return Err(SendError::Full);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Sends what finds room, as much as is done in one poll; says whether there may be room for more.
    fn send_some(&self, message: &mut Outgoing<'_>) -> Result<bool, SendError> {
        self.tell_what_is_owed();
        for _ in 0..PACKETS_IN_A_POLL {
            if message.is_done {
                break;
            }
            match self.send_next(message, false) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }

    /// Sends the next packet of a message.
    fn send_next(&self, message: &mut Outgoing<'_>, waits: bool) -> io::Result<()> {
        let bytes = &message.payload[message.sent..];
        let bytes = &bytes[..bytes.len().min(self.part)];
        let all = message.handles.as_slice();
        let handles = &all[message.handles_sent..];
        let handles = &handles[..handles.len().min(MAX_BESIDE)];
        let sent = message.sent + bytes.len();
        let handles_sent = message.handles_sent + handles.len();
        let is_last = sent == message.payload.len() && handles_sent == all.len();
        let mut flags = message.flags;
        if !message.has_begun {
            flags |= FIRST;
        }
        if is_last {
            flags |= LAST;
        }
        let header = Header {
            total: message.payload.len() as u64,
            offset: message.sent as u64,
            tag: message.tag,
            // At most 65535 travel with one payload: `wire::handles` sees to it.
            handles: all.len() as u16,
            beside: handles.len() as u16,
            flags,
        };
        let beside: SmallVec<[BorrowedFd<'_>; 4]> =
            handles.iter().map(|handle| handle.as_fd()).collect();
        let header = header.encode();
        let parts = [IoSlice::new(&header), IoSlice::new(bytes)];
        send_packet(self.as_fd(), &parts, &beside, waits)?;
        message.sent = sent;
        message.handles_sent = handles_sent;
        message.has_begun = true;
        message.is_done = is_last;
        Ok(())
    }

    /// Of the next message that is more than one packet.
    fn next_tag(&self, count: &mut u32) -> Tag {
        *count = count.wrapping_add(1);
        Tag {
            sender: self.sender(),
            number: self.tag.number.wrapping_add(*count),
        }
    }

    /// A number for all that this process sends through this copy of the end.
    fn sender(&self) -> u32 {
        if !self.home.is_elsewhere() {
            return self.tag.sender;
        }
        // Another one in each process that was forked off, since the factor is odd.
        self.tag.sender ^ std::process::id().wrapping_mul(0x9e37_79b1)
    }

    /// Has the receiver told that nothing more comes of a message, if anything has gone out of it.
    fn abandon(&self, message: &Outgoing<'_>) {
        if message.has_begun && !message.is_done && !message.home.is_elsewhere() {
            let owed = (message.home, message.tag);
            *lock(&self.owed) = Some(owed);
            self.owes.store(true, Ordering::Relaxed);
            self.tell_what_is_owed();
        }
    }

    /// Tells the receiver to forget a message that was given up. Where there is no room for that, it is tried again before
    /// the next message; the next long one says the same by itself.
    pub(super) fn tell_what_is_owed(&self) {
        if !self.owes.load(Ordering::Relaxed) {
            return;
        }
        let mut owed = lock(&self.owed);
        let Some((home, tag)) = *owed else { return };
        if !home.is_elsewhere() {
            let header = Header {
                tag,
                flags: ABANDONED,
                ..Header::default()
            };
            let told = send_packet(self.as_fd(), &[IoSlice::new(&header.encode())], &[], false);
            if told.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
        }
        *owed = None;
        self.owes.store(false, Ordering::Relaxed);
    }
}

/// A message that is being sent: what [`Connection::send_async`](super::Connection::send_async) and
/// [`send_bytes_async`](super::Connection::send_bytes_async) make.
///
/// Dropped before its end, it has sent nothing: what has gone out of a long message is forgotten by the
/// receiver.
///
/// ```
/// # futures::executor::block_on(async {
/// let (one, other) = procession::pipe::<String>()?;
/// one.send_async(&"good morning".into()).await?;
/// assert_eq!(other.recv_async().await?, "good morning");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "futures do nothing unless awaited"]
pub struct Sending<'a> {
    end: &'a End,
    message: Result<Outgoing<'a>, Option<SendError>>,
    turn: Option<Taken<'a, u32>>,
    place: Place,
    seat: Seat,
}

impl<'a> Sending<'a> {
    pub(super) fn new(end: &'a End, message: Result<Outgoing<'a>, SendError>) -> Self {
        let checked = message.and_then(|message| end.check(&message).map(|()| message));
        Self {
            end,
            message: checked.map_err(Some),
            turn: None,
            place: Place::default(),
            seat: Seat::default(),
        }
    }
}

impl Sending<'_> {
    /// It is over. The receiver is told while this has the turn.
    fn fail(&mut self, error: SendError) -> SendError {
        if let Ok(message) = mem::replace(&mut self.message, Err(None)) {
            self.end.abandon(&message);
        }
        self.turn = None;
        error
    }
}

impl Future for Sending<'_> {
    type Output = Result<(), SendError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let end = this.end;
        let message = match &mut this.message {
            Ok(message) => message,
            // Polled again after that, it stays what it is: at its end.
            Err(error) => {
                return error
                    .take()
                    .map_or(Poll::Pending, |error| Poll::Ready(Err(error)));
            }
        };
        if message.has_begun && !message.is_done && message.home.is_elsewhere() {
            let forked =
                "a message that another process is sending, from which this one was forked off";
            return Poll::Ready(Err(this.fail(io::Error::other(forked).into())));
        }
        if this.turn.is_none() && !message.is_done && !end.is_one_packet(message) {
            let Poll::Ready(mut turn) = end.sending.poll_take(&mut this.place, context) else {
                return Poll::Pending;
            };
            message.tag = end.next_tag(&mut turn);
            this.turn = Some(turn);
        }
        match end.send_some(message) {
            Ok(_) if message.is_done => {
                this.turn = None;
                Poll::Ready(Ok(()))
            }
            Ok(true) => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Ok(false) => {
                let waker = context.waker().clone();
                let watched = end
                    .watch()
                    .and_then(|watch| watch.wake(&mut this.seat, For::Room, waker));
                match watched {
                    Ok(()) => Poll::Pending,
                    Err(error) => Poll::Ready(Err(this.fail(error.into()))),
                }
            }
            Err(error) => Poll::Ready(Err(this.fail(error))),
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.end.sending.leave(&mut self.place);
        self.end.leave(&mut self.seat);
        if let Ok(message) = &self.message {
            self.end.abandon(message);
        }
    }
}

impl fmt::Debug for Sending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Sending");
        if let Ok(message) = &self.message {
            shown.field("sent", &message.sent);
            shown.field("of", &message.payload.len());
        }
        shown.finish()
    }
}
