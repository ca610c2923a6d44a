//! Waiting for what others do under a lock.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use super::error::LockError;
use super::hold::{Hold, Locking, take};
use super::{begin, proxy};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager};
use crate::manager::objects::locks::ConditionOp;
use crate::sys::deadline_after;

proxy! {
    /// A lock in a manager, and a place to wait until another process or thread says that something has changed.
    ///
    /// It has its own lock: [`lock`](Self::lock) and the like are as those of a [`LockProxy`](super::LockProxy), and what waits or notifies wants a
    /// guard of it. As with every condition variable, look whether what you wait for is so, in a loop, as [`wait_while`](Self::wait_while) does:
    /// somebody may have come in between. Those who are notified wait for the lock behind those who came before.
    ///
    /// When a process ends that has the lock, or its connection is cut, the next one gets it together with the news:
    /// [`LockError::OwnerDied`]. One that waits is taken out. **No notification is lost**: if the one that it woke is cancelled, or ends, before it has
    /// released the lock, the notification goes to the next one that waits.
    ///
    /// As [`sync::Condition`](crate::sync::Condition).
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let condition = manager.condition()?;
    ///     let is_ready = manager.event()?; // what is waited for, wherever it is
    ///
    ///     let others = (condition.clone(), is_ready.clone());
    ///     let thread = std::thread::spawn(move || {
    ///         let (condition, is_ready) = others;
    ///         let guard = condition.lock().unwrap();
    ///         is_ready.set().unwrap();
    ///         condition.notify_one(&guard).unwrap();
    ///     });
    ///
    ///     let guard = condition.lock().map_err(|error| error.without_guard())?;
    ///     let guard = condition.wait_while(guard, || !is_ready.is_set().unwrap());
    ///     drop(guard.map_err(|error| error.without_guard())?);
    ///     thread.join().unwrap();
    ///     Ok(())
    /// }
    /// ```
    ConditionProxy, Condition
}

/// The lock of a [`ConditionProxy`] that this process has; given back on drop, without waiting for the manager.
#[must_use = "the lock is released when this is dropped"]
pub struct ConditionGuard(Hold);

/// What a wait gives.
type Waited = Result<ConditionGuard, LockError<ConditionGuard>>;

/// What a wait gives that has a time limit: also whether what was waited for came.
type WaitedFor = Result<(ConditionGuard, bool), LockError<ConditionGuard>>;

impl Manager {
    /// Makes a condition, whose lock nobody has.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn condition(&self) -> Result<ConditionProxy, ManagerError> {
        self.condition_async().wait()
    }

    /// [`condition`](Self::condition), awaited.
    pub fn condition_async(&self) -> Calling<ConditionProxy> {
        self.create(begin(&()))
    }
}

impl ConditionProxy {
    /// Waits until nobody else has the lock, and takes it.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied), which has the guard, and [`Manager`](LockError::Manager).
    pub fn lock(&self) -> Result<ConditionGuard, LockError<ConditionGuard>> {
        self.lock_async().wait()
    }

    /// [`lock`](Self::lock), awaited.
    pub fn lock_async(&self) -> Locking<ConditionGuard> {
        self.acquire(true)
    }

    /// Takes the lock if nobody has it.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](LockError::WouldBlock) if somebody has it; else as [`lock`](Self::lock).
    pub fn try_lock(&self) -> Result<ConditionGuard, LockError<ConditionGuard>> {
        self.try_lock_async().wait()
    }

    /// [`try_lock`](Self::try_lock), awaited.
    pub fn try_lock_async(&self) -> Locking<ConditionGuard> {
        self.acquire(false)
    }

    /// Waits for the lock for at most so long. Zero is to try, for which the manager's answer is waited for.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](LockError::TimedOut), not before that; else as [`lock`](Self::lock).
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ConditionGuard, LockError<ConditionGuard>> {
        if timeout.is_zero() {
            return self.lock_timeout_async(timeout).wait();
        }
        self.lock_async().wait_until(deadline_after(timeout))
    }

    /// [`lock_timeout`](Self::lock_timeout), awaited.
    pub fn lock_timeout_async(&self, timeout: Duration) -> Locking<ConditionGuard> {
        match timeout.is_zero() {
            true => self.try_lock_async().in_no_time(),
            false => self.lock_async().within(timeout),
        }
    }

    /// Whether somebody had the lock when the manager was asked; it may be otherwise by now.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn is_locked(&self) -> Result<bool, ManagerError> {
        self.is_locked_async().wait()
    }

    /// [`is_locked`](Self::is_locked), awaited.
    pub fn is_locked_async(&self) -> Calling<bool> {
        self.remote.call(&ConditionOp::IsLocked, Ok)
    }

    /// Releases the lock, waits to be notified, and takes the lock again. All of that is one call.
    ///
    /// # Errors
    ///
    /// [`OwnerDied`](LockError::OwnerDied) if whoever had the lock before it came back has ended with it; then there may have been a notification or
    /// not. [`WrongLock`](LockError::WrongLock) if the guard is not of this condition, at once. With [`Manager`](LockError::Manager) the
    /// lock is given up.
    pub fn wait(&self, guard: ConditionGuard) -> Result<ConditionGuard, LockError<ConditionGuard>> {
        self.wait_async(guard).wait()
    }

    /// [`wait`](Self::wait), awaited. Dropping the future ends the waiting, without the lock.
    pub fn wait_async(&self, guard: ConditionGuard) -> Locking<ConditionGuard> {
        if !guard.is_of(self) {
            return Locking::refused(LockError::WrongLock(guard), ConditionGuard);
        }
        let hold = guard.0.number_of(&self.remote);
        let attempt = take(&self.remote, &ConditionOp::Wait { hold }, Some(guard.0));
        Locking::new(attempt, ConditionGuard)
    }

    /// Waits for at most so long, and says whether there was a notification. **Then it takes the lock again, however long that takes**, as
    /// Python's does: it can return later than that.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(
        &self,
        guard: ConditionGuard,
        timeout: Duration,
    ) -> Result<(ConditionGuard, bool), LockError<ConditionGuard>> {
        match self.wait_async(guard).wait_until(deadline_after(timeout)) {
            Err(LockError::TimedOut) => self.lock().map(|guard| (guard, false)),
            waited => waited.map(|guard| (guard, true)),
        }
    }

    /// [`wait_timeout`](Self::wait_timeout), awaited.
    pub fn wait_timeout_async(
        &self,
        guard: ConditionGuard,
        timeout: Duration,
    ) -> impl Future<Output = WaitedFor> + Send + use<> {
        let waiting = self.wait_async(guard).within(timeout);
        let own = self.clone();
        async move {
            match waiting.await {
                Err(LockError::TimedOut) => own.lock_async().await.map(|guard| (guard, false)),
                waited => waited.map(|guard| (guard, true)),
            }
        }
    }

    /// Waits as long as something is so, which is looked at with the lock held.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_while(
        &self,
        mut guard: ConditionGuard,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<ConditionGuard, LockError<ConditionGuard>> {
        while is_so() {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// [`wait_while`](Self::wait_while), awaited.
    pub async fn wait_while_async<F: Future<Output = bool>>(
        &self,
        mut guard: ConditionGuard,
        mut is_so: impl FnMut() -> F,
    ) -> Waited {
        while is_so().await {
            guard = self.wait_async(guard).await?;
        }
        Ok(guard)
    }

    /// Waits as long as something is so, but for at most so long. Says whether it is otherwise.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout_while(
        &self,
        mut guard: ConditionGuard,
        timeout: Duration,
        mut is_so: impl FnMut() -> bool,
    ) -> Result<(ConditionGuard, bool), LockError<ConditionGuard>> {
        let deadline = deadline_after(timeout);
        while is_so() {
            match self.wait_async(guard).wait_until(deadline) {
                Err(LockError::TimedOut) => return Ok((self.lock()?, !is_so())),
                waited => guard = waited?,
            }
        }
        Ok((guard, true))
    }

    /// Lets one go on of those who wait. It does so when the lock is released.
    ///
    /// # Errors
    ///
    /// [`ManagerError::Refused`] if the guard is not of this condition; else as [every call](ManagerError#what-every-call-can-say).
    pub fn notify_one(&self, guard: &ConditionGuard) -> Result<(), ManagerError> {
        self.notify_many(guard, 1)
    }

    /// [`notify_one`](Self::notify_one), awaited.
    pub fn notify_one_async(&self, guard: &ConditionGuard) -> Calling<()> {
        self.notify_many_async(guard, 1)
    }

    /// Lets so many go on, or all who wait if those are fewer.
    ///
    /// # Errors
    ///
    /// As [`notify_one`](Self::notify_one).
    pub fn notify_many(&self, guard: &ConditionGuard, count: u64) -> Result<(), ManagerError> {
        self.notify_many_async(guard, count).wait()
    }

    /// [`notify_many`](Self::notify_many), awaited.
    pub fn notify_many_async(&self, guard: &ConditionGuard, count: u64) -> Calling<()> {
        // The guard of another one has a number that is refused.
        let hold = guard.0.number_of(&self.remote);
        self.remote.call(&ConditionOp::Notify { hold, count }, Ok)
    }

    /// Lets all go on who wait.
    ///
    /// # Errors
    ///
    /// As [`notify_one`](Self::notify_one).
    pub fn notify_all(&self, guard: &ConditionGuard) -> Result<(), ManagerError> {
        self.notify_many(guard, u64::MAX)
    }

    /// [`notify_all`](Self::notify_all), awaited.
    pub fn notify_all_async(&self, guard: &ConditionGuard) -> Calling<()> {
        self.notify_many_async(guard, u64::MAX)
    }

    fn acquire(&self, wait: bool) -> Locking<ConditionGuard> {
        let attempt = take(&self.remote, &ConditionOp::Acquire { wait }, None);
        Locking::new(attempt, ConditionGuard)
    }
}

impl ConditionGuard {
    /// Whether it is one of this condition's lock.
    pub fn is_of(&self, condition: &ConditionProxy) -> bool {
        self.0.is_of(&condition.remote)
    }
}

impl fmt::Debug for ConditionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionGuard").finish_non_exhaustive()
    }
}
