//! What a lock can say, and what a wait can.

use std::fmt;

use crate::error::explained;
use crate::sys::MutexError;

/// Why there is no guard of a lock, or what is to be known of it.
///
/// [`OwnerDied`](Self::OwnerDied) has the lock in it. A guard belongs to its thread, so this error is not `Send`; where that is asked
/// for (as `anyhow` does), [`without_guard`](Self::without_guard) is.
#[non_exhaustive]
pub enum LockError<G> {
    /// The process or thread that had the lock has died with it, perhaps half-way through what it did. The lock is
    /// taken: the guard is here. Only the first one to come is told.
    OwnerDied(G),
    /// The time is over. The lock is not taken.
    TimedOut,
    /// Somebody has it, and it was only tried.
    WouldBlock,
    /// This very thread has it already, and would wait for itself for ever.
    HeldByThisThread,
    /// The guard that was given is not one of the lock that it is about; here it is again.
    WrongLock(G),
    /// The memory of the lock has been overwritten. It is of no use any more in this process.
    Broken,
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
    pub(crate) fn map<H>(self, guard: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            Self::OwnerDied(was) => LockError::OwnerDied(guard(was)),
            Self::WrongLock(was) => LockError::WrongLock(guard(was)),
            Self::TimedOut => LockError::TimedOut,
            Self::WouldBlock => LockError::WouldBlock,
            Self::HeldByThisThread => LockError::HeldByThisThread,
            Self::Broken => LockError::Broken,
        }
    }

    /// Of a lock that was waited for.
    pub(super) fn waited(error: MutexError) -> Self {
        match error {
            MutexError::TimedOut => Self::TimedOut,
            MutexError::HeldByThisThread => Self::HeldByThisThread,
            MutexError::Broken => Self::Broken,
        }
    }

    /// Of a lock that was tried.
    pub(super) fn tried(error: MutexError) -> Self {
        match error {
            MutexError::TimedOut | MutexError::HeldByThisThread => Self::WouldBlock,
            MutexError::Broken => Self::Broken,
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => "the process that had the lock has died with it",
            Self::TimedOut => "somebody else had the lock until the time was over",
            Self::WouldBlock => "somebody has the lock",
            Self::HeldByThisThread => "this thread has the lock already",
            Self::WrongLock(_) => "the guard is one of another lock",
            Self::Broken => "the memory of the lock has been overwritten",
        })
    }
}

impl<G> fmt::Debug for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<G> std::error::Error for LockError<G> {}

/// Why a wait for something that has no owner came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// It did not come before the time was over.
    #[error("it did not come before the time was over")]
    TimedOut,
    /// It is not there, and it was only tried.
    #[error("it is not there at the moment")]
    WouldBlock,
    /// Its memory has been overwritten. It is of no use any more in this process.
    #[error("its memory has been overwritten")]
    Broken,
}

explained!(WaitError);

impl From<MutexError> for WaitError {
    fn from(error: MutexError) -> Self {
        match error {
            MutexError::TimedOut => Self::TimedOut,
            // What is here holds these locks for some instructions, and never calls out.
            MutexError::HeldByThisThread | MutexError::Broken => Self::Broken,
        }
    }
}
