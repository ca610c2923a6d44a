//! One at a time.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LockError, Room};
use crate::sys::{Deadline, Held, LockedMapping, MutexError};

/// A lock between processes: one thread of one of them has it at a time.
///
/// What it protects is not in it: that is in other places of shared memory, in a file, or on a device. (For a value with a
/// lock, see [`Value`](crate::shared::Value).) It is not fair: who comes at the right moment gets it before those who
/// wait. The thread that has it may not take it again; for that there is [`RLock`](super::RLock).
///
/// As [`multiprocessing.Lock`](https://docs.python.org/3/library/multiprocessing.html#multiprocessing.Lock), but that nobody
/// else can release it, and that an owner that dies does not leave everybody waiting.
///
/// ```
/// use procession::sync::Lock;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let lock = Lock::new()?;
/// let same = lock.clone();
/// {
///     let _guard = lock.lock()?;
///     assert!(same.is_locked());
///     assert!(same.try_lock().is_err());
/// }
/// assert!(!same.is_locked());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Lock {
    pub(super) room: Room,
}

impl Lock {
    /// A lock that nobody has.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new() -> io::Result<Self> {
        let room = Room::create("procession-lock", 0)?;
        Ok(Self { room })
    }

    /// Waits until nobody else has it, and takes it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied), which has the guard, [`HeldByThisThread`](LockError::HeldByThisThread), and
    /// [`Broken`](LockError::Broken).
    pub fn lock(&self) -> Result<LockGuard, LockError<LockGuard>> {
        LockGuard::waited(self.room.mapping.lock_owned(Deadline::NEVER))
    }

    /// Takes it if nobody has it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](LockError::WouldBlock) if somebody has it, be it this thread; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<LockGuard, LockError<LockGuard>> {
        LockGuard::tried(self.room.mapping.try_lock_owned())
    }

    /// Waits for at most so long.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut), not before that; else as [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard, LockError<LockGuard>> {
        LockGuard::waited(self.room.mapping.lock_owned(Deadline::after(timeout)))
    }

    /// Whether somebody had it when this looked; it may be otherwise by now.
    pub fn is_locked(&self) -> bool {
        self.room.mapping.owner().is_some()
    }

    /// The lock of memory that has other things in it, too.
    pub(crate) fn of(room: Room) -> Self {
        Self { room }
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Whether both are handles to the same lock.
    pub fn is_same(&self, other: &Self) -> bool {
        self.room.is_same(&other.room)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = self.room.owner();
        f.debug_struct("Lock").field("owner", &owner).finish()
    }
}

/// A [`Lock`] that this thread has; released on drop.
///
/// It stays with its thread, and keeps the lock in memory by itself.
///
/// ```compile_fail
/// let guard = procession::sync::Lock::new().unwrap().lock().unwrap();
/// std::thread::spawn(move || drop(guard)); // it is not `Send`
/// ```
#[must_use = "the lock is released when this is dropped"]
pub struct LockGuard(Held<Arc<LockedMapping>>);

impl LockGuard {
    pub(crate) fn waited(
        held: Result<Held<Arc<LockedMapping>>, MutexError>,
    ) -> Result<Self, LockError<Self>> {
        Self::of(held.map_err(LockError::waited)?)
    }

    pub(crate) fn tried(
        held: Result<Held<Arc<LockedMapping>>, MutexError>,
    ) -> Result<Self, LockError<Self>> {
        Self::of(held.map_err(LockError::tried)?)
    }

    #[inline]
    fn of(held: Held<Arc<LockedMapping>>) -> Result<Self, LockError<Self>> {
        if held.owner_died() {
            return Err(LockError::OwnerDied(Self(held)));
        }
        Ok(Self(held))
    }

    /// Whether it is one of this lock.
    pub fn is_of(&self, lock: &Lock) -> bool {
        self.mapping().id() == lock.room.mapping.id()
    }

    pub(crate) fn mapping(&self) -> &LockedMapping {
        self.0.mapping()
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").finish_non_exhaustive()
    }
}
