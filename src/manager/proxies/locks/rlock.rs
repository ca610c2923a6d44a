//! One thread at a time, which may come again.

use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::error::LockError;
use super::hold::{Hold, Locking, take};
use super::{begin, proxy};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager};
use crate::manager::objects::locks::RLockOp;
use crate::sys::deadline_after;

proxy! {
    /// A lock in a manager that the thread which has it may take again. It is released when all of its guards have been dropped, in whatever
    /// order.
    ///
    /// Those who wait get it in the order in which the manager was asked. The owner is a thread of a process: for the awaited forms, **the thread that makes the
    /// call**, so that their futures and the guards are not `Send`. Two tasks of one thread do not keep each other out: for
    /// them there is [`LockProxy`](super::LockProxy). Each guard costs a round trip, also when the thread has it already.
    ///
    /// When a process ends that has it, or its connection is cut, the next one who asks gets it together with the news:
    /// [`LockError::OwnerDied`]. (A thread that ends while its guards have been forgotten keeps it.)
    ///
    /// As [`sync::RLock`](crate::sync::RLock).
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let lock = manager.rlock()?;
    ///     let first = lock.lock().map_err(|error| error.without_guard())?;
    ///     let second = lock.lock().map_err(|error| error.without_guard())?;
    ///     drop(first);
    ///     assert!(lock.is_locked()?);
    ///     drop(second);
    ///     assert!(!lock.is_locked()?);
    ///     Ok(())
    /// }
    /// ```
    RLockProxy, RLock
}

/// An [`RLockProxy`]'s lock that this thread has; released on drop of the last one, without waiting for the manager.
///
/// It stays with its thread:
///
/// ```compile_fail
/// fn is_send<T: Send>() {}
/// is_send::<procession::manager::RLockGuard>();
/// ```
#[must_use = "the lock is released when this is dropped"]
pub struct RLockGuard {
    hold: Hold,
    _not_send: PhantomData<*const ()>,
}

/// The number of the calling thread in this process. Numbers are not used again.
fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    // At the very end of a thread it has none any more, and gets one for each call: then it does not come again.
    NUMBER
        .try_with(|number| *number)
        .unwrap_or_else(|_| NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Manager {
    /// Makes a lock that nobody has, and that its owner may take again.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn rlock(&self) -> Result<RLockProxy, ManagerError> {
        self.rlock_async().wait()
    }

    /// [`rlock`](Self::rlock), awaited.
    pub fn rlock_async(&self) -> Calling<RLockProxy> {
        self.create(begin(&()))
    }
}

impl RLockProxy {
    /// Waits until no other thread has it, and takes it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied), which has the guard, and [`Manager`](LockError::Manager).
    pub fn lock(&self) -> Result<RLockGuard, LockError<RLockGuard>> {
        self.lock_async().wait()
    }

    /// [`lock`](Self::lock), awaited; for the thread that calls this.
    pub fn lock_async(&self) -> Locking<RLockGuard> {
        self.acquire(true)
    }

    /// Takes it if no other thread has it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](LockError::WouldBlock) if another thread has it; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<RLockGuard, LockError<RLockGuard>> {
        self.try_lock_async().wait()
    }

    /// [`try_lock`](Self::try_lock), awaited; for the thread that calls this.
    pub fn try_lock_async(&self) -> Locking<RLockGuard> {
        self.acquire(false)
    }

    /// Waits for at most so long. Zero is to try, for which the manager's answer is waited for.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut), not before that; else as [`lock`](Self::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<RLockGuard, LockError<RLockGuard>> {
        if timeout.is_zero() {
            return self.lock_timeout_async(timeout).wait();
        }
        self.lock_async().wait_until(deadline_after(timeout))
    }

    /// [`lock_timeout`](Self::lock_timeout), awaited; for the thread that calls this.
    pub fn lock_timeout_async(&self, timeout: Duration) -> Locking<RLockGuard> {
        match timeout.is_zero() {
            true => self.try_lock_async().in_no_time(),
            false => self.lock_async().within(timeout),
        }
    }

    /// Whether some thread had it when the manager was asked; it may be otherwise by now.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn is_locked(&self) -> Result<bool, ManagerError> {
        self.is_locked_async().wait()
    }

    /// [`is_locked`](Self::is_locked), awaited.
    pub fn is_locked_async(&self) -> Calling<bool> {
        self.remote.call(&RLockOp::IsLocked, Ok)
    }

    fn acquire(&self, wait: bool) -> Locking<RLockGuard> {
        let thread = thread_number();
        let attempt = take(&self.remote, &RLockOp::Acquire { thread, wait }, None);
        Locking::new(attempt, |hold| RLockGuard {
            hold,
            _not_send: PhantomData,
        })
    }
}

impl RLockGuard {
    /// Whether it is one of this lock.
    pub fn is_of(&self, lock: &RLockProxy) -> bool {
        self.hold.is_of(&lock.remote)
    }
}

impl fmt::Debug for RLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::thread_number;

    #[test]
    fn a_thread_keeps_its_number_and_no_other_has_it() {
        let mine = thread_number();
        assert_eq!(thread_number(), mine);
        let other = std::thread::spawn(thread_number).join().unwrap();
        assert_ne!(other, mine);
    }
}
