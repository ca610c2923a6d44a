//! One at a time.

use std::fmt;
use std::time::Duration;

use super::error::LockError;
use super::hold::{Hold, Locking, take};
use super::{begin, proxy};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager};
use crate::manager::objects::locks::LockOp;
use crate::sys::deadline_after;

proxy! {
    /// A lock in a manager: one guard of it is there at a time, in all processes that have a proxy.
    ///
    /// Those who wait get it in the order in which the manager was asked. It does not belong to a thread: the guard is `Send`, it may be held across an
    /// `await`, and a thread that has it and locks again waits for itself. (See [`RLockProxy`](super::RLockProxy).) Taking it is one round
    /// trip to the manager; giving it back does not wait for one.
    ///
    /// When a process ends that has it, or its connection is cut, the next one who asks gets it together with the news:
    /// [`LockError::OwnerDied`]. One that waits is taken out of the line. In a process that was forked off, a guard gives nothing back.
    ///
    /// As [`sync::Lock`](crate::sync::Lock), which is faster, but for processes of one machine only, and is not awaited.
    ///
    /// ```standalone_crate
    /// use procession::manager::{LockError, Manager};
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let lock = manager.lock()?;
    ///     match lock.lock() {
    ///         Ok(guard) => drop(guard), // what others must not see half done
    ///         Err(LockError::OwnerDied(guard)) => drop(guard), // somebody has ended in there: look, repair, go on
    ///         Err(error) => return Err(error.without_guard().into()),
    ///     }
    ///     let _guard = lock.try_lock()?;
    ///     assert!(lock.is_locked()?);
    ///     Ok(())
    /// }
    /// ```
    LockProxy, Lock
}

/// A [`LockProxy`]'s lock that this process has; given back on drop, without waiting for the manager.
#[must_use = "the lock is released when this is dropped"]
pub struct LockGuard(Hold);

impl Manager {
    /// Makes a lock that nobody has.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn lock(&self) -> Result<LockProxy, ManagerError> {
        self.lock_async().wait()
    }

    /// [`lock`](Self::lock), awaited.
    pub fn lock_async(&self) -> Calling<LockProxy> {
        self.create(begin(&()))
    }
}

impl LockProxy {
    /// Waits until nobody else has it, and takes it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied), which has the guard, and [`Manager`](LockError::Manager).
    pub fn lock(&self) -> Result<LockGuard, LockError<LockGuard>> {
        self.lock_async().wait()
    }

    /// [`lock`](Self::lock), awaited.
    pub fn lock_async(&self) -> Locking<LockGuard> {
        self.acquire(true)
    }

    /// Takes it if nobody has it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](LockError::WouldBlock) if somebody has it; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<LockGuard, LockError<LockGuard>> {
        self.try_lock_async().wait()
    }

    /// [`try_lock`](Self::try_lock), awaited.
    pub fn try_lock_async(&self) -> Locking<LockGuard> {
        self.acquire(false)
    }

    /// Waits for at most so long. Zero is to try, for which the manager's answer is waited for.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut), not before that; else as [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard, LockError<LockGuard>> {
        if timeout.is_zero() {
            return self.lock_timeout_async(timeout).wait();
        }
        self.lock_async().wait_until(deadline_after(timeout))
    }

    /// [`lock_timeout`](Self::lock_timeout), awaited.
    pub fn lock_timeout_async(&self, timeout: Duration) -> Locking<LockGuard> {
        match timeout.is_zero() {
            true => self.try_lock_async().in_no_time(),
            false => self.lock_async().within(timeout),
        }
    }

    /// Whether somebody had it when the manager was asked; it may be otherwise by now.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn is_locked(&self) -> Result<bool, ManagerError> {
        self.is_locked_async().wait()
    }

    /// [`is_locked`](Self::is_locked), awaited.
    pub fn is_locked_async(&self) -> Calling<bool> {
        self.remote.call(&LockOp::IsLocked, Ok)
    }

    fn acquire(&self, wait: bool) -> Locking<LockGuard> {
        let attempt = take(&self.remote, &LockOp::Acquire { wait }, None);
        Locking::new(attempt, LockGuard)
    }
}

impl LockGuard {
    /// Whether it is one of this lock.
    pub fn is_of(&self, lock: &LockProxy) -> bool {
        self.0.is_of(&lock.remote)
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").finish_non_exhaustive()
    }
}
