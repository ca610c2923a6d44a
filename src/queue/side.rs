//! One side of a queue: the lock of those who put, or of those who get, how far they are, and the sequence on which the other
//! side sleeps.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use std::time::Duration;

use crate::sys::{Arena, Deadline, Held, LockedMapping, MutexError, futex_wait, futex_wake_all};

/// How many items have gone through this side.
const COUNT: usize = 0;
/// The place behind them, twice: where the count is even, and where it is odd.
const PLACES: usize = 1;
/// What each side has besides, from here on.
pub(super) const OWN: usize = 3;
/// How many words that is.
pub(super) const OWN_WORDS: usize = 4;
/// From here on: words that hardly ever change, and that the other side reads for each item.
pub(super) const SELDOM: usize = OWN + OWN_WORDS;

/// After how long who waits for the lock looks again; then after twice as long each time, up to the other.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LAST_LOOK: Duration = Duration::from_secs(1);

/// How often a cursor is read anew that changes while it is read.
const TRIES: usize = 64;

/// How far one side is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Items, ever.
    pub(super) count: u64,
    /// Bytes, ever: where in the ring, and how often around it.
    pub(super) place: u64,
}

/// The lock of one side, held.
pub(super) type Inside<'a> = Held<&'a LockedMapping>;

pub(super) struct Side {
    lock: LockedMapping,
}

impl Side {
    pub(super) fn open(arena: &Arena<impl AsFd>, number: usize) -> io::Result<Self> {
        let lock = arena.lock(number)?;
        Ok(Self { lock })
    }

    #[inline]
    pub(super) fn enter(&self, deadline: Deadline) -> Result<Inside<'_>, MutexError> {
        match self.lock.try_lock() {
            Err(MutexError::TimedOut) => self.wait_to_enter(deadline),
            entered => entered,
        }
    }

    /// Somebody has the lock. One who lets it go, and is stopped before he wakes those who wait for it, leaves them asleep beside a lock that is
    /// free; so they look again from time to time.
    #[cold]
    fn wait_to_enter(&self, deadline: Deadline) -> Result<Inside<'_>, MutexError> {
        let mut look = FIRST_LOOK;
        loop {
            match self.lock.lock(deadline.min(Deadline::after(look))) {
                Err(MutexError::TimedOut) if !deadline.has_passed() => {
                    look = (look * 2).min(LAST_LOOK);
                }
                entered => return entered,
            }
        }
    }

    pub(super) fn try_enter(&self) -> Result<Inside<'_>, MutexError> {
        self.lock.try_lock()
    }

    /// What is in its page besides: words that mean what the side says.
    pub(super) fn mapping(&self) -> &LockedMapping {
        &self.lock
    }

    #[inline]
    pub(super) fn word(&self, number: usize) -> &AtomicU64 {
        let header = self.lock.header();
        match number.checked_sub(SELDOM) {
            None => &header.words[number],
            Some(number) => &header.seldom[number],
        }
    }

    /// How many items have gone through. What was done for them before is seen.
    #[inline]
    pub(super) fn count(&self) -> u64 {
        self.word(COUNT).load(Ordering::Acquire)
    }

    /// With the lock held.
    #[inline]
    pub(super) fn cursor(&self) -> Cursor {
        let count = self.word(COUNT).load(Ordering::Relaxed);
        let place = self.place_at(count).load(Ordering::Relaxed);
        Cursor { count, place }
    }

    /// Without the lock: some cursor that there was. `None` if it changes all the time.
    pub(super) fn peek(&self) -> Option<Cursor> {
        for _ in 0..TRIES {
            let count = self.count();
            let place = self.place_at(count).load(Ordering::Relaxed);
            // The place is written over only when the count has gone on.
            fence(Ordering::Acquire);
            if self.word(COUNT).load(Ordering::Relaxed) == count {
                return Some(Cursor { count, place });
            }
        }
        None
    }

    /// With the lock held: **the** store, after which one more item has gone through. All that belongs to it comes before.
    #[inline]
    pub(super) fn commit(&self, cursor: Cursor) {
        let place = self.place_at(cursor.count);
        // Whoever sees this one where an older one was sees the count that came with that, too.
        place.store(cursor.place, Ordering::Release);
        self.word(COUNT).store(cursor.count, Ordering::Release);
    }

    /// With the lock held, **before** the store that changes the state: counts on, and wakes who sleeps.
    #[inline]
    pub(super) fn announce(&self) {
        let header = self.lock.header();
        announce(&header.sequence, &header.sleepers);
    }

    /// With the lock held: what has to be done before it is released to sleep.
    pub(super) fn fall_asleep(&self) -> u32 {
        let header = self.lock.header();
        fall_asleep(&header.sequence, &header.sleepers)
    }

    /// With the lock released: sleeps until there is a change since then, or for no reason.
    pub(super) fn sleep(&self, since: u32, deadline: Deadline) {
        futex_wait(&self.lock.header().sequence, since, deadline);
    }

    /// Wakes all who sleep, for no reason. Needs no lock.
    pub(super) fn nudge(&self) {
        let sequence = &self.lock.header().sequence;
        sequence.fetch_add(1, Ordering::Relaxed);
        futex_wake_all(sequence);
    }

    #[cfg(test)]
    pub(super) fn has_sleeper(&self) -> bool {
        self.lock.header().sleepers.load(Ordering::Relaxed) != 0
    }

    #[inline]
    fn place_at(&self, count: u64) -> &AtomicU64 {
        self.word(PLACES + (count & 1) as usize)
    }
}

/// See [`Side::announce`].
#[inline]
pub(super) fn announce(sequence: &AtomicU32, has_sleeper: &AtomicU32) {
    sequence.fetch_add(1, Ordering::Relaxed);
    if has_sleeper.load(Ordering::Relaxed) != 0 {
        futex_wake_all(sequence);
        // Whoever sleeps again says so again, under the lock.
        has_sleeper.store(0, Ordering::Relaxed);
    }
}

/// See [`Side::fall_asleep`].
pub(super) fn fall_asleep(sequence: &AtomicU32, has_sleeper: &AtomicU32) -> u32 {
    has_sleeper.store(1, Ordering::Relaxed);
    sequence.load(Ordering::Relaxed)
}
