//! Calls that wait to be sent, because there is no connection yet, or too much is queued already.
//!
//! The first calls of a proxy that has travelled find no connection. A thread makes it when it waits for such a call; tasks that await some make one together.
//!
//! A call is sent when it is made, if there is room: if no more than [`MAX_QUEUED`](super::connection::sending::MAX_QUEUED) bytes wait for the socket to take them. Else it keeps its
//! request, and is sent when a thread waits for it, or a task awaits it, and there is room. Whoever waits is woken when half of that is left. All are: those who
//! find that others were quicker wait again.
//!
//! The reactor makes the room, so it never waits for it: what a callback or waker that it runs asks for is sent.

use std::collections::BTreeMap;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker, ready};
use std::thread::{self, Thread};
use std::time::Instant;

use super::calling::{OnItsWay, Undo};
use super::calls::Begin;
use super::remote::Remote;
use super::site::Connecting;
use crate::manager::ManagerError;
use crate::pipe::reactor;

/// Who waits for room.
#[derive(Default)]
pub(super) struct Waiting {
    /// By their seats.
    wakers: BTreeMap<u64, Waker>,
    last_seat: u64,
}

/// Those who are to be told that there is some, when the lock has been left.
#[derive(Default)]
#[must_use]
pub(super) struct Woken(BTreeMap<u64, Waker>);

impl Waiting {
    fn enter(&mut self, seat: &mut Option<u64>, waker: Waker) -> Option<Waker> {
        let seat = *seat.get_or_insert_with(|| {
            self.last_seat += 1;
            self.last_seat
        });
        self.wakers.insert(seat, waker)
    }

    pub(super) fn leave(&mut self, seat: u64) -> Option<Waker> {
        self.wakers.remove(&seat)
    }

    pub(super) fn take(&mut self) -> Woken {
        Woken(std::mem::take(&mut self.wakers))
    }
}

impl Woken {
    pub(super) fn wake(self) {
        for waker in self.0.into_values() {
            let _ = crate::future::contain::contain(|| waker.wake());
        }
    }
}

/// A call that has not been sent.
pub(super) struct Unsent {
    remote: Remote,
    frame: Vec<u8>,
    pub(super) undo: Option<Undo>,
    /// Its place among those who wait.
    seat: Option<u64>,
    /// What it awaits, where there is no connection.
    connecting: Option<Connecting>,
    /// Its time was over before it could be sent.
    pub(super) is_late: bool,
}

/// Wakes a thread that waits for room.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Unsent {
    pub(super) fn new(remote: Remote, frame: Vec<u8>) -> Self {
        Self {
            remote,
            frame,
            undo: None,
            seat: None,
            connecting: None,
            is_late: false,
        }
    }

    /// Whether there is a connection, or can be none.
    pub(super) fn is_connected(&self) -> bool {
        self.remote.site().is_settled()
    }

    /// Whether it can be sent now.
    pub(super) fn is_ready(&self) -> bool {
        if !self.is_connected() {
            return false;
        }
        let room = self
            .remote
            .with(|ear| Ok(ear.connection.has_room_or(|_| ()).is_ok()));
        // What is wrong, sending says.
        room.unwrap_or(true) || reactor::is_here()
    }

    /// Whether it can be sent; if not, the task is woken when it can.
    pub(super) fn poll_ready(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), ManagerError>> {
        if !self.is_connected() {
            let site = self.remote.site();
            let connecting = self.connecting.get_or_insert_with(|| site.connecting());
            ready!(Pin::new(connecting).poll(context))?;
        }
        self.connecting = None;
        self.poll_room(context.waker()).map(Ok)
    }

    /// Whether there is room, or nothing to wait for; if not, the task is woken when there is.
    fn poll_room(&mut self, waker: &Waker) -> Poll<()> {
        if reactor::is_here() {
            return Poll::Ready(());
        }
        let (remote, seat) = (self.remote.clone(), &mut self.seat);
        // A waker's code is not run under the lock.
        let waker = waker.clone();
        let room = remote.with(|ear| {
            Ok(ear
                .connection
                .has_room_or(|waiting| waiting.enter(seat, waker)))
        });
        match room {
            Ok(Err(replaced)) => {
                drop(replaced);
                Poll::Pending
            }
            // What is wrong, sending says.
            Ok(Ok(())) | Err(_) => Poll::Ready(()),
        }
    }

    /// Blocks until there is a connection, and room; false, if the deadline (`None` is never) has passed before.
    pub(super) fn wait_until_ready(&mut self, deadline: Option<Instant>) -> bool {
        let waker = Waker::from(Arc::new(Parked(thread::current())));
        while self.poll_room(&waker).is_pending() {
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => thread::park(),
                Some(left) if left.is_zero() => return false,
                Some(left) => thread::park_timeout(left),
            }
        }
        true
    }

    pub(super) fn send(mut self) -> Result<OnItsWay, ManagerError> {
        let frame = std::mem::take(&mut self.frame);
        let number = self.remote.begin(frame, Begin::Asked)?;
        if self.is_late {
            self.remote.cancel(number);
        }
        Ok(OnItsWay::new(self.remote.clone(), number, self.undo))
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        if let Some(seat) = self.seat
            && let Some(connection) = self.remote.site().connected_here()
        {
            connection.leave_room(seat);
        }
    }
}
