//! So many at a time.

use std::fmt;
use std::time::Duration;

use super::attempt::Attempt;
use super::error::ReleaseError;
use super::{begin, proxy};
use crate::manager::ManagerError;
use crate::manager::client::{Calling, Manager, Remote};
use crate::manager::objects::locks::SemaphoreOp;
use crate::wire;

proxy! {
    /// A number of permits in a manager: who takes one goes on, who finds none waits for one, in the order in which the manager was asked.
    ///
    /// The manager knows who has a permit: **when a process ends, or its connection is cut, the permits that it has are there again**, for the
    /// next ones who wait. (Unlike those of a [`sync::Semaphore`](crate::sync::Semaphore), which are lost.) A permit that was
    /// [forgotten](Permit::forget) belongs to nobody, and whoever comes may [release](Self::release) it, or add one that never was there.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let semaphore = manager.semaphore(2)?;
    ///     let one = semaphore.acquire()?;
    ///     let two = semaphore.acquire()?;
    ///     assert!(semaphore.try_acquire()?.is_none());
    ///     drop(one); // it is released
    ///     two.forget(); // somebody else will do that
    ///     semaphore.release()?;
    ///     assert_eq!(semaphore.value()?, 2);
    ///     Ok(())
    /// }
    /// ```
    SemaphoreProxy, Semaphore
}

proxy! {
    /// A [`SemaphoreProxy`] that never has more permits than it began with: one that is released too often is an error.
    ///
    /// ```standalone_crate
    /// use procession::manager::Manager;
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     procession::init();
    ///     let manager = Manager::start()?;
    ///     let semaphore = manager.bounded_semaphore(1)?;
    ///     drop(semaphore.acquire()?);
    ///     assert!(semaphore.release().is_err());
    ///     Ok(())
    /// }
    /// ```
    BoundedSemaphoreProxy, BoundedSemaphore
}

impl Manager {
    /// Makes a semaphore with so many permits.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn semaphore(&self, permits: u64) -> Result<SemaphoreProxy, ManagerError> {
        self.semaphore_async(permits).wait()
    }

    /// [`semaphore`](Self::semaphore), awaited.
    pub fn semaphore_async(&self, permits: u64) -> Calling<SemaphoreProxy> {
        self.create(begin(&permits))
    }

    /// Makes a semaphore with so many permits, which never has more.
    ///
    /// # Errors
    ///
    /// As [every call](ManagerError#what-every-call-can-say).
    pub fn bounded_semaphore(&self, permits: u64) -> Result<BoundedSemaphoreProxy, ManagerError> {
        self.bounded_semaphore_async(permits).wait()
    }

    /// [`bounded_semaphore`](Self::bounded_semaphore), awaited.
    pub fn bounded_semaphore_async(&self, permits: u64) -> Calling<BoundedSemaphoreProxy> {
        self.create(begin(&permits))
    }
}

macro_rules! semaphore {
    ($name:ident) => {
        impl $name {
            /// Waits for a permit, and takes it.
            ///
            /// # Errors
            ///
            /// As [every call](ManagerError#what-every-call-can-say).
            pub fn acquire(&self) -> Result<Permit, ManagerError> {
                self.acquire_async().wait()
            }

            /// [`acquire`](Self::acquire), awaited. Dropping the future gives up the place in the line; a permit that was on its way is given back.
            pub fn acquire_async(&self) -> Attempt<Permit> {
                self.acquire_or_time_out(true)
            }

            /// Takes a permit if there is one; `None` if not.
            ///
            /// # Errors
            ///
            /// As [every call](ManagerError#what-every-call-can-say).
            pub fn try_acquire(&self) -> Result<Option<Permit>, ManagerError> {
                self.try_acquire_async().wait()
            }

            /// [`try_acquire`](Self::try_acquire), awaited.
            pub fn try_acquire_async(&self) -> Calling<Option<Permit>> {
                acquire(&self.remote, false, Ok)
            }

            /// Waits for a permit for at most so long. Zero is to try, for which the manager's answer is waited for.
            ///
            /// # Errors
            ///
            /// [`ManagerError::TimedOut`], not before that.
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit, ManagerError> {
                if timeout.is_zero() {
                    return self.acquire_timeout_async(timeout).wait();
                }
                self.acquire_async().wait_timeout(timeout)
            }

            /// [`acquire_timeout`](Self::acquire_timeout), awaited.
            pub fn acquire_timeout_async(&self, timeout: Duration) -> Attempt<Permit> {
                match timeout.is_zero() {
                    true => self.acquire_or_time_out(false),
                    false => self.acquire_async().within(timeout),
                }
            }

            /// One that does not wait has no time for it.
            fn acquire_or_time_out(&self, wait: bool) -> Attempt<Permit> {
                Attempt::new(acquire(&self.remote, wait, |permit| {
                    Ok(permit.ok_or(ManagerError::TimedOut))
                }))
            }

            /// Adds a permit, of whoever it was. (A [`Permit`] that is there is released by dropping it.)
            ///
            /// # Errors
            ///
            /// [`ReleaseError::TooOften`] if there are as many as there may be.
            pub fn release(&self) -> Result<(), ReleaseError> {
                self.release_many(1)
            }

            /// [`release`](Self::release), awaited.
            pub fn release_async(&self) -> Attempt<(), ReleaseError> {
                self.release_many_async(1)
            }

            /// Adds permits, all or none of them.
            ///
            /// # Errors
            ///
            /// As [`release`](Self::release).
            pub fn release_many(&self, permits: u64) -> Result<(), ReleaseError> {
                self.release_many_async(permits).wait()
            }

            /// [`release_many`](Self::release_many), awaited.
            pub fn release_many_async(&self, permits: u64) -> Attempt<(), ReleaseError> {
                let op = SemaphoreOp::Release { permits };
                Attempt::new(self.remote.call(&op, |fits: bool| {
                    Ok(fits.then_some(()).ok_or(ReleaseError::TooOften))
                }))
            }

            /// How many permits there were when the manager was asked; it may be otherwise by now.
            ///
            /// # Errors
            ///
            /// As [every call](ManagerError#what-every-call-can-say).
            pub fn value(&self) -> Result<u64, ManagerError> {
                self.value_async().wait()
            }

            /// [`value`](Self::value), awaited.
            pub fn value_async(&self) -> Calling<u64> {
                self.remote.call(&SemaphoreOp::Value, Ok)
            }
        }
    };
}
semaphore!(SemaphoreProxy);
semaphore!(BoundedSemaphoreProxy);

/// A permit of a manager's semaphore; given back on drop, without waiting for the manager, by whatever thread.
#[must_use = "the permit is released when this is dropped; `forget` keeps it"]
pub struct Permit {
    /// `None` when it has been forgotten.
    remote: Option<Remote>,
}

impl Permit {
    /// Keeps the permit, also when this process ends: somebody will [release](SemaphoreProxy::release) it. Does not wait for the manager.
    pub fn forget(mut self) {
        if let Some(remote) = self.remote.take() {
            remote.tell(&SemaphoreOp::Forget);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(remote) = &self.remote {
            remote.tell(&SemaphoreOp::GiveBack);
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

fn acquire<T: 'static>(
    remote: &Remote,
    wait: bool,
    read: fn(Option<Permit>) -> Result<T, ManagerError>,
) -> Calling<T> {
    let own = remote.clone();
    let op = SemaphoreOp::Acquire { wait };
    let calling = remote.call(&op, move |is_taken: bool| {
        // Only what is there gives itself back.
        read(is_taken.then(|| Permit { remote: Some(own) }))
    });
    calling.undone_by(undo)
}

/// The request that undoes what this answer has brought.
pub(super) fn undo(answer: &[u8]) -> Option<Vec<u8>> {
    let is_taken: bool = wire::decode(answer).ok()?;
    let mut op = Vec::new();
    wire::encode(&SemaphoreOp::GiveBack, &mut op).ok()?;
    is_taken.then_some(op)
}
