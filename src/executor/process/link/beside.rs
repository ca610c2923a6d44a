//! The control socket: what travels beside frames, both ways.
//!
//! What is sent to a worker has its place in line: its messages are in the socket before the first byte of its frame
//! is in the pipe. While the socket is full the reactor waits for room; while the system refuses more (a user has as
//! many descriptors in sockets as may be), for an alarm, since nothing else tells when that is over. When it is not
//! over after [`PATIENCE`], the messages go without their descriptors, and the task fails in the worker, which says so.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::outbound::{Next, Outbound};
use super::{Link, Which, key};
use crate::frame::Header;
use crate::sys;
use crate::wire::{Arrived, Arriving, Beside, Handles};

/// The pauses between attempts while the system refuses descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// For how long that is tried.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the system has refused in a row.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    /// Since when, and the last pause.
    since: Option<(Instant, Duration)>,
    /// A message of this frame has gone without its descriptors.
    has_given_up: bool,
    /// The poller knows the control socket.
    is_watched: bool,
}

impl Refusals {
    /// A message has been refused. That of another frame is waited for anew; what is left of one that has failed is not.
    fn turn_to(&mut self, message: &Beside) {
        if message.first == 0 && self.has_given_up {
            self.has_given_up = false;
            self.since = None;
        }
    }

    /// When to try again; `None` when that has been done for long enough.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        let (since, pause) = match self.since {
            None => (now, FIRST_PAUSE),
            Some((since, pause)) => (since, LONGEST_PAUSE.min(pause * 2)),
        };
        self.since = Some((since, pause));
        (now.duration_since(since) < PATIENCE).then(|| now + pause)
    }
}

impl Link {
    /// Sends the message that is next in line. Says whether the line moves on.
    pub(super) fn send_beside(&self, outbound: &mut Outbound) -> io::Result<bool> {
        let Some(Next::Beside(message, descriptors)) = outbound.left_of_first() else {
            return Ok(true);
        };
        let (bytes, count) = (message.encode(), usize::from(message.count));
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let key = key(self.worker, Which::Tasks);
        let mut sent = self.control.send_now(&bytes, &descriptors);
        if sent.is_ok() {
            outbound.beside.since = None;
        }
        if let Err(error) = &sent
            && sys::is_refused_for_now(error)
        {
            let now = Instant::now();
            outbound.beside.turn_to(&message);
            if let Some(at) = outbound.beside.next(now) {
                outbound.armed = true;
                self.is_refused.store(true, Ordering::Relaxed);
                self.poller.alarm(at, key);
                return Ok(false);
            }
            sent = self.control.send_now(&bytes, &[]);
            outbound.beside.has_given_up = sent.is_ok();
        }
        match sent {
            Ok(()) => {
                self.is_refused.store(false, Ordering::Relaxed);
                outbound.advance(count);
                self.note_moved(1);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !outbound.beside.is_watched {
                    self.poller.add(&self.control, key)?;
                    outbound.beside.is_watched = true;
                }
                self.poller.arm_write(&self.control, key)?;
                outbound.armed = true;
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the poller's mind off the control socket.
    pub(super) fn unwatch_control(&self, outbound: &Outbound) {
        if outbound.beside.is_watched {
            self.poller.remove(&self.control);
        }
    }

    /// What has come beside a frame whose header has been read. The error says what is wrong, in words that follow
    /// "because it sent".
    #[inline]
    pub(in crate::executor::process) fn receive_beside(
        &self,
        header: &Header,
    ) -> Result<Arrived, String> {
        match header.handles {
            0 => Ok(Arrived::All(Handles::default())),
            _ => self.receive_descriptors(header),
        }
    }

    #[cold]
    fn receive_descriptors(&self, header: &Header) -> Result<Arrived, String> {
        let announced = header.handles;
        let mut arriving = Arriving::new(header.task, header.seq, announced);
        while !arriving.is_complete() {
            let received = self.control.receive_now().map_err(|error| {
                let missing = format!("a frame that announces {announced} descriptors");
                match error.kind() {
                    io::ErrorKind::WouldBlock => format!("{missing}, and none"),
                    _ => format!("{missing}, which cannot be received: {error}"),
                }
            })?;
            arriving.take(&received.bytes, received.descriptors)?;
        }
        Ok(arriving.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_after_one_that_lost_its_descriptors_is_waited_for_anew() {
        let start = Instant::now();
        let mut refusals = Refusals::default();
        refusals.turn_to(&Beside::at(1, 1, 0, 300));
        assert!(refusals.next(start).is_some());
        refusals.turn_to(&Beside::at(1, 1, 0, 300));
        assert!(refusals.next(start + PATIENCE / 2).is_some());
        refusals.turn_to(&Beside::at(1, 1, 0, 300));
        assert_eq!(refusals.next(start + PATIENCE), None);
        refusals.has_given_up = true;

        // Its task fails, whatever becomes of the others.
        refusals.turn_to(&Beside::at(1, 1, 253, 300));
        assert_eq!(refusals.next(start + PATIENCE), None);
        refusals.turn_to(&Beside::at(2, 2, 0, 1));
        let next = refusals.next(start + PATIENCE);
        assert_eq!(next, Some(start + PATIENCE + FIRST_PAUSE));
    }
}
