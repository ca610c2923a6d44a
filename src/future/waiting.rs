//! Who waits for one future.

use std::mem;
use std::num::NonZeroU32;
use std::task::Waker;

use crate::primitives::Arc;

use super::raw::Ended;
use super::watcher::Watcher;

/// What a callback is given is the outcome, still encoded.
pub(crate) type Callback = Box<dyn FnOnce(Ended<'_>) + Send>;

/// Everyone who waits for one future. Guarded by that future's lock.
///
/// There may be a million of them, most of which have one waiter or none: the first one needs no allocation.
#[derive(Default)]
pub(super) struct Waiting {
    /// How many threads are parked on the future's condvar. Notifying costs a system call even
    /// when nobody is there, so it is done only if somebody is.
    pub(super) parked: u32,
    last_seat: u32,
    waiters: Waiters,
}

/// In the order in which they came.
#[derive(Default)]
enum Waiters {
    #[default]
    Nobody,
    One(Waiter),
    #[expect(
        clippy::box_collection,
        reason = "most futures never have several, and all have the place for them"
    )]
    Several(Box<Vec<Waiter>>),
}

pub(super) enum Waiter {
    /// An asynchronous task that polls.
    Seated {
        seat: NonZeroU32,
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
pub(crate) struct Seat(Option<NonZeroU32>);

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
        let (one, several) = match mem::take(&mut self.waiters) {
            Waiters::Nobody => (None, Vec::new()),
            Waiters::One(waiter) => (Some(waiter), Vec::new()),
            Waiters::Several(waiters) => (None, *waiters),
        };
        one.into_iter().chain(several)
    }

    /// Adds one.
    pub(super) fn push(&mut self, waiter: Waiter) {
        self.waiters = match mem::take(&mut self.waiters) {
            Waiters::Nobody => Waiters::One(waiter),
            Waiters::One(first) if first.has_gone() => Waiters::One(waiter),
            Waiters::One(first) => Waiters::Several(Box::new(vec![first, waiter])),
            Waiters::Several(mut waiters) => {
                if waiters.len() == waiters.capacity() {
                    // Watchers do not leave the list when they go, since there may be 100,000 lists to
                    // leave. They are swept out before the list grows. A watcher that has gone holds no
                    // waker, so that nobody's code runs here.
                    waiters.retain(|waiter| !waiter.has_gone());
                    if waiters.capacity() < 2 * waiters.len() + 4 {
                        waiters.reserve(waiters.len() + 4);
                    }
                }
                waiters.push(waiter);
                Waiters::Several(waiters)
            }
        };
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
        self.last_seat = self.last_seat.wrapping_add(1);
        let number = NonZeroU32::new(self.last_seat).unwrap_or(NonZeroU32::MIN);
        self.last_seat = number.get();
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
        match mem::take(&mut self.waiters) {
            Waiters::One(waiter) if waiter.sits_at(seat) => Some(waiter),
            Waiters::Several(mut waiters) => {
                let position = waiters.iter().position(|waiter| waiter.sits_at(seat));
                let waiter = position.map(|position| waiters.remove(position));
                self.waiters = Waiters::Several(waiters);
                waiter
            }
            others => {
                self.waiters = others;
                None
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        match &self.waiters {
            Waiters::Nobody => 0,
            Waiters::One(_) => 1,
            Waiters::Several(waiters) => waiters.len(),
        }
    }

    fn seated(&mut self, seat: &Seat) -> Option<&mut Waker> {
        let wanted = seat.0?;
        let waiters = match &mut self.waiters {
            Waiters::Nobody => &mut [],
            Waiters::One(waiter) => std::slice::from_mut(waiter),
            Waiters::Several(waiters) => waiters,
        };
        waiters.iter_mut().find_map(|waiter| match waiter {
            Waiter::Seated { seat, waker } if *seat == wanted => Some(waker),
            _ => None,
        })
    }
}

impl Waiter {
    fn sits_at(&self, wanted: NonZeroU32) -> bool {
        matches!(self, Self::Seated { seat, .. } if *seat == wanted)
    }

    fn has_gone(&self) -> bool {
        matches!(self, Self::Watcher { watcher, .. } if watcher.has_gone())
    }
}
