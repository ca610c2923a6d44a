//! Permits bound the tasks in flight: a fair semaphore, as a pure machine.

use std::collections::BTreeSet;

/// Who waits for a permit. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Waiter(u64);

/// The answer to [`Permits::ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Here is the permit.
    Granted,
    /// It will be granted in turn; to be claimed with [`Permits::claim`], or withdrawn.
    Waiting(Waiter),
}

/// A fair semaphore: permits are granted in the order in which they were asked for, and
/// [`Permits::try_acquire`] overtakes nobody.
///
/// A permit is free, granted to a waiter that has not claimed it yet, or held by a task. While
/// anybody waits none is free.
#[derive(Debug)]
pub(crate) struct Permits {
    max: usize,
    free: usize,
    /// Who waits; the smallest has waited longest.
    waiting: BTreeSet<Waiter>,
    /// Who was granted a permit and has not claimed it.
    granted: BTreeSet<Waiter>,
    next: u64,
}

impl Permits {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            max,
            free: max,
            waiting: BTreeSet::new(),
            granted: BTreeSet::new(),
            next: 0,
        }
    }

    /// How many can be had at once.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn free(&self) -> usize {
        self.free
    }

    /// Takes a permit, if one can be had at once.
    pub(crate) fn try_acquire(&mut self) -> bool {
        let is_free = self.free > 0;
        self.free -= usize::from(is_free);
        is_free
    }

    /// Takes a permit, or a place in the line.
    pub(crate) fn ask(&mut self) -> Asked {
        if self.try_acquire() {
            return Asked::Granted;
        }
        let waiter = Waiter(self.next);
        self.next += 1;
        self.waiting.insert(waiter);
        Asked::Waiting(waiter)
    }

    /// Takes the permit that a waiter was granted; `false` as long as it waits.
    pub(crate) fn claim(&mut self, waiter: Waiter) -> bool {
        self.granted.remove(&waiter)
    }

    /// A waiter gives up. If it had been granted a permit, that goes on to the next, who is
    /// returned and is to be woken. After its claim this does nothing.
    pub(crate) fn withdraw(&mut self, waiter: Waiter) -> Option<Waiter> {
        if !self.waiting.remove(&waiter) && self.granted.remove(&waiter) {
            return self.give_on();
        }
        None
    }

    /// Permits come back. Who is granted one is appended to `woken`, and is to be woken.
    pub(crate) fn release(&mut self, count: usize, woken: &mut Vec<Waiter>) {
        debug_assert!(
            count <= self.held(),
            "no more permits come back than were taken"
        );
        for _ in 0..count.min(self.held()) {
            woken.extend(self.give_on());
        }
    }

    /// Nobody is granted a permit any more: sends everybody away who waits.
    pub(crate) fn dismiss(&mut self, woken: &mut Vec<Waiter>) {
        woken.extend(std::mem::take(&mut self.waiting));
    }

    /// How many were taken and have not come back.
    pub(crate) fn held(&self) -> usize {
        self.max - self.free - self.granted.len()
    }

    fn give_on(&mut self) -> Option<Waiter> {
        let next = self.waiting.pop_first();
        match next {
            Some(waiter) => {
                self.granted.insert(waiter);
            }
            None => self.free += 1,
        }
        next
    }
}
