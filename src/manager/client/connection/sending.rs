//! How requests get out.
//!
//! Whoever has something to send appends it under the lock of what goes out, and writes as much as the socket takes. Nobody waits for the socket: what is left
//! stays queued, and the reactor goes on with it when there is some. `is_watched` says that it will. It is set under the lock by whoever leaves something behind, who then unlocks
//! and arms; the reactor takes it back under the lock before it writes. So while something is queued, somebody has armed or is about to.
//!
//! A new call waits while more than [`MAX_QUEUED`] are queued ([`room`](crate::manager::client::room)): so what a slow server has not taken does not grow without bound. What gives something back does not
//! wait: it is short, and belongs to something that was taken.
//!
//! What is let go of is put together: the first grants that are given back go at once, those that follow within [`RELEASE_PAUSE`] in one frame, with the next thing that
//! is sent or by the reactor at its end. (Where there is no reactor to be had, each goes at once.)
//!
//! Where there is no reactor to be had (it needs two descriptors and a thread), there is nobody who would go on: then whoever sends more than the socket takes waits for it after all.
//!
//! A write that fails ends the socket, for reading as well: whoever reads finds the answers that came before, and then the end.

use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use super::{Connection, Out};
use crate::frame::{self, Header, Kind};
use crate::manager::client::room::{Waiting, Woken};
use crate::manager::protocol::ObjectId;
use crate::pipe::reactor::For;
use crate::primitives::plain::lock;
use crate::sys;
use crate::wire;

/// How many bytes may be queued, before new calls wait until there are half as many.
pub(in crate::manager::client) const MAX_QUEUED: usize = 16 << 20;

/// What is let go of within so long is told by one frame.
const RELEASE_PAUSE: Duration = Duration::from_millis(1);

/// Or so many objects: in the shortest frame that a server may allow (4 KiB) there is room for them.
const RELEASED_AT_ONCE: usize = 200;

/// How long whoever sends waits for the socket where there is no reactor, while nothing moves. Then the connection is given up.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// How long it waits then for room, before it looks again whether something has come.
const A_MOMENT: Duration = Duration::from_millis(1);

impl Connection {
    /// Sends one or more whole frames. Never waits while there is a reactor.
    pub(in crate::manager::client) fn send(&self, frames: Vec<u8>) {
        let mut out = lock(&self.out);
        if out.has_ended {
            return;
        }
        out.push_released();
        out.outgoing.push(frames);
        if !out.is_watched {
            self.flush(out);
        }
    }

    /// Gives grants of an object back, now or soon. Never waits while there is a reactor.
    pub(in crate::manager::client) fn release(&self, object: ObjectId, grants: u64) {
        let mut out = lock(&self.out);
        if out.has_ended {
            return;
        }
        out.released.push((object, grants));
        let now = Instant::now();
        let told = out.released_at;
        if told.is_none_or(|told| now.saturating_duration_since(told) >= RELEASE_PAUSE)
            || out.released.len() >= RELEASED_AT_ONCE
        {
            return self.tell_released(out, now);
        }
        if out.is_releasing {
            return;
        }
        out.is_releasing = true;
        drop(out);
        let waker = self.releaser.clone();
        let told = self.watch().and_then(|watch| {
            let seat = &mut lock(&self.seats).releasing;
            watch.wake_at(seat, now + RELEASE_PAUSE, waker)
        });
        if told.is_err() {
            self.release_all();
        }
    }

    /// Tells what has been let go of.
    pub(super) fn release_all(&self) {
        let mut out = lock(&self.out);
        out.is_releasing = false;
        if !out.has_ended && !out.released.is_empty() {
            self.tell_released(out, Instant::now());
        }
    }

    fn tell_released(&self, mut out: MutexGuard<'_, Out>, now: Instant) {
        out.released_at = Some(now);
        out.push_released();
        if !out.is_watched {
            self.flush(out);
        }
    }

    fn flush(&self, mut out: MutexGuard<'_, Out>) {
        let (flushed, woken) = out.flush();
        drop(out);
        woken.wake();
        match flushed {
            Ok(true) => {}
            Ok(false) => {
                let waker = self.flusher.clone();
                let watched = self
                    .watch()
                    .and_then(|watch| watch.wake(&mut lock(&self.seats).writing, For::Room, waker));
                if let Err(error) = watched
                    && !self.flush_here()
                {
                    let mut out = lock(&self.out);
                    out.has_ended = true;
                    let woken = out.waiting.take();
                    drop(out);
                    sys::end_socket(self.socket.as_fd());
                    self.calls.lose(Some(Arc::new(error)));
                    woken.wake();
                }
            }
            Err(_) => sys::end_socket(self.socket.as_fd()),
        }
    }

    /// Goes on with what is queued, where there is no reactor that would; with what comes meanwhile, too, or the server might not read. False
    /// where nothing moves any more.
    fn flush_here(&self) -> bool {
        let socket = self.socket.as_fd();
        let mut until = Instant::now() + STUCK_AFTER;
        loop {
            let mut out = lock(&self.out);
            let before = out.outgoing.len();
            let (flushed, woken) = out.flush();
            let has_moved = out.outgoing.len() < before;
            drop(out);
            woken.wake();
            match flushed {
                Ok(true) => return true,
                Ok(false) if !self.is_lost() => {}
                Ok(false) | Err(_) => return false,
            }
            match sys::wait_for_either(socket, until) {
                // What comes is read here, if nobody else does.
                Ok(Some(has_come)) => {
                    if has_moved || has_come {
                        until = Instant::now() + STUCK_AFTER;
                    }
                    if has_come {
                        self.listener.wake_by_ref();
                        // Whoever else is reading needs a moment for it.
                        let _ = sys::wait_for_room_until(socket, Some(Instant::now() + A_MOMENT));
                    }
                }
                Ok(None) | Err(_) => return false,
            }
        }
    }

    /// Whether a new call may be sent; if not, `wait` is done under the lock.
    pub(in crate::manager::client) fn has_room_or<R>(
        &self,
        wait: impl FnOnce(&mut Waiting) -> R,
    ) -> Result<(), R> {
        let mut out = lock(&self.out);
        match out.has_ended || out.outgoing.len() <= MAX_QUEUED {
            true => Ok(()),
            false => Err(wait(&mut out.waiting)),
        }
    }

    /// Does not wait for room any more.
    pub(in crate::manager::client) fn leave_room(&self, seat: u64) {
        let left = lock(&self.out).waiting.leave(seat);
        drop(left);
    }

    /// There may be room for what is queued.
    pub(super) fn flush_more(&self) {
        let mut out = lock(&self.out);
        if mem::take(&mut out.is_watched) {
            self.flush(out);
        }
    }
}

impl Out {
    /// Writes what the socket takes: whether that is all, and who waits for room and has some now.
    fn flush(&mut self) -> (io::Result<bool>, Woken) {
        let flushed = self.outgoing.flush();
        self.has_ended |= flushed.is_err();
        self.is_watched = matches!(flushed, Ok(false));
        let woken = match self.has_ended || self.outgoing.len() <= MAX_QUEUED / 2 {
            true => self.waiting.take(),
            false => Woken::default(),
        };
        (flushed, woken)
    }

    /// Queues the frame that tells what has been let go of, if anything has.
    fn push_released(&mut self) {
        if self.released.is_empty() {
            return;
        }
        let mut frame = Vec::with_capacity(frame::HEADER_LEN + 4 * self.released.len() + 4);
        let start = frame::begin(&mut frame);
        // Numbers encode; and what could not be told, the end of the connection tells.
        if wire::encode(&self.released, &mut frame).is_ok() {
            frame::finish(&mut frame, start, Header::new(Kind::Release, 0, 0));
            self.outgoing.push(frame);
        }
        self.released.clear();
    }
}
