//! The two halves of the protocol that this module's page describes.

use std::sync::atomic::Ordering;

use super::{Room, WaitError};
use crate::sys::{Deadline, Header, Held, LockedMapping, futex_wait, futex_wake_all};

/// A lock of a primitive's own. What it guards is never half done, so that nobody asks how its owner before ended.
pub(super) type Inside<'a> = Held<&'a LockedMapping>;

impl Room {
    /// Locks the state.
    pub(super) fn enter(&self, deadline: Deadline) -> Result<Inside<'_>, WaitError> {
        Ok(self.mapping.lock(deadline)?)
    }

    /// Waits until `take`, which is called under the lock, takes something.
    pub(super) fn wait<R>(
        &self,
        deadline: Deadline,
        mut take: impl FnMut(&Inside<'_>) -> Option<R>,
    ) -> Result<R, WaitError> {
        let header = self.header();
        loop {
            let inside = self.enter(deadline)?;
            if let Some(taken) = take(&inside) {
                return Ok(taken);
            }
            let sleep = header.fall_asleep();
            drop(inside);
            sleep.until(deadline);
            if deadline.has_passed() {
                // Once more, if that can be had without waiting.
                let inside = self.enter(deadline)?;
                return take(&inside).ok_or(WaitError::TimedOut);
            }
        }
    }
}

impl Header {
    /// Under the lock, **before** the store that changes the state: steps 1 and 2.
    pub(super) fn announce(&self) {
        self.sequence.fetch_add(1, Ordering::Relaxed);
        if self.sleepers.load(Ordering::Relaxed) != 0 {
            futex_wake_all(&self.sequence);
        }
    }

    /// Under the lock: what has to be done before it is released.
    pub(super) fn fall_asleep(&self) -> Sleep<'_> {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        Sleep {
            header: self,
            sequence: self.sequence.load(Ordering::Relaxed),
        }
    }
}

/// Somebody who is about to sleep.
#[must_use = "it is counted as one that sleeps until this is dropped"]
pub(super) struct Sleep<'a> {
    header: &'a Header,
    sequence: u32,
}

impl Sleep<'_> {
    /// With the lock released: sleeps until there is a change, or for no reason.
    pub(super) fn until(self, deadline: Deadline) {
        futex_wait(&self.header.sequence, self.sequence, deadline);
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.header.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}
