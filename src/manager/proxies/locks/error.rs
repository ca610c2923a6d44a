//! What a lock of a manager can say, and what the others can that wait.

use std::fmt;

use crate::error::explained;
use crate::manager::ManagerError;

/// Why there is no guard of a manager's lock, or what is to be known of it.
///
/// As [`sync::LockError`](crate::sync::LockError). [`OwnerDied`](Self::OwnerDied) has the lock in it; where an error has to be `Send` and `'static`
/// whatever the guard is, [`without_guard`](Self::without_guard) is.
#[non_exhaustive]
pub enum LockError<G> {
    /// The process that had the lock has ended with it, or its connection was cut, perhaps half-way through what it did. The lock is taken: the guard is
    /// here. Only the first one to come is told.
    OwnerDied(G),
    /// The time is over. The lock is not taken.
    TimedOut,
    /// Somebody has it, and it was only tried.
    WouldBlock,
    /// The guard that was given is not one of the lock that it is about; here it is again.
    WrongLock(G),
    /// The manager could not be asked, or refused. The lock is not taken.
    Manager(ManagerError),
}

impl<G> LockError<G> {
    /// The guard, if there is one: `lock.lock().or_else(|e| e.into_guard().ok_or(…))`.
    pub fn into_guard(self) -> Option<G> {
        match self {
            Self::OwnerDied(guard) | Self::WrongLock(guard) => Some(guard),
            _ => None,
        }
    }

    /// The same error, after the guard, if there is one, has been dropped.
    pub fn without_guard(self) -> LockError<()> {
        self.map(drop)
    }

    /// The same about another guard.
    pub(super) fn map<H>(self, guard: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            Self::OwnerDied(was) => LockError::OwnerDied(guard(was)),
            Self::WrongLock(was) => LockError::WrongLock(guard(was)),
            Self::TimedOut => LockError::TimedOut,
            Self::WouldBlock => LockError::WouldBlock,
            Self::Manager(error) => LockError::Manager(error),
        }
    }

    /// Of a lock that was not to be waited for at all, since its time was over at once.
    pub(super) fn timed_out(self) -> Self {
        match self {
            Self::WouldBlock => Self::TimedOut,
            other => other,
        }
    }
}

impl<G> From<ManagerError> for LockError<G> {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::TimedOut => Self::TimedOut,
            other => Self::Manager(other),
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => "the process that had the lock has ended with it",
            Self::TimedOut => "somebody else had the lock until the time was over",
            Self::WouldBlock => "somebody has the lock",
            Self::WrongLock(_) => "the guard is one of another lock",
            Self::Manager(error) => return error.fmt(f),
        })
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(error) => fmt::Debug::fmt(error, f),
            other => fmt::Display::fmt(other, f),
        }
    }
}

impl<G> std::error::Error for LockError<G> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Manager(error) => error.source(),
            _ => None,
        }
    }
}

/// Why a party has not passed a manager's barrier.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier was broken by another party, or has been reset, while this one waited; or it was broken already.
    #[error("the barrier is broken")]
    Broken,
    /// The others did not come in time; the barrier is broken by that.
    #[error("the others did not come to the barrier in time")]
    TimedOut,
    /// The manager could not be asked, or refused.
    #[error(transparent)]
    Manager(ManagerError),
}

impl From<ManagerError> for BarrierError {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::TimedOut => Self::TimedOut,
            other => Self::Manager(other),
        }
    }
}

/// Why permits of a manager's semaphore were not released.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// There are as many permits as there may be. Nothing has changed.
    #[error("the semaphore has been released more often than it was acquired")]
    TooOften,
    /// The manager could not be asked, or refused.
    #[error(transparent)]
    Manager(#[from] ManagerError),
}

explained!(BarrierError, ReleaseError);
