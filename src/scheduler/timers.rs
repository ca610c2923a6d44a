//! What is to be looked at again, and when.

use std::collections::BTreeSet;

use super::WorkerId;
use crate::error::TaskId;

/// Something that happens because time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A task must have ended.
    Deadline(TaskId),
    /// A task is tried again.
    Again(TaskId),
    /// A worker's head may have run for long enough, or a step of its end is due.
    Head(WorkerId),
    /// Something may wait behind a head that turns out long.
    Stuck,
    /// A chunk may be to be divided.
    Divide,
    /// A worker may have been idle for long enough.
    Idle,
    /// Workers may be started again.
    Start,
}

/// The timers that are set, by their time.
#[derive(Debug, Default)]
pub(super) struct Timers {
    set: BTreeSet<(u64, Timer)>,
}

impl Timers {
    pub(super) fn set(&mut self, at_ns: u64, timer: Timer) {
        self.set.insert((at_ns, timer));
    }

    pub(super) fn unset(&mut self, at_ns: u64, timer: Timer) {
        self.set.remove(&(at_ns, timer));
    }

    /// When the first of them is due.
    pub(super) fn next_ns(&self) -> Option<u64> {
        self.set.first().map(|(at_ns, _)| *at_ns)
    }

    /// Takes the first one, if it is due.
    pub(super) fn pop_due(&mut self, now: u64) -> Option<Timer> {
        if self.next_ns()? > now {
            return None;
        }
        self.set.pop_first().map(|(_, timer)| timer)
    }

    pub(super) fn clear(&mut self) {
        self.set.clear();
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, Timer)> + '_ {
        self.set.iter().copied()
    }
}
