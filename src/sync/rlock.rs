//! One thread at a time, which may come again.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LockError, Room};
use crate::sys::{Deadline, Held, LockedMapping, MutexError};

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
#[derive(Clone, Serialize, Deserialize)]
pub struct RLock {
    room: Room,
}

/// A lock that a thread has, and how often. Others of its handles may map the memory at another place.
struct Mine {
    id: u64,
    /// Not dropped with the thread: a lock whose guards have been forgotten is one whose owner has died.
    held: ManuallyDrop<Held<Arc<LockedMapping>>>,
    guards: usize,
}

thread_local! {
    /// Those that this thread has.
    static MINE: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

impl RLock {
    /// A lock that nobody has.
    ///
    /// # Errors
    ///
    /// Where the system has no descriptor or no memory for it.
    pub fn new() -> io::Result<Self> {
        let room = Room::create("procession-rlock", 0)?;
        Ok(Self { room })
    }

    /// Waits until no other thread has it, and takes it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied), which has the guard, and [`Broken`](LockError::Broken).
    pub fn lock(&self) -> Result<RLockGuard, LockError<RLockGuard>> {
        self.enter(
            |mapping| mapping.lock_owned(Deadline::NEVER),
            LockError::waited,
        )
    }

    /// Takes it if no other thread has it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](LockError::WouldBlock) if another thread has it; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<RLockGuard, LockError<RLockGuard>> {
        self.enter(LockedMapping::try_lock_owned, LockError::tried)
    }

    /// Waits for at most so long.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut), not before that; else as [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<RLockGuard, LockError<RLockGuard>> {
        let deadline = Deadline::after(timeout);
        self.enter(|mapping| mapping.lock_owned(deadline), LockError::waited)
    }

    /// Whether some thread had it when this looked; it may be otherwise by now.
    pub fn is_locked(&self) -> bool {
        self.room.mapping.owner().is_some()
    }

    /// Whether both are handles to the same lock.
    pub fn is_same(&self, other: &Self) -> bool {
        self.room.is_same(&other.room)
    }

    fn enter(
        &self,
        take: impl FnOnce(&Arc<LockedMapping>) -> Result<Held<Arc<LockedMapping>>, MutexError>,
        refuse: impl FnOnce(MutexError) -> LockError<RLockGuard>,
    ) -> Result<RLockGuard, LockError<RLockGuard>> {
        let id = self.room.mapping.id();
        let guard = || RLockGuard {
            id,
            _not_send: PhantomData,
        };
        let again = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            let known = mine.iter_mut().find(|known| known.id == id)?;
            // A forked child has the list of the thread that forked, but not its locks.
            let owner = known.held.mapping().owner();
            let is_mine = owner.is_some_and(|owner| owner.is_this_thread());
            known.guards += usize::from(is_mine);
            Some(is_mine)
        });
        match again {
            Ok(Some(true)) => return Ok(guard()),
            Ok(None) => {}
            // Or this is the very end of a thread, which has no list any more.
            Ok(Some(false)) | Err(_) => return Err(LockError::Broken),
        }
        let held = take(&self.room.mapping).map_err(refuse)?;
        let owner_died = held.owner_died();
        MINE.with_borrow_mut(|mine| {
            mine.push(Mine {
                id,
                held: ManuallyDrop::new(held),
                guards: 1,
            });
        });
        if owner_died {
            return Err(LockError::OwnerDied(guard()));
        }
        Ok(guard())
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
pub struct RLockGuard {
    id: u64,
    _not_send: PhantomData<*const ()>,
}

impl Drop for RLockGuard {
    fn drop(&mut self) {
        let last = MINE.try_with(|mine| {
            let mut mine = mine.borrow_mut();
            let at = mine.iter().position(|known| known.id == self.id)?;
            mine[at].guards -= 1;
            (mine[at].guards == 0).then(|| mine.swap_remove(at))
        });
        // The list's borrow is over.
        if let Ok(Some(last)) = last {
            drop(ManuallyDrop::into_inner(last.held));
        }
    }
}

impl fmt::Debug for RLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").finish_non_exhaustive()
    }
}
