//! One thread at a time, which may come again.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};

use super::{LockError, Room};
use crate::sys::{Deadline, Held, LockedMapping, PerProcess};

/// A lock between processes that the thread which has it may take again. It is released when all of its guards have been dropped, in
/// whatever order.
///
/// As [`multiprocessing.RLock`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.RLock).
///
/// ```
/// use procession::sync::RLock;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = RLock::new()?;
/// let first = lock.lock()?;
/// let second = lock.lock()?;
/// drop(first);
/// assert!(lock.is_locked());
/// drop(second);
/// assert!(!lock.is_locked());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct RLock {
    room: Room,
}

/// The locks of this process, by their memory. All handles of one share a mapping: there it stands which thread has it, and how often. A process that was forked off
/// begins anew: a handle that is decoded there is another one than those that it was forked off with, which still are one.
static KNOWN: PerProcess<Known> = PerProcess::new(|| Known {
    mappings: BTreeMap::new(),
    prune_at: FEW,
});

struct Known {
    mappings: BTreeMap<u64, Weak<LockedMapping>>,
    /// When there are so many, those that are gone are thrown out.
    prune_at: usize,
}

/// So many that are gone may stay.
const FEW: usize = 64;

impl Known {
    /// The mapping that is there of the same memory already, or this one.
    fn share(&mut self, new: Arc<LockedMapping>) -> Arc<LockedMapping> {
        if let Some(known) = self.mappings.get(&new.id()).and_then(Weak::upgrade) {
            return known;
        }
        if self.mappings.len() >= self.prune_at {
            self.mappings.retain(|_, known| known.strong_count() > 0);
            self.prune_at = FEW.max(self.mappings.len() * 2);
        }
        self.mappings.insert(new.id(), Arc::downgrade(&new));
        new
    }
}

impl<'de> Deserialize<'de> for RLock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::of(Room::deserialize(deserializer)?))
    }
}

impl RLock {
    /// A lock that nobody has.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new() -> io::Result<Self> {
        Ok(Self::of(Room::create("procession-rlock", 0)?))
    }

    /// Waits until no other thread has it, and takes it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied), which has the guard, and [`Broken`](LockError::Broken).
    pub fn lock(&self) -> Result<RLockGuard, LockError<RLockGuard>> {
        let held = self.room.mapping.lock_again(Some(Deadline::NEVER));
        RLockGuard::of(held.map_err(LockError::waited)?)
    }

    /// Takes it if no other thread has it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](LockError::WouldBlock) if another thread has it; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<RLockGuard, LockError<RLockGuard>> {
        let held = self.room.mapping.lock_again(None);
        RLockGuard::of(held.map_err(LockError::tried)?)
    }

    /// Waits for at most so long.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut), not before that; else as [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<RLockGuard, LockError<RLockGuard>> {
        let held = self.room.mapping.lock_again(Some(Deadline::after(timeout)));
        RLockGuard::of(held.map_err(LockError::waited)?)
    }

    /// Whether some thread had it when this looked; it may be otherwise by now.
    pub fn is_locked(&self) -> bool {
        self.room.mapping.owner().is_some()
    }

    /// Whether both are handles to the same lock.
    pub fn is_same(&self, other: &Self) -> bool {
        self.room.is_same(&other.room)
    }

    fn of(mut room: Room) -> Self {
        let shared = KNOWN.lock().share(room.mapping.clone());
        room.mapping = shared;
        Self { room }
    }
}

impl fmt::Debug for RLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.room.owner();
        f.debug_struct("RLock").field("owner", &owner).finish()
    }
}

/// An [`RLock`] that this thread has; released on drop of the last one.
///
/// It stays with its thread (it is not `Send`), and keeps the lock in memory by itself.
#[must_use = "the lock is released when this is dropped"]
pub struct RLockGuard(
    #[expect(dead_code, reason = "it is there to be dropped")] Held<Arc<LockedMapping>>,
);

impl RLockGuard {
    #[inline]
    fn of(held: Held<Arc<LockedMapping>>) -> Result<Self, LockError<Self>> {
        if held.owner_died() {
            return Err(LockError::OwnerDied(Self(held)));
        }
        Ok(Self(held))
    }
}

impl fmt::Debug for RLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_forked_off_while_the_list_is_in_use_makes_locks() {
        let held = KNOWN.lock();
        let status = crate::sys::in_a_fork(|| {
            let lock = RLock::new();
            lock.is_ok_and(|lock| lock.lock().is_ok())
        });
        drop(held);
        assert_eq!(status, 0);
    }
}
