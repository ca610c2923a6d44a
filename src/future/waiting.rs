//! Who waits for one future.

use std::mem;
use std::task::Waker;

use crate::primitives::Arc;

use super::raw::Outcome;
use super::watcher::Watcher;

/// What a callback is given is the outcome, still encoded.
pub(crate) type Callback = Box<dyn FnOnce(&Outcome) + Send>;

/// Everyone who waits for one future. Guarded by that future's lock.
///
/// Most futures have one waiter or none, so the first one needs no allocation.
#[derive(Default)]
pub(super) struct Waiting {
    /// How many threads are parked on the future's condvar. Notifying costs a system call even
    /// when nobody is there, so it is done only if somebody is.
    pub(super) parked: u32,
    next_seat: u32,
    first: Option<Waiter>,
    rest: Vec<Waiter>,
}

pub(super) enum Waiter {
    /// An asynchronous task that polls.
    Seated {
        seat: u32,
        waker: Waker,
    },
    /// One who waits for many futures; this one is its `index`-th.
    Watcher {
        watcher: Arc<Watcher>,
        index: usize,
    },
    Callback(Callback),
}

/// A poller's place in the list, so that a second poll replaces its waker and a dropped poller
/// leaves none behind.
#[derive(Debug, Default)]
pub(crate) struct Seat(Option<u32>);

impl Seat {
    pub(super) fn take(&mut self) -> Self {
        Self(self.0.take())
    }

    pub(super) fn is_taken(&self) -> bool {
        self.0.is_some()
    }
}

impl Waiting {
    /// Takes everyone out, in the order in which they came.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Waiter> + use<> {
        self.first
            .take()
            .into_iter()
            .chain(mem::take(&mut self.rest))
    }

    /// Adds one.
    pub(super) fn push(&mut self, waiter: Waiter) {
        if self.rest.is_empty() && self.first.as_ref().is_none_or(Waiter::has_gone) {
            self.first = Some(waiter);
            return;
        }
        if self.rest.len() == self.rest.capacity() {
            // Watchers do not leave the list when they go, since there may be 100,000 lists to
            // leave. They are swept out before the list grows. A watcher that has gone holds no
            // waker, so that nobody's code runs here.
            self.rest.retain(|waiter| !waiter.has_gone());
            if self.rest.capacity() < 2 * self.rest.len() + 4 {
                self.rest.reserve(self.rest.len() + 4);
            }
        }
        self.rest.push(waiter);
    }

    /// Whether the waker at `seat` would wake the same task as `waker`.
    pub(super) fn will_wake(&mut self, seat: &Seat, waker: &Waker) -> bool {
        self.seated(seat)
            .is_some_and(|seated| seated.will_wake(waker))
    }

    /// Puts `waker` at `seat`. Returns the one that was there, to be dropped without the lock.
    pub(super) fn sit(&mut self, seat: &mut Seat, waker: Waker) -> Option<Waker> {
        if let Some(seated) = self.seated(seat) {
            return Some(mem::replace(seated, waker));
        }
        let number = self.next_seat;
        self.next_seat = self.next_seat.wrapping_add(1);
        self.push(Waiter::Seated {
            seat: number,
            waker,
        });
        seat.0 = Some(number);
        None
    }

    /// Takes out the one at `seat`, to be dropped without the lock.
    pub(super) fn stand_up(&mut self, seat: &Seat) -> Option<Waiter> {
        let seat = seat.0?;
        if self
            .first
            .as_ref()
            .is_some_and(|waiter| waiter.sits_at(seat))
        {
            return self.first.take();
        }
        let position = self.rest.iter().position(|waiter| waiter.sits_at(seat))?;
        Some(self.rest.remove(position))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }

    fn seated(&mut self, seat: &Seat) -> Option<&mut Waker> {
        let wanted = seat.0?;
        self.first
            .iter_mut()
            .chain(&mut self.rest)
            .find_map(|waiter| match waiter {
                Waiter::Seated { seat, waker } if *seat == wanted => Some(waker),
                _ => None,
            })
    }
}

impl Waiter {
    fn sits_at(&self, wanted: u32) -> bool {
        matches!(self, Self::Seated { seat, .. } if *seat == wanted)
    }

    fn has_gone(&self) -> bool {
        matches!(self, Self::Watcher { watcher, .. } if watcher.has_gone())
    }
}
