//! How a client waits for a server: its thread does, or its task.
//!
//! What is said while a connection is made is the same either way, so it is written once, as futures. Those that block are never pending: whoever
//! has asked for that polls them [`at_once`].

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::future::Timer;
use crate::pipe::reactor::{For, Seat, Watch};
use crate::sys;
use crate::wire::Handle;

/// How something is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// By the thread, which blocks.
    Blocks,
    /// By a task, which the reactor and the timer wake.
    Awaits,
}

impl Pace {
    /// Waits until there is something to read, or room to write, or the socket is at its end; false if the deadline (`None` is never) has passed first.
    pub(crate) async fn ready(
        self,
        socket: &Handle,
        awaited: For,
        deadline: Option<Instant>,
    ) -> io::Result<bool> {
        if self == Self::Blocks {
            return is_ready(socket, awaited, deadline);
        }
        let watch = Watch::new(socket)?;
        let mut seat = Seat::default();
        let ready = poll_fn(|context| {
            // Seated first: what comes after this look wakes the task.
            watch.wake(&mut seat, awaited, context.waker().clone())?;
            match is_ready(socket, awaited, Some(Instant::now())) {
                Ok(false) => Poll::Pending,
                ready => Poll::Ready(ready),
            }
        });
        let ready = within(deadline, ready).await;
        watch.rest(&mut seat);
        ready.unwrap_or(Ok(false))
    }
}

/// Awaits something until the deadline (`None` is never) has passed.
pub(crate) async fn within<F: Future>(deadline: Option<Instant>, awaited: F) -> Option<F::Output> {
    let mut awaited = pin!(awaited);
    let mut timer = deadline.map(Timer::at);
    poll_fn(|context| {
        if let Poll::Ready(value) = awaited.as_mut().poll(context) {
            return Poll::Ready(Some(value));
        }
        match timer.as_mut().map(|timer| timer.poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(None),
            _ => Poll::Pending,
        }
    })
    .await
}

fn is_ready(socket: &Handle, awaited: For, deadline: Option<Instant>) -> io::Result<bool> {
    match awaited {
        For::Room => sys::wait_for_room_until(socket.as_fd(), deadline),
        For::Message | For::Time => Ok(sys::wait_for(&[socket.as_fd()], deadline)? > 0),
    }
}

/// What comes of a future all of whose waits block.
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("what blocks is never pending"),
    }
}
